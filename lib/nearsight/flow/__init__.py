"""Study 2: the flow field of a denoiser that errs, on points of a ring in the plane."""

from nearsight.flow.maps import GapMap, gap_map, place_gap
from nearsight.flow.peaks import GapPeak, gap_peak
from nearsight.flow.published import published_gap, published_noise, published_random_split, published_sigmas
from nearsight.flow.risk import FittedBlur, FittedSpread, excess_risk, fitted_blur, fitted_spread, guided_blur, matched_blur
from nearsight.flow.separation import bhattacharyya, mode_distance, padded_gap, state_distance
from nearsight.flow.theory import lattice_gap, modulation, random_gap, return_probability, small_gap

__all__ = ["FittedBlur", "FittedSpread", "GapMap", "GapPeak", "bhattacharyya", "excess_risk", "fitted_blur", "fitted_spread",
           "gap_map", "gap_peak", "guided_blur", "lattice_gap", "matched_blur", "mode_distance", "modulation", "padded_gap",
           "place_gap", "published_gap", "published_noise", "published_random_split", "published_sigmas", "random_gap",
           "return_probability", "small_gap", "state_distance"]
