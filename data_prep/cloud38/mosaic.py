"""A scene of 38-Cloud as the patches that it was cut into, put together again window by window."""

from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from permjax.rasters import Window, open_raster, read_dn

SIDE: Final = 384
"""Pixels of a patch along each side."""


class Place(NamedTuple):
    """Where a patch lies in its scene: row and column of patches, both from 1."""

    row: int
    column: int


def grid_of(numbers: Mapping[Place, int]) -> tuple[int, int]:
    """Rows and columns of patches of a scene.

    Patches are numbered from 1 along rows, so that a number below the first row tells how many
    columns there are, be the last ones there or not.

    Args:
        numbers: the number of each patch.

    Raises:
        ValueError: number and place of a patch contradict each other or those of others.
    """
    lowest = max(numbers, key=lambda place: (place.row, place.column))
    columns = max(place.column for place in numbers)
    if lowest.row > 1:
        columns = (numbers[lowest] - lowest.column) // (lowest.row - 1)
    for (row, column), number in numbers.items():
        if number != (row - 1) * columns + column or column > columns:
            raise ValueError(
                f"patch {number}_{row}_by_{column} does not fit {columns} patches in a row, as "
                f"patch {numbers[lowest]}_{lowest.row}_by_{lowest.column} has it"
            )
    return lowest.row, columns


def whole_grid(truth: DatasetReader, rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of patches of a scene with this truth, of which patches may be missing.

    Raises:
        ValueError: the patches found are of a scene of another size; the message names the file.
    """
    fitting = ceil(truth.height / SIDE), ceil(truth.width / SIDE)
    if rows > fitting[0] or columns != fitting[1]:
        raise ValueError(
            f"{truth.name}: has {truth.height} x {truth.width} pixels, but the patches of the "
            f"scene make {rows} rows of {columns}, {rows * SIDE} x {columns * SIDE} pixels"
        )
    return fitting


def read_patches(files: Mapping[Place, Path], window: Window, dtype: str | None) -> NDArray:
    """The numbers [h, w] in a window of a scene; 0 where there is no patch.

    Args:
        files: of the patches.
        window: rows and columns of pixels of the scene.
        dtype: that files must have; None = any, and the result is True where numbers are positive.

    Raises:
        OSError: a file is damaged.
        ValueError: a file has another size or type; the message names it.
    """
    rows, columns = window
    shape = rows.stop - rows.start, columns.stop - columns.start
    numbers = np.zeros(shape, bool if dtype is None else dtype)
    for row, of_window, of_patch in _pieces(rows):
        for column, columns_of_window, columns_of_patch in _pieces(columns):
            path = files.get(Place(row, column))
            if path is not None:
                with _open_patch(path, dtype) as patch:
                    read = read_dn(patch, 1, (of_patch, columns_of_patch))
                numbers[of_window, columns_of_window] = read > 0 if dtype is None else read
    return numbers


def _pieces(pixels: slice) -> Iterator[tuple[int, slice, slice]]:
    """Patches along an axis, from 1: which, and its pixels in the window and in the patch."""
    for index in range(pixels.start // SIDE, ceil(pixels.stop / SIDE)):
        first, last = max(pixels.start, index * SIDE), min(pixels.stop, (index + 1) * SIDE)
        yield (
            index + 1,
            slice(first - pixels.start, last - pixels.start),
            slice(first - index * SIDE, last - index * SIDE),
        )


def _open_patch(path: Path, dtype: str | None) -> DatasetReader:
    patch = open_raster(path)
    fault = None
    if patch.shape != (SIDE, SIDE) or patch.count != 1:
        height, width = patch.shape
        fault = f"has {patch.count} band of {height} x {width} pixels, not 1 of {SIDE} x {SIDE}"
    elif dtype not in (None, patch.dtypes[0]):
        fault = f"holds {patch.dtypes[0]}, not {dtype} digital numbers of Landsat 8"
    if fault:
        patch.close()
        raise ValueError(f"{path}: {fault}")
    return patch


def read_truth(truth: DatasetReader, grid: tuple[int, int], window: Window) -> NDArray[np.int8]:
    """The truth of a whole scene in a window of its patches: 0 clear, 1 cloud, -1 outside.

    A scene was padded by zeros to whole patches, half on each side and the odd pixel at the end, as
    the publisher's evaluation has it (`unzeropad` in evaluation.m).

    Args:
        truth: open file, positive = cloud.
        grid: rows and columns of patches.
        window: rows and columns of pixels.

    Raises:
        OSError: the file is damaged.
    """
    inside, cut = [], []
    for pixels, patches, size in zip(window, grid, truth.shape, strict=True):
        before = (patches * SIDE - size) // 2
        first = min(max(pixels.start, before), before + size)
        last = max(min(pixels.stop, before + size), first)
        inside.append(slice(first - pixels.start, last - pixels.start))
        cut.append(slice(first - before, last - before))
    cloud = np.full([pixels.stop - pixels.start for pixels in window], -1, np.int8)
    if all(part.stop > part.start for part in cut):
        cloud[tuple(inside)] = read_dn(truth, 1, (cut[0], cut[1])) > 0
    return cloud
