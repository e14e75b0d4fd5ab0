"""Exact denoisers, D(x, sigma) = E[y | x] for x = y + sigma * eps, and what can be made of any denoiser."""

from nearsight.denoisers.compose import Denoiser, guided, score
from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.denoisers.normal import GaussianDenoiser, MixtureDenoiser
from nearsight.denoisers.ring import RingDenoiser, RingKernelDenoiser
from nearsight.denoisers.windows import Windowed, window_memorizer, windows

__all__ = ["Denoiser", "EmpiricalDenoiser", "GaussianDenoiser", "MixtureDenoiser", "RingDenoiser", "RingKernelDenoiser",
           "Windowed", "guided", "score", "window_memorizer", "windows"]
