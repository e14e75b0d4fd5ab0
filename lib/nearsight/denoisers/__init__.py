"""Exact denoisers, D(x, sigma) = E[y | x] for x = y + sigma * eps, and what can be made of any denoiser."""

from nearsight.denoisers.compose import Denoiser, guided, score
from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.denoisers.normal import GaussianDenoiser, MixtureDenoiser
from nearsight.denoisers.ring import RingDenoiser, RingKernelDenoiser

__all__ = ["Denoiser", "EmpiricalDenoiser", "GaussianDenoiser", "MixtureDenoiser", "RingDenoiser", "RingKernelDenoiser",
           "guided", "score"]
