"""Asking a network: in batches, in the mode of use, with every answer checked; its grid of noise levels; its samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from nearsight import checks
from nearsight.auditing.refusal import AuditRefused
from nearsight.measures import point_errors
from nearsight.noise import edm_sigmas
from nearsight.randomness import stream
from nearsight.sampling import sample

BATCH = 128
STEPS = 18
OFF_GRID = 0.05
_PROBED = 64  # training images, of which a network must denoise more than nothing


class Asked:
    """A denoiser as the audit calls it: 128 events at a time, without gradient or autocast, sigma a tensor of no axes.

    With conditions it is called as denoiser(x, sigma, labels). Raises AuditRefused for an answer that is no clean event for
    each noisy one.
    """

    def __init__(self, denoiser: Callable, conditioned: bool, device: torch.device):
        self.denoiser = checks.function(denoiser, "denoiser", "a function denoiser(x, sigma): try nearsight.from_vp(...)")
        self.conditioned, self.device = conditioned, device
        grid = getattr(denoiser, "sigmas", None)
        self.sigmas = None if grid is None else checks.grid(grid, "the denoiser's sigmas")

    def under(self, condition: int) -> Callable[[Tensor, float], Tensor]:
        """The denoiser of events of one condition."""

        @torch.no_grad()
        def ask(x: Tensor, sigma: float | Tensor) -> Tensor:
            level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
            with torch.autocast(x.device.type, enabled=False), evaluating(self.denoiser):
                return torch.cat([self._answer(part, level, condition) for part in x.split(BATCH)])

        return ask

    def _answer(self, x: Tensor, level: Tensor, condition: int) -> Tensor:
        labels = [torch.full((len(x),), condition, device=x.device)] if self.conditioned else []
        try:
            clean = self.denoiser(x, level, *labels)
        except (TypeError, AttributeError, LookupError, RuntimeError) as error:
            call = f"denoiser(x, sigma{', labels' if labels else ''})"
            raise AuditRefused("not_a_denoiser", f"{call} failed on x of shape {list(x.shape)} ({error}); expected a "
                               "function that returns the clean images: try from_vp, from_edm or a lambda around your "
                               "network."
                               ) from error
        if not isinstance(clean, Tensor) or clean.shape != x.shape or not clean.is_floating_point():
            raise AuditRefused("not_a_denoiser", f"the denoiser returned {checks.came(clean)} for x of shape "
                               f"{list(x.shape)}; expected one clean image for each noisy one.")
        if not clean.isfinite().all():
            raise AuditRefused("not_a_denoiser", "the denoiser returned NaN or infinite entries at sigma = "
                               f"{float(level):g}; expected finite ones: does it take images on this scale, and this much "
                               "noise?")
        return clean.to(x.dtype)

    def errors(self, images: Tensor, conditions: np.ndarray, sigmas: Tensor, draws: int, *seed: int) -> np.ndarray:
        """Errors [S, N] of images [N, *event], float64; a seed and equally many images of each condition: the same noise."""
        errors = np.empty((len(sigmas), len(images)))
        for place, condition in enumerate(np.unique(conditions).tolist()):
            members = np.flatnonzero(conditions == condition)
            generator = stream(*seed, place, device=self.device)
            found = point_errors(self.under(condition), images[torch.from_numpy(members).to(images.device)].to(self.device),
                                 sigmas, draws=draws, generator=generator)
            errors[:, members] = found.double().cpu().numpy()
        return errors

    def check(self, train: Tensor, conditions: np.ndarray, std: float, seed: int) -> None:
        """Raise AuditRefused unless training images are denoised better than by doing nothing, or by a guess of the mean.

        Never judged on held-out images: a perfect memorizer fails there, and is a legal input.
        """
        levels = snapped(torch.tensor([0.3, 3.0], dtype=torch.float64) * std, self.sigmas)
        small, large = float(levels[0]), float(levels[-1])
        errors = self.errors(train[:_PROBED], conditions[:_PROBED], torch.tensor([small, large]), 1, seed).mean(1)
        for level, error, doing, nothing, most in (
                (small, errors[0], "doing nothing", small**2, 4 * small**2),
                (large, errors[1], "returning the mean image", std**2, 1.5 * std**2)):
            if error > most:
                raise AuditRefused("not_a_denoiser", f"at sigma = {level:.3g} {doing} gives training images an error of "
                                   f"{nothing:.3g} and this denoiser {error:.3g}; expected at most {most:.3g}: does the "
                                   "network predict noise? Try to wrap it with from_vp.")

    def samples(self, event: torch.Size, conditions: np.ndarray, seed: int) -> Tensor:
        """One sample for each of the conditions [M], by 18 steps of Heun from min(80, the largest sigma it knows)."""
        grid = sampling_sigmas(self.sigmas)
        drawn = torch.empty(len(conditions), *event)
        latents = stream(seed, device="cpu")
        for condition in np.unique(conditions).tolist():
            members = torch.from_numpy(np.flatnonzero(conditions == condition))
            for some in members.split(BATCH):
                start = grid[0].float() * torch.randn(len(some), *event, generator=latents)
                drawn[some] = sample(self.under(condition), start.to(self.device), grid).cpu()
        return drawn


@contextmanager
def evaluating(network: object) -> Iterator[None]:
    """Let a torch module be in eval mode, and put every part back into the mode that it was in."""
    parts = list(network.modules()) if isinstance(network, nn.Module) else []
    modes = [part.training for part in parts]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part, mode in zip(parts, modes):
            part.training = mode


def snapped(sigmas: Tensor, grid: Tensor | None) -> Tensor:
    """Each level as the nearest in ln sigma of the positive levels of `grid`, once each and in their order."""
    if grid is None:
        return sigmas
    levels = grid[grid > 0]
    places = (sigmas.log()[:, None] - levels.log()).abs().argmin(1)
    return levels[torch.unique_consecutive(places)]


def off_grid(sigmas: Tensor, grid: Tensor | None) -> Tensor:
    """The levels that lie farther than 0.05 in ln sigma from every level of the grid."""
    if grid is None:
        return sigmas[:0]
    apart = (sigmas.log()[:, None] - grid[grid > 0].log()).abs().amin(1)
    return sigmas[apart > OFF_GRID]


def audit_sigmas(std: float, grid: Tensor | None) -> Tensor:
    """Twelve levels from std/20 to 10 std, evenly spaced in ln sigma, snapped to the levels that the network knows."""
    levels = std * torch.logspace(math.log10(0.05), 1, 12, dtype=torch.float64)
    return snapped(levels, None if grid is None else grid.sort().values)


def sampling_sigmas(grid: Tensor | None) -> Tensor:
    """The falling grid of 18 steps of Karras et al. from 80 to 0, or to the smallest level of a network that has a grid."""
    if grid is None:
        return edm_sigmas(STEPS)
    levels = grid[grid > 0]
    low, high = float(levels.min()), min(80.0, float(levels.max()))
    return snapped(edm_sigmas(STEPS + 1, low, high)[:-1], levels)
