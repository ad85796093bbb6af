"""Rasters of one pixel size brought to another, with no data kept apart from data.

Axes: H and W of the raster that is read, h and w of the part of the target grid that is wanted.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

_EPSILON: Final = 1e-6
"""Pixels: what edges may differ by from rounding of coordinates."""


@dataclass(frozen=True)
class Taps:
    """The K pixels along one axis that each of h pixels is a weighted mean of.

    Args:
        span: of the pixels to read.
        index: int [h, K], counted from the start of `span`.
        weight: float32 [h, K], each row of sum 1.
        own: int [h], the pixel under each centre; None where several are averaged.
    """

    span: slice
    index: NDArray[np.intp]
    weight: NDArray[np.float32]
    own: NDArray[np.intp] | None


def taps(part: slice, step: float, length: int) -> Taps:
    """Averages over finer pixels, by the length of each that is covered; bilinear between coarser.

    Both grids begin at the same edge.

    Args:
        part: of the target grid.
        step: pixels of the raster in one pixel of the target grid.
        length: of the raster along this axis.
    """
    targets = np.arange(part.start, part.stop)[:, None]
    last = length - 1
    if step >= 1:
        begin, end = targets * step, np.minimum((targets + 1) * step, length)
        first = np.minimum(np.floor(begin + _EPSILON).astype(int), last)
        pixels = first + np.arange(ceil(step - _EPSILON) + (step % 1 > _EPSILON))
        weight = np.clip(np.minimum(end, pixels + 1) - np.maximum(begin, pixels), 0, None)
        weight[weight < _EPSILON] = 0
        weight[:, 0] += weight.sum(axis=1) == 0  # Past the edge: the last pixel.
        own = pixels[:, 0] if step == 1 else None
    else:
        centre = (targets + 0.5) * step
        low = np.floor(centre - 0.5).astype(int)
        pixels = low + np.arange(2)
        upper = centre - 0.5 - low
        weight = np.hstack([1 - upper, upper])
        own = np.minimum(np.floor(centre[:, 0]).astype(int), last)
    pixels = np.clip(pixels, 0, last)
    start = int(pixels.min())
    weight = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    own = None if own is None else own - start
    return Taps(slice(start, int(pixels.max()) + 1), pixels - start, weight, own)


def resample(
    values: NDArray, missing: NDArray[np.bool_], rows: Taps, columns: Taps
) -> NDArray[np.float32]:
    """The weighted means float32 [h, w] of pixels with data; NaN where there are none.

    Pixels without data change no other pixel: an average is that of the pixels with data below
    it, and an interpolated value has data where the pixel under its centre has.

    Args:
        values: [H, W], the spans of `rows` and `columns`.
        missing: [H, W], pixels without data, whatever their value.
        rows: taps of the rows.
        columns: taps of the columns.
    """
    values = np.asarray(values, np.float32)
    if not missing.any():
        return _blend(values, rows, columns)
    total = _blend(np.where(missing, np.float32(0), values), rows, columns)
    weight = _blend((~missing).astype(np.float32), rows, columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(weight > _EPSILON, total / weight, np.float32(np.nan))
    if rows.own is not None and columns.own is not None:
        mean[missing[np.ix_(rows.own, columns.own)]] = np.nan
    return mean


def _blend(values: NDArray[np.float32], rows: Taps, columns: Taps) -> NDArray[np.float32]:
    down = sum(values[rows.index[:, k]] * rows.weight[:, k, None] for k in range(_taps(rows)))
    across = np.asarray(down).T  # Whole rows are gathered faster than columns.
    across = sum(
        across[columns.index[:, k]] * columns.weight[:, k, None] for k in range(_taps(columns))
    )
    return np.asarray(across).T


def _taps(axis: Taps) -> int:
    return axis.index.shape[1]
