"""An audit of anybody's model: does it lean on its training images, how sure is that, and at which noise levels?"""

from nearsight.auditing.auditor import audit
from nearsight.auditing.family import samples_needed
from nearsight.auditing.refusal import AuditRefused
from nearsight.auditing.report import AuditReport

__all__ = ["AuditRefused", "AuditReport", "audit", "samples_needed"]
