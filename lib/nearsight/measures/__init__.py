"""Measurements on any denoiser or its samples: gaps, nearness, whose data, how alike, since when, and how sure."""

from nearsight.measures.deals import Deal, deal_law, deal_test, stratified_deal_test
from nearsight.measures.features import PrincipalBasis, frechet, principal_basis
from nearsight.measures.gaps import GeneralizationGap, denoising_error, generalization_gap, point_errors
from nearsight.measures.intervals import (
                                        Estimate,
                                        clopper_pearson,
                                        gap_band,
                                        hanley_mcneil,
                                        leave_one_out,
                                        resampled_counts,
                                        wilson,
)
from nearsight.measures.membership import Membership, area_under_curve, calibrated_threshold, membership
from nearsight.measures.onset import (
                                        Overfitting,
                                        ddpm_weight,
                                        edm_weight,
                                        onset,
                                        overfitting_onset,
                                        preference_onset,
                                        weighted_loss,
)
from nearsight.measures.preference import (
                                        OwnOther,
                                        Preference,
                                        ProximityBias,
                                        own_other,
                                        proximity_bias,
)
from nearsight.measures.proximity import MemorizedFraction, Neighbors, memorized_fraction, nearest
from nearsight.measures.splits import (
                                        SplitVariance,
                                        convergence,
                                        pair_cosine,
                                        pair_mean,
                                        prediction_cosine,
                                        split_variance,
                                        standardized,
)

__all__ = [
                                        "Deal",
                                        "Estimate",
                                        "GeneralizationGap",
                                        "Membership",
                                        "MemorizedFraction",
                                        "Neighbors",
                                        "Overfitting",
                                        "OwnOther",
                                        "Preference",
                                        "PrincipalBasis",
                                        "ProximityBias",
                                        "SplitVariance",
                                        "area_under_curve",
                                        "calibrated_threshold",
                                        "clopper_pearson",
                                        "convergence",
                                        "ddpm_weight",
                                        "deal_law",
                                        "deal_test",
                                        "denoising_error",
                                        "edm_weight",
                                        "frechet",
                                        "gap_band",
                                        "generalization_gap",
                                        "hanley_mcneil",
                                        "leave_one_out",
                                        "membership",
                                        "memorized_fraction",
                                        "nearest",
                                        "onset",
                                        "overfitting_onset",
                                        "own_other",
                                        "pair_cosine",
                                        "pair_mean",
                                        "point_errors",
                                        "prediction_cosine",
                                        "preference_onset",
                                        "principal_basis",
                                        "proximity_bias",
                                        "resampled_counts",
                                        "split_variance",
                                        "standardized",
                                        "stratified_deal_test",
                                        "weighted_loss",
                                        "wilson",
]
