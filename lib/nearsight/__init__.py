"""Nearsight: how near does a diffusion model stay to its training data, and why?

One idea: everything is a denoiser, a callable denoiser(x, sigma) -> E[y | x] for x = y + sigma * eps.
"""
