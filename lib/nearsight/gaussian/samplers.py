"""What a sampler does to a Gaussian: along each eigenvector a whole run is one affine map with noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, span
from nearsight.gaussian import inputs

SOLVERS = ("euler", "heun", "ancestral", "ddpm", "ou-euler", "ou-euler-maruyama", "ode", "sde")


@dataclass(frozen=True, repr=False)
class SamplerMap(Readable):
    """x_out = gain x_in + pull mu + sqrt(noise_variance) z along each eigenvector; each field is [d]."""

    gain: Tensor
    pull: Tensor
    noise_variance: Tensor

    def _pairs(self) -> dict[str, object]:
        return {"eigenvectors": len(self.gain), "gain": span(self.gain), "pull": span(self.pull),
                "noise variance": span(self.noise_variance)}


def sampler_map(spectrum: Tensor, sigmas: Tensor, solver: str = "heun") -> SamplerMap:
    """The exact affine map of a sampler that runs the denoiser of N(mu, Sigma) down the grid `sigmas`.

    Per eigenvalue lambda, with v = lambda + sigma^2 and a step sigma -> sigma', h = sigma' - sigma, a = sigma/v:

        euler       gain 1 + h a (which is DDIM)
        heun        gain 1 + (h/2) (a + a' (1 + h a)), an Euler step into sigma' = 0
        ancestral   gain v'/v, noise variance sigma'^2 (1 - sigma'^2/sigma^2): the gain is exact, all error is in the noise
        ddpm        gain v'/v, noise variance (sigma^2 - sigma'^2)(1 + sigma'^2)/(1 + sigma^2), none into sigma' = 0
        ou-euler, ou-euler-maruyama
                    u <- (1 + h - k h/w) u + (k h/w) e^-t mu + sqrt(2h) z in u = e^-t x, t = ln(1 + sigma^2)/2,
                    h = t - t', w = e^-2t lambda + 1 - e^-2t; k = 1 and no z, or k = 2. A biased mean: pull + gain != 1
        ode, sde    exact from sigmas[0] to sigmas[-1]: gain sqrt(v'/v), or gain v'/v and noise variance v' - gain^2 v

    spectrum [d], eigenvalues >= 0, 0 included; sigmas [K+1] strictly falling, >= 0. Sources: Karras et al. 2022,
    algorithm 1; Ho et al. 2020. Raises ValueError for an unknown solver or a grid that does not fall. Cost O(K d).
    """
    values = inputs.spectrum(spectrum)
    grid = checks.grid(sigmas, falling=True).to(values.device)
    checks.choice(solver, "solver", SOLVERS)
    if solver in ("ode", "sde"):
        grid = grid[[0, -1]]
    old, new = grid[:-1, None], grid[1:, None]
    gain, pull, noise_variance = (part.expand(len(old), len(values)) for part in _steps(values, old, new, solver))
    # What a step adds is carried on by the gains of all later steps.
    later = torch.cat([gain[1:], torch.ones_like(values)[None]]).flip(0).cumprod(0).flip(0)
    result = gain.prod(0), (pull * later).sum(0), (noise_variance * later.square()).sum(0)
    return SamplerMap(*(part.to(spectrum) for part in result))


def _steps(values: Tensor, old: Tensor, new: Tensor, solver: str) -> tuple[Tensor, Tensor, Tensor]:
    """Gain, pull and noise variance of each step, broadcastable to [K, d]; values [d], old and new [K, 1]."""
    v_old, v_new = values + old.square(), values + new.square()
    none = torch.zeros_like(old)
    if solver.startswith("ou-"):
        stochastic = solver == "ou-euler-maruyama"
        scale_old, scale_new = (1 + old.square()).sqrt(), (1 + new.square()).sqrt()  # e^t and e^t'
        h = (scale_old / scale_new).log()
        drift = (2 if stochastic else 1) * h * scale_old.square() / v_old
        back = scale_new / scale_old
        return back * (1 + h - drift), back * drift, (2 * h * scale_new.square() if stochastic else none)
    if solver == "ode":
        gain, noise_variance = (v_new / v_old).sqrt(), none
    elif solver in ("euler", "heun"):
        h, slope = new - old, old / v_old
        gain, noise_variance = 1 + h * slope, none
        if solver == "heun":
            end_slope = torch.where(new > 0, new / v_new * gain, slope)  # into 0 an Euler step
            gain = 1 + h / 2 * (slope + end_slope)
    else:
        gain = v_new / v_old
        noise_variance = {
            "ancestral": new.square() * (1 - (new / old).square()),
            "ddpm": torch.where(new > 0, (old**2 - new**2) * (1 + new**2) / (1 + old**2), 0.0),
            "sde": v_new * (1 - gain),
        }[solver]
    return gain, 1 - gain, noise_variance
