"""Exact denoisers, D(x, sigma) = E[y | x] for x = y + sigma * eps, and what can be made of any denoiser."""

from .compose import Denoiser, guided, score
from .empirical import EmpiricalDenoiser
from .normal import GaussianDenoiser, MixtureDenoiser
from .ring import RingDenoiser, RingKernelDenoiser

__all__ = ["Denoiser", "EmpiricalDenoiser", "GaussianDenoiser", "MixtureDenoiser", "RingDenoiser", "RingKernelDenoiser",
           "guided", "score"]
