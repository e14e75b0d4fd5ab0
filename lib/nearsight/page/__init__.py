"""What chapters show: the look of figures, numbers pasted into the prose, a live miniature beside its record."""

from nearsight.page.glue import glue
from nearsight.page.marks import dots, quartiles, ratio_axis
from nearsight.page.notices import DIFFERS, beside, provenance
from nearsight.page.plots import HOLDOUT, LOSS, NEUTRAL, THEORY, TRAIN, curve, gallery, use_style

__all__ = ["DIFFERS", "HOLDOUT", "LOSS", "NEUTRAL", "THEORY", "TRAIN", "beside", "curve", "dots", "gallery", "glue",
           "provenance", "quartiles", "ratio_axis", "use_style"]
