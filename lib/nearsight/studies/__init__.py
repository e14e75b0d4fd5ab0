"""The long computations of the book, a module a study; each lists its sizes in SCALES (see nearsight.records.runs)."""

from nearsight.records.runs import Run
from nearsight.studies import (
    audit_training,
    audits,
    cifar_network,
    depth,
    gaussian_delta,
    gaussian_networks,
    hierarchy,
    image_fields,
    image_guidance,
    image_moments,
    image_paths,
    image_windows,
    images,
    miniature,
    photographs,
    random_rings,
    recorded_weights,
    ring_networks,
)

MODULES = (gaussian_delta, gaussian_networks, hierarchy, images, image_moments, recorded_weights, image_windows, image_paths,
           image_fields, image_guidance, photographs, cifar_network, depth, miniature, random_rings, ring_networks,
           audits, audit_training)


def runs() -> list[Run]:
    """Return the runs of all studies, in the order of their modules."""
    return [run for module in MODULES for listed in module.SCALES for run in listed.runs]


def find(name: str) -> Run:
    """Return the run of that name; ValueError, with the names there are, where there is none."""
    known = {run.name: run for run in runs()}
    if name not in known:
        raise ValueError(f"there is no run {name!r}; expected one of {', '.join(known)}.")
    return known[name]
