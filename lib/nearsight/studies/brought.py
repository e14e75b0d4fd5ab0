"""Images that the reader brings, since they may not be handed on or are too large: where they are looked for."""

from __future__ import annotations

import os
from pathlib import Path

ENDINGS = ("", ".zip", ".tar", ".tar.gz")


def brought(name: str, what: str, page: str) -> Path:
    """The folder or archive NAME, NAME.zip, NAME.tar or NAME.tar.gz in the folder that the variable NEARSIGHT_IMAGES names,
    without it in ./images; a ValueError that says what to bring, from which page, where there is none."""
    folder = Path(os.environ.get("NEARSIGHT_IMAGES", "images")).resolve()
    found = [path for ending in ENDINGS if (path := folder / f"{name}{ending}").exists()]
    if not found:
        raise ValueError(f"{folder / name} does not exist, neither as a folder nor as an archive; expected {what}: fetch it "
                         f"from {page} and put it there, or let NEARSIGHT_IMAGES name the folder that holds it.")
    return found[0]
