"""Label files as they come, codes that must be known; and labels in words."""

from collections.abc import Container, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from permjax.classes import CloudClass
from permjax.rasters import read_dn

INTEGERS: Final = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")

_ROWS = 512


def check_size(file: DatasetReader, image: DatasetReader) -> None:
    """Refuses a file that is not on the grid of another.

    Raises:
        ValueError: their sizes differ; the message names both files.
    """
    if file.shape != image.shape:
        raise ValueError(
            f"{file.name}: has {file.height} x {file.width} pixels, but {image.name} has "
            f"{image.height} x {image.width}"
        )


def scan_codes(
    label: DatasetReader, known: Container[int], types: Container[str] = ("uint8",)
) -> set[int]:
    """The codes that a label file uses, read in strips.

    Args:
        label: a file of one band.
        known: the codes that the data set has.
        types: of numbers that the band may have.

    Raises:
        ValueError: it is of another type, or holds another code; the message names the file.
        OSError: it is damaged.
    """
    if label.count != 1 or label.dtypes[0] not in types:
        wanted = "uint8" if types == ("uint8",) else "integer"
        raise ValueError(
            f"{label.name}: must be one {wanted} band of codes, not {label.count} of "
            f"{label.dtypes[0]}"
        )
    codes: set[int] = set()
    for row in range(0, label.height, _ROWS):
        rows = slice(row, min(row + _ROWS, label.height))
        strip = read_dn(label, 1, (rows, slice(0, label.width)))
        # Sorting, as np.unique does, takes many times as long as counting.
        few = strip.dtype == np.uint8
        used = np.flatnonzero(np.bincount(strip.ravel())) if few else np.unique(strip)
        codes.update(used.tolist())
    unknown = sorted(code for code in codes if code not in known)
    if unknown:
        raise ValueError(
            f"{label.name}: holds the codes {unknown}, which the data set does not have"
        )
    return codes


def bits_of(codes: Mapping[int, int]) -> NDArray[np.uint8]:
    """The label of every code, uint8 [256]; those that are not named are unlabelled."""
    bits = np.zeros(256, np.uint8)
    bits[list(codes)] = list(codes.values())
    return bits


def label_title(label: int) -> str:
    """A label for people: `clear or cloud shadow`; `unlabelled` for none."""
    return " or ".join(c.title for c in CloudClass if label & c.bit) or "unlabelled"
