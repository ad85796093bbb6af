"""The wavelengths that weights were trained on, and the bands of an image that lie elsewhere.

Axes: N bands.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from permjax.bands import BandDescription, Kind

TrainedOn = Mapping[str, Sequence[tuple[int, int]]]
"""Of each kind of band, by its word, the ranges from lower to upper wavelength, nm."""


def covered(bands: BandDescription) -> TrainedOn:
    """The ranges that bands [N] cover at half maximum, in whole nanometres, rounded outwards."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for centre, width, kind in zip(*(trait.tolist() for trait in bands), strict=True):
        edges = floor(centre - width / 2), ceil(centre + width / 2)
        ranges.setdefault(Kind(kind).word, []).append(edges)
    return ranges


def merge(parts: Iterable[TrainedOn]) -> TrainedOn:
    """All that the parts cover, in as few ranges as can be, ascending.

    The order of the parts, and parts that come twice, change nothing.
    """
    every = sorted((kind, *edges) for part in parts for kind in part for edges in part[kind])
    merged: dict[str, list[tuple[int, int]]] = {}
    for kind, low, high in every:
        ranges = merged.setdefault(kind, [(low, high)])
        first, last = ranges[-1]
        if low <= last:
            ranges[-1] = first, max(last, high)
        else:
            ranges.append((low, high))
    return merged


def bands_outside(
    bands: BandDescription, used: NDArray[np.bool_], trained_on: TrainedOn | None, weights: str
) -> str | None:
    """What there is to tell of bands whose centre the training did not cover; None = nothing.

    Args:
        bands: arrays [N].
        used: bool [N], the bands to look at.
        trained_on: what the weights know; None = nobody knows, so there is nothing to tell.
        weights: their name.
    """
    if trained_on is None:
        return None
    outside: dict[str, list[str]] = {}
    for i in np.flatnonzero(used).tolist():
        centre, kind = bands.wavelength_nm[i], Kind(bands.kind[i]).word
        if not any(low <= centre <= high for low, high in trained_on.get(kind, ())):
            outside.setdefault(kind, []).append(f"{centre:g} nm (band {i + 1})")
    if not outside:
        return None
    kinds = "; nor on ".join(
        f"{kind} at {', '.join(centres)}, {_elsewhere(trained_on.get(kind, ()))}"
        for kind, centres in outside.items()
    )
    alone = sum(map(len, outside.values())) == used.sum()
    advice = (
        "there are no other bands, so do not rely on the mask"
        if alone
        else "the mask may be worse for it: mask without such bands to compare"
    )
    return f"the weights {weights} were not trained on {kinds}; {advice}"


def _elsewhere(ranges: Sequence[tuple[int, int]]) -> str:
    """Where a kind of band was trained on."""
    words = ", ".join(f"{low}-{high}" for low, high in ranges)
    return f"only at {words} nm" if ranges else "nor at any other wavelength"
