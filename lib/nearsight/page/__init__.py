"""What chapters show: the look of figures, numbers pasted into the prose, a live miniature beside its record."""

from nearsight.page.glue import glue
from nearsight.page.marks import dots, moment, quartiles, ratio_axis, sigma_axis, step_axis
from nearsight.page.notices import DIFFERS, beside, provenance
from nearsight.page.plots import EARLY_TO_LATE, HOLDOUT, LOSS, NEUTRAL, THEORY, TRAIN, curve, gallery, use_style
from nearsight.page.tables import listed
from nearsight.page.trees import LETTERS, draw_strings, draw_tree

__all__ = ["DIFFERS", "EARLY_TO_LATE", "HOLDOUT", "LETTERS", "LOSS", "NEUTRAL", "THEORY", "TRAIN", "beside", "curve", "dots",
           "draw_strings", "draw_tree", "gallery", "glue", "listed", "moment", "provenance", "quartiles", "ratio_axis",
           "sigma_axis", "step_axis", "use_style"]
