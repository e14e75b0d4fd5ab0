"""An audit of anybody's model: does it lean on its training images, how sure is that, and at which noise levels?"""

from nearsight.auditing.auditor import audit
from nearsight.auditing.checkpoints import CheckpointAudits, audit_checkpoints
from nearsight.auditing.conversions import ChainDenoiser, from_edm, from_vp
from nearsight.auditing.family import samples_needed
from nearsight.auditing.folders import from_diffusers
from nearsight.auditing.refusal import AuditRefused
from nearsight.auditing.report import AuditReport

__all__ = ["AuditRefused", "AuditReport", "ChainDenoiser", "CheckpointAudits", "audit", "audit_checkpoints",
           "from_diffusers", "from_edm", "from_vp", "samples_needed"]
