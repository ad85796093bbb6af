"""The mask of a scene, written from the parts that windows decide.

Axes: h and w height and width of a part, W width of the scene, N bands.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetWriter

from permjax.bands import BandDescription, Kind
from permjax.classes import NO_DATA, CloudClass
from permjax.mask_files import (
    beside,
    file_names,
    mask_file,
    new_files,
    probabilities_file,
    write_picture,
)
from permjax.quicklook import Quicklook
from permjax.rasters import Scene
from permjax.styles import Strip, Style, recode, refine
from permjax.windows import Part


@dataclass(frozen=True)
class MaskSummary:
    """What a mask file holds: percentages of the pixels with data, and the time it took."""

    cloud_percent: float
    shadow_percent: float
    no_data_percent: float
    """Of all pixels."""
    seconds: float


def write_scene_mask(
    parts: Iterable[Part],
    scene: Scene,
    destination: Path,
    *,
    style: Style,
    dilate_m: float,
    min_size_m: float,
    probabilities: bool,
    quicklook: bool,
    weights: str,
) -> MaskSummary:
    """Writes a scene's mask, and what is wanted beside it, as `Masker.mask_scene` tells.

    The parts are taken one by one as they are decided. An interrupted run leaves no file, and
    older ones as they were.

    Args:
        parts: together the scene, in rows of one height from the top down, each from the left.
        scene: gives the grid and the bands.
        destination: path of the mask.
        style: of the codes.
        dilate_m: see `refine`.
        min_size_m: see `refine`.
        probabilities: also write them.
        quicklook: also write a picture.
        weights: the name of the model's parameters.

    Raises:
        OSError, ValueError: as `new_files` and `refine` do.
    """
    start = time.perf_counter()
    percent_name = beside(destination, "probabilities", ".tif")
    picture_name = beside(destination, "quicklook", ".png")
    names = file_names(destination, probabilities, quicklook)
    picture = Quicklook(scene.height, scene.width, scene.bands)
    used, counts, row = np.zeros(len(scene.bands.kind), bool), np.zeros(NO_DATA + 1, np.int64), 0
    with new_files(destination, scene, names) as folder, ExitStack() as files:
        file = files.enter_context(mask_file(folder / destination.name, scene, style, weights))
        if probabilities:
            path = folder / percent_name
            percent = files.enter_context(probabilities_file(path, scene, weights))
            parts = _with_percent(parts, percent)
        if quicklook:
            parts = _with_picture(parts, picture)
        strips = _strips(_with_bands(parts, used), scene.width)
        for classes in refine(strips, dilate_m, min_size_m, scene.gsd_m):
            window = (slice(row, row + len(classes)), slice(0, scene.width))
            file.write(recode(classes, style), 1, window=window)
            counts += np.bincount(classes.ravel(), minlength=len(counts))
            picture.add_classes(window, classes)
            row += len(classes)
        if quicklook:
            write_picture(folder / picture_name, picture.drawn())
        shares = _shares(counts)
        file.update_tags(bands_nm=_described(scene.bands, used))
        file.update_tags(**{name: f"{percent:.2f}" for name, percent in shares.items()})
    return MaskSummary(**shares, seconds=time.perf_counter() - start)


def _with_percent(parts: Iterable[Part], file: DatasetWriter) -> Iterator[Part]:
    """The same parts, their probabilities written in whole percent."""
    for part in parts:
        percent = np.nan_to_num(np.rint(100 * part.probabilities), nan=NO_DATA).astype(np.uint8)
        file.write(np.moveaxis(percent, -1, 0), window=part.window)
        yield part


def _with_picture(parts: Iterable[Part], picture: Quicklook) -> Iterator[Part]:
    """The same parts, their images drawn."""
    for part in parts:
        picture.add_image(part.window, part.image)
        yield part


def _with_bands(parts: Iterable[Part], used: NDArray[np.bool_]) -> Iterator[Part]:
    """The same parts, their bands that hold data marked in `used` [N]."""
    for part in parts:
        used |= part.valid
        yield part


def _strips(parts: Iterable[Part], width: int) -> Iterator[Strip]:
    """The classes [h, W] of rows of parts."""
    strip = np.empty((0, width), np.uint8)
    for part in parts:
        columns = part.window[1]
        if columns.start == 0:
            strip = np.empty((len(part.classes), width), np.uint8)
        strip[:, columns] = part.classes
        if columns.stop == width:
            yield strip


def _shares(counts: NDArray[np.int64]) -> dict[str, float]:
    """What `MaskSummary` says of the numbers of pixels of each code."""
    with_data = max(counts[:NO_DATA].sum(), 1)
    cloud = counts[CloudClass.THICK_CLOUD] + counts[CloudClass.THIN_CLOUD]
    return {
        "cloud_percent": float(100 * cloud / with_data),
        "shadow_percent": float(100 * counts[CloudClass.CLOUD_SHADOW] / with_data),
        "no_data_percent": float(100 * counts[NO_DATA] / counts.sum()),
    }


def _described(bands: BandDescription, used: NDArray[np.bool_]) -> str:
    """The bands that were used, as `permjax mask --bands` takes them."""
    rows = zip(*(trait[used] for trait in bands), strict=True)
    return ",".join(f"{w:g}:{b:g}:{Kind(kind).word}" for w, b, kind in rows)
