"""Data of the five studies: images, points on a ring, token strings, and index sets that do not overlap."""

from nearsight.datasets.cifar import cifar10
from nearsight.datasets.fashion import fashion_mnist
from nearsight.datasets.folder import image_folder
from nearsight.datasets.handwritten import digits
from nearsight.datasets.images import Images, Scaling
from nearsight.datasets.index_sets import Splits, check_disjoint, disjoint_splits, index_digest
from nearsight.datasets.rings import on_ring, ring, ring_split
from nearsight.datasets.strings import TokenBlocks, disjoint_blocks, is_novel

__all__ = ["Images", "Scaling", "Splits", "TokenBlocks", "check_disjoint", "cifar10", "digits", "disjoint_blocks",
           "disjoint_splits", "fashion_mnist", "image_folder", "index_digest", "is_novel", "on_ring", "ring",
           "ring_split"]
