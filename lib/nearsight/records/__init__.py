"""Long results with their provenance: how they are written, carried out, stored, compared, and computed again.

A computation is a function of a frozen configuration (`runs`), carried out stage by stage (`computing`), over many
configurations at once (`sweeps`). What it reaches (`definitions`) has a digest (`digests`), which its manifest keeps
(`manifests`) beside the arrays (`store`), with how far each is determined (`kernels`, `tolerances`). It is computed again
by `reproduction`, many at once by `side_by_side`. Nothing here knows a study but as such a function.
"""

from nearsight.records.computing import Results, compute
from nearsight.records.manifests import RecordRefused
from nearsight.records.reproduction import Comparison, compare, reproduce, verify
from nearsight.records.runs import Run, Scales, Stage, Work
from nearsight.records.store import ROOT, Record, load, state
from nearsight.records.sweeps import processes, stages, sweep

__all__ = ["ROOT", "Comparison", "Record", "RecordRefused", "Results", "Run", "Scales", "Stage", "Work", "compare",
           "compute", "load", "processes", "reproduce", "stages", "state", "sweep", "verify"]
