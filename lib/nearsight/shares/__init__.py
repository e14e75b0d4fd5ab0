"""Class shares among samples: counted and corrected, compared between samplers, and what votes and blurs make of them."""

from nearsight.shares.basins import BasinShares, basin_shares, critical_blur
from nearsight.shares.corrections import CorrectedShare, Flips, corrected, flips
from nearsight.shares.neighbors import KnnDenoiser
from nearsight.shares.settling import Settled, settle
from nearsight.shares.votes import knn_vote

__all__ = ["BasinShares", "CorrectedShare", "Flips", "KnnDenoiser", "Settled", "basin_shares", "corrected",
           "critical_blur", "flips", "knn_vote", "settle"]
