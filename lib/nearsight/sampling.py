"""The reverse process: from noise to a sample, with any denoiser."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from nearsight import checks
from nearsight.denoisers.compose import Denoiser

SOLVERS = ("euler", "heun", "ancestral")


@torch.no_grad()
def sample(denoiser: Denoiser, latents: Tensor, sigmas: Tensor, solver: str = "heun", generator: Generator | None = None,
           trajectory: bool = False) -> Tensor | tuple[Tensor, Tensor]:
    """Run the reverse process of `denoiser` from the states `latents` at sigmas[0] down to sigmas[-1].

    The ODE dx/dsigma = (x - D(x, sigma)) / sigma, or a chain, in steps s -> s' (Karras et al. 2022, arXiv 2206.00364,
    eq. 1):

        euler      x' = x + (s' - s) d,  d = (x - D(x, s)) / s                     first order; DDIM in this convention
        heun       x' = x + (s' - s) (d + d') / 2,  d' at the Euler point; Euler into 0          second order; Algorithm 1
        ancestral  x' = D + (s'/s)^2 (x - D) + s' sqrt(1 - s'^2/s^2) z,  z ~ N(0, I)    the posterior step of DDPM

    latents [B, *event] are states at sigmas[0], already scaled: draw them as sigmas[0] * randn. sigmas [S + 1] fall strictly
    and may end above 0. The state is kept in float64 (float32 on MPS); the denoiser sees and the result has the dtype of
    `latents`. With `trajectory=True` also returns all states [S + 1, B, *event]. "ancestral" draws from `generator`, one
    randn a step. Costs one call of the denoiser a step, Heun two. Raises ValueError for an unknown solver, a grid that
    does not fall, a denoiser that changes the shape, or a generator of another device.
    """
    checks.points(latents, "latents", at_least=0)
    checks.choice(solver, "solver", SOLVERS)
    checks.generator(generator, latents.device)
    checks.flag(trajectory, "trajectory")
    checked, grid = checks.denoiser(denoiser), checks.grid(sigmas, falling=True)
    precise = checks.widest_float(latents.device)

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return checked(x.to(latents.dtype), sigma).to(precise)

    x = latents.to(precise)
    states = [x]
    for now, after in zip(grid[:-1].tolist(), grid[1:].tolist()):
        clean = denoise(x, now)
        if solver == "ancestral":
            x = clean + (after / now) ** 2 * (x - clean)
            if after > 0:
                noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
                x = x + after * (1 - (after / now) ** 2) ** 0.5 * noise
        elif after == 0:
            x = clean  # the Euler step into 0, without its rounding
        else:
            slope = (x - clean) / now
            euler = x + (after - now) * slope
            if solver == "heun":
                slope = (slope + (euler - denoise(euler, after)) / after) / 2
                euler = x + (after - now) * slope
            x = euler
        if trajectory:
            states.append(x)
    result = x.to(latents.dtype)
    return (result, torch.stack(states).to(latents.dtype)) if trajectory else result
