"""Nearsight: how near does a diffusion model stay to its training data, and why?

One idea: everything is a denoiser, a callable denoiser(x, sigma) -> E[y | x] for x = y + sigma * eps, whether it is exact or
a trained network. Every sampler and every measurement takes any of them.
"""

from nearsight.auditing import (
    AuditRefused,
    AuditReport,
    audit,
    audit_checkpoints,
    from_diffusers,
    from_edm,
    from_vp,
    samples_needed,
)
from nearsight.denoisers import (
    EmpiricalDenoiser,
    GaussianDenoiser,
    MixtureDenoiser,
    RingDenoiser,
    RingKernelDenoiser,
    guided,
    score,
)
from nearsight.measures.gaps import denoising_error, generalization_gap
from nearsight.measures.preference import proximity_bias
from nearsight.measures.proximity import memorized_fraction, nearest
from nearsight.noise import edm_sigmas
from nearsight.sampling import sample
from nearsight.shares import KnnDenoiser

__version__ = "0.1.0"

__all__ = ["AuditRefused", "AuditReport", "EmpiricalDenoiser", "GaussianDenoiser", "KnnDenoiser", "MixtureDenoiser",
           "RingDenoiser", "RingKernelDenoiser", "audit", "audit_checkpoints", "denoising_error", "edm_sigmas",
           "from_diffusers", "from_edm", "from_vp", "generalization_gap", "guided", "memorized_fraction", "nearest",
           "proximity_bias", "sample", "samples_needed", "score"]
