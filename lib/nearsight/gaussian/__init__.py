"""The linear Gaussian model, solved: the ground truth that the rest of the book can be held against."""

from nearsight.gaussian.divergences import fit, log_affinity, squared_bures, squared_hellinger, squared_wasserstein
from nearsight.gaussian.expectations import (
    ExpectedDivergences,
    ExpectedErrors,
    expected_divergences,
    expected_errors,
    expected_kl,
    expected_squared_wasserstein,
)
from nearsight.gaussian.kernel import kernel_delta
from nearsight.gaussian.limits import ProportionalLimits, proportional_limits
from nearsight.gaussian.nearness import expected_preference
from nearsight.gaussian.one_step import one_step, one_step_limit
from nearsight.gaussian.samplers import SamplerMap, sampler_map

__all__ = [
    "ExpectedDivergences",
    "ExpectedErrors",
    "ProportionalLimits",
    "SamplerMap",
    "expected_divergences",
    "expected_errors",
    "expected_kl",
    "expected_preference",
    "expected_squared_wasserstein",
    "fit",
    "kernel_delta",
    "log_affinity",
    "one_step",
    "one_step_limit",
    "proportional_limits",
    "sampler_map",
    "squared_bures",
    "squared_hellinger",
    "squared_wasserstein",
]
