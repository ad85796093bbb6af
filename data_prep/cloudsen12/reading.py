"""An image of CloudSEN12 read window by window, from files or memory maps.

Axes: h and w height and width of a window, N bands.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import DTypeLike, NDArray
from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, on_disk
from data_prep.cloudsen12.metadata import Row
from data_prep.codes import bits_of, check_size
from data_prep.sources import OpenScene
from permjax import classes
from permjax.radiometry import linear
from permjax.rasters import Window, open_raster, read_dn
from permjax.sensors import SENSORS

BANDS: Final = (*(f"B{n}" for n in range(1, 9)), "B8A", "B9", "B10", "B11", "B12")
BLUE: Final = BANDS.index("B2")
GSD_M: Final = 10.0
REFLECTANCE_STEP: Final = 1e-4

CODES: Final[Mapping[str, Mapping[int, int]]] = {
    "high": {
        0: classes.CLEAR,
        1: classes.THICK_CLOUD,
        2: classes.THIN_CLOUD,
        3: classes.CLOUD_SHADOW,
    },
    "scribble": {
        0: classes.CLEAR,
        1: classes.THICK_CLOUD,
        2: classes.THICK_CLOUD,
        3: classes.THIN_CLOUD,
        4: classes.THIN_CLOUD,
        5: classes.CLOUD_SHADOW,
        6: classes.CLOUD_SHADOW,
        99: classes.UNLABELLED,
    },
}
"""For each type of label, the classes that its codes mean."""

SCRIBBLES: Final = "labels are scribbles: most pixels are unlabelled"

MAP_SIDE: Final = 512
"""Pixels of an image in a memory map along each side."""

_ROWS: Final = 512

ReadNumbers = Callable[[Window], NDArray]
"""From a window to the numbers [h, w] in it."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """An image as it is stored, margin and all.

    Args:
        height: rows.
        width: columns.
        bands: digital numbers of the N bands.
        codes: of the label.
        blue_path: of the blue band, for messages.
        label_path: likewise.
    """

    height: int
    width: int
    bands: Sequence[ReadNumbers]
    codes: ReadNumbers
    blue_path: str
    label_path: str

    def strips(self) -> Iterator[Window]:
        """Windows of whole rows that cover it."""
        for row in range(0, self.height, _ROWS):
            yield slice(row, min(row + _ROWS, self.height)), slice(0, self.width)


# --- Opening --------------------------------------------------------------------------------


@contextmanager
def open_files(image: SourceFile, label: SourceFile, row: Row) -> Iterator[OpenScene]:
    """Opens an image that has files of its own."""
    with (
        on_disk([image, label]) as (image_path, label_path),
        open_raster(image_path) as bands,
        open_raster(label_path) as codes,
    ):
        _check_files(bands, codes)
        numbers = Numbers(
            bands.height,
            bands.width,
            [partial(read_dn, bands, i) for i in bands.indexes],
            partial(read_dn, codes, 1),
            bands.name,
            codes.name,
        )
        yield _opened(numbers, row)


@contextmanager
def open_maps(paths: Sequence[Path], index: int, row: Row) -> Iterator[OpenScene]:
    """Opens the image `index` of memory maps: of the bands, in order, and of the label."""
    *bands, label = paths
    numbers = Numbers(
        MAP_SIDE,
        MAP_SIDE,
        [_map(path, np.int16, index).__getitem__ for path in bands],
        _map(label, np.int8, index).__getitem__,
        str(bands[BLUE]),
        str(label),
    )
    yield _opened(numbers, row)


def _map(path: Path, dtype: DTypeLike, index: int) -> NDArray:
    """The part of a memory map [images, side, side] that is one image."""
    offset = index * MAP_SIDE**2 * np.dtype(dtype).itemsize
    return np.memmap(path, dtype, mode="r", offset=offset, shape=(MAP_SIDE, MAP_SIDE))


def _check_files(image: DatasetReader, label: DatasetReader) -> None:
    if image.count != len(BANDS) or image.dtypes[0] not in ("uint16", "int16"):
        raise ValueError(
            f"{image.name}: has {image.count} bands of {image.dtypes[0]}, not the {len(BANDS)} of "
            "uint16 or int16 that are B1 to B12 of a level 1C image"
        )
    if label.count != 1 or np.dtype(label.dtypes[0]).itemsize != 1:
        raise ValueError(
            f"{label.name}: must be one band of codes of 8 bits, not {label.count} of "
            f"{label.dtypes[0]}"
        )
    check_size(label, image)


# --- Reading --------------------------------------------------------------------------------


def _opened(numbers: Numbers, row: Row) -> OpenScene:
    codes = CODES[row.label_type]
    _check_codes(numbers, codes, row)
    bits = bits_of(codes)
    (top, bottom), (left, right) = inside = _inside(numbers, row)

    def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        window = (
            slice(top + rows.start, top + rows.stop),
            slice(left + columns.start, left + columns.stop),
        )
        dn = np.stack([band(window) for band in numbers.bands], axis=-1)
        image = linear(dn, REFLECTANCE_STEP, 0)
        image[(dn == 0).all(axis=-1)] = nan
        return image, bits[numbers.codes(window)]

    return OpenScene(
        height=bottom - top,
        width=right - left,
        bands=SENSORS[row.sensor].describe(BANDS),
        gsd_m=GSD_M,
        sun_elevation_deg=row.sun_elevation_deg,
        read=read,
        notes=(
            *row.notes,
            *([SCRIBBLES] if row.label_type == "scribble" else []),
            *_margin_note(numbers, inside),
            *_dead_note(numbers),
        ),
    )


def _check_codes(numbers: Numbers, known: Mapping[int, int], row: Row) -> None:
    used = set()
    for strip in numbers.strips():
        used.update(np.unique(numbers.codes(strip)).tolist())
    unknown = sorted(used - set(known))
    if unknown:
        raise ValueError(
            f"{numbers.label_path}: holds the codes {unknown} in {row.name}, which labels of type "
            f"{row.label_type} do not have"
        )


def _dead_note(numbers: Numbers) -> list[str]:
    middle = numbers.height // 2
    # Of a band that is alive one row is read.
    windows = [(slice(middle, middle + 1), slice(0, numbers.width)), *numbers.strips()]
    dead = [
        name
        for name, band in zip(BANDS, numbers.bands, strict=True)
        if not any(band(window).any() for window in windows)
    ]
    return [f"only zeros in {', '.join(dead)}"] if dead else []


Span = tuple[int, int]
"""First pixel along an axis and the one after the last."""


def _inside(numbers: Numbers, row: Row) -> tuple[Span, Span]:
    """Rows and columns without the margin of zeros, on whichever sides it lies.

    It is found in the blue band, which is never 0 where the sun shines at the top of the
    atmosphere; so one band is read, not all.
    """
    blue = numbers.bands[BLUE]
    rows, columns = np.zeros(numbers.height, bool), np.zeros(numbers.width, bool)
    for strip in numbers.strips():
        seen = blue(strip) != 0
        rows[strip[0]] = seen.any(axis=1)
        columns |= seen.any(axis=0)
    if not rows.any():
        raise ValueError(f"{numbers.blue_path}: holds only zeros in {row.name}; fetch it again")
    return _span(rows), _span(columns)


def _span(seen: NDArray[np.bool_]) -> Span:
    used = np.flatnonzero(seen)
    return int(used[0]), int(used[-1]) + 1


def _margin_note(numbers: Numbers, inside: tuple[Span, Span]) -> list[str]:
    (top, bottom), (left, right) = inside
    margins = {
        "above": top,
        "below": numbers.height - bottom,
        "left": left,
        "right": numbers.width - right,
    }
    said = ", ".join(f"{pixels} {side}" for side, pixels in margins.items() if pixels)
    return [f"margin of zeros left out: {said} (pixels)"] if said else []
