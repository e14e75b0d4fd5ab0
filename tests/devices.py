"""An accelerator that is not there: tensors that say they are on torch's meta device, and have values all the same.

With `elsewhere()` around, tensors on ELSEWHERE do not mix with those of the CPU, and know no float64 where
`Elsewhere.knows_float64` is False, as on Apple's MPS; `waits` counts how often host and device had to wait for
each other, to copy or to read a value.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("meta")
_SWITCHES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}  # what leads from one device to the other
_READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default, torch.ops.aten.nonzero.default}


class Elsewhere(torch.Tensor):
    """A tensor on the device that is not there, whose values are those of `held`."""

    knows_float64 = True
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        if held.dtype == torch.float64 and not cls.knows_float64:
            raise TypeError("this device has no float64")
        self = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=ELSEWHERE)
        self.held = held
        return self

    @classmethod
    def __torch_dispatch__(cls, operator, types, arguments=(), options=None):
        raise RuntimeError(f"{operator} outside of elsewhere()")


class elsewhere(TorchDispatchMode):
    """The mode under which device="mps" can be used."""

    def __init__(self):
        super().__init__()
        self.waits = 0

    def __torch_dispatch__(self, operator, types, arguments=(), options=None):
        options = dict(options or {})
        given = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, torch.Tensor)]
        there = [tensor for tensor in given if isinstance(tensor, Elsewhere)]
        if there and operator not in _SWITCHES and any(tensor.ndim for tensor in given if not isinstance(tensor, Elsewhere)):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found meta and cpu ({operator}).")
        device = options.get("device")
        stays = bool(there) if device is None else torch.device(device) == ELSEWHERE
        self.waits += operator in _READS or (bool(there) != stays and operator is torch.ops.aten._to_copy.default)
        if device is not None:
            options["device"] = torch.device("cpu")
        results = operator(*tree_map(_held, arguments), **tree_map(_held, options))
        if there and operator._schema.is_mutable:
            return arguments[0]
        return tree_map(lambda result: Elsewhere(result) if stays and isinstance(result, torch.Tensor) else result, results)


def _held(value):
    return value.held if isinstance(value, Elsewhere) else value
