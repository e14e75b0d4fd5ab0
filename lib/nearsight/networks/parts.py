"""Large batches on small devices: a denoiser that takes its batch in parts, and forgets in between."""

from __future__ import annotations

from torch import Tensor, cat, is_grad_enabled, nn
from torch.utils.checkpoint import checkpoint

from nearsight import checks


class InParts(nn.Module):
    """The denoiser `network` itself, called on `size` events at a time.

    While it learns, what a part has computed on its way is dropped, and computed again for the gradient, with the same
    dropout. So the memory of a training step is that of `size` events, whatever its batch; gradients are those of the
    whole batch, for networks that treat events one by one. Cost: where the batch has more than one part, one more forward
    pass a training step, a third of it.

    Called as network(x, sigma), x [B, *event], sigma a float or [B]. Raises ValueError for size < 1. Source: Chen et al.
    2016 (arXiv 1604.06174).
    """

    def __init__(self, network: nn.Module, size: int):
        super().__init__()
        self.network = checks.instance(network, "network", nn.Module, "a torch.nn.Module")
        self.size = checks.count(size, "size")

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        parts = checks.batch(x).split(self.size)
        level = checks.unread_noise_level(sigma, x)
        levels = level.flatten().split(self.size) if level.numel() > 1 else [sigma] * len(parts)
        if not is_grad_enabled() or len(parts) == 1:
            return cat([self.network(*part) for part in zip(parts, levels)])
        return cat([checkpoint(self.network, *part, use_reentrant=False) for part in zip(parts, levels)])
