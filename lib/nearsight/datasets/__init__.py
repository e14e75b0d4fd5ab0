"""Data of the five studies: real images, points on a ring, and index sets that do not overlap."""

from nearsight.datasets.fashion import fashion_mnist
from nearsight.datasets.handwritten import digits
from nearsight.datasets.images import Images, Scaling
from nearsight.datasets.index_sets import Splits, check_disjoint, digest, disjoint_splits

__all__ = ["Images", "Scaling", "Splits", "check_disjoint", "digest", "digits", "disjoint_splits", "fashion_mnist"]
