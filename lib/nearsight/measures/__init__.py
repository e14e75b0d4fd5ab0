"""Measurements on any denoiser or its samples: gaps, nearness, whose data, how alike, since when, and how sure."""

from nearsight.measures.crossing import Crossing, crossing
from nearsight.measures.deals import Deal, deal_law, deal_test, stratified_deal_test
from nearsight.measures.families import FamilyPreference, family_preference
from nearsight.measures.features import PrincipalBasis, frechet, principal_basis
from nearsight.measures.gaps import GeneralizationGap, crossed_gap, denoising_error, generalization_gap, point_errors
from nearsight.measures.intervals import (
    Estimate,
    clopper_pearson,
    gap_band,
    hanley_mcneil,
    leave_one_out,
    mean_interval,
    resampled_counts,
    wilson,
)
from nearsight.measures.ladder import NormalMixture, moment_ladder
from nearsight.measures.membership import Membership, area_under_curve, calibrated_threshold, membership
from nearsight.measures.onset import (
    FlatMinimum,
    Overfitting,
    ddpm_weight,
    edm_weight,
    flat_minimum,
    onset,
    overfitting_onset,
    preference_onset,
    preference_stop,
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
from nearsight.measures.thinning import PreferenceCurve, own_other_curve, proximity_curve

__all__ = [
    "Crossing",
    "Deal",
    "Estimate",
    "FamilyPreference",
    "FlatMinimum",
    "GeneralizationGap",
    "Membership",
    "MemorizedFraction",
    "Neighbors",
    "NormalMixture",
    "Overfitting",
    "OwnOther",
    "Preference",
    "PreferenceCurve",
    "PrincipalBasis",
    "ProximityBias",
    "SplitVariance",
    "area_under_curve",
    "calibrated_threshold",
    "clopper_pearson",
    "convergence",
    "crossed_gap",
    "crossing",
    "ddpm_weight",
    "deal_law",
    "deal_test",
    "denoising_error",
    "edm_weight",
    "family_preference",
    "flat_minimum",
    "frechet",
    "gap_band",
    "generalization_gap",
    "hanley_mcneil",
    "leave_one_out",
    "mean_interval",
    "membership",
    "memorized_fraction",
    "moment_ladder",
    "nearest",
    "onset",
    "overfitting_onset",
    "own_other",
    "own_other_curve",
    "pair_cosine",
    "pair_mean",
    "point_errors",
    "prediction_cosine",
    "preference_onset",
    "preference_stop",
    "principal_basis",
    "proximity_bias",
    "proximity_curve",
    "resampled_counts",
    "split_variance",
    "standardized",
    "stratified_deal_test",
    "weighted_loss",
    "wilson",
]
