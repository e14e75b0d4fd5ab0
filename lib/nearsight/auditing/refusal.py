"""What an audit says instead of a report, and what it says beside one."""

from __future__ import annotations


class AuditRefused(ValueError):
    """The sets cannot be audited as they came: `code` names why, the text says what came, what was expected, what to try."""

    def __init__(self, code: str, text: str):
        super().__init__(text)
        self.code = code

    def __reduce__(self):
        return type(self), (self.code, str(self))


class Remarks(list):
    """The warnings of one audit, in the order in which they arose, each {"code", "text"}."""

    def add(self, code: str, text: str) -> None:
        self.append({"code": code, "text": text})

    def __contains__(self, code: object) -> bool:
        return any(remark["code"] == code for remark in self)
