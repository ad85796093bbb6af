"""Cloud masks of arrays and of scenes, window by window.

Axes: H and W height and width of an image, h and w of a window, N bands, C classes.
"""

import dataclasses
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.io import DatasetWriter
from rich.console import Console
from rich.progress import Progress

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.classes import CLASS_COUNT, NO_DATA, CloudClass
from permjax.compiled import Model, compile_model
from permjax.mask_files import beside, mask_file, new_files, probabilities_file
from permjax.plausibility import check_values, doubt_about
from permjax.quicklook import Quicklook
from permjax.rasters import Scene, Window
from permjax.scenes import open_scene
from permjax.styles import check_style, recode, refine
from permjax.windows import STEPS_AFTER, STEPS_BEFORE, ReadWindow, Span, read_windows, spans

WINDOW_SIZE: Final = 768
"""Greater windows overlap less, and touch so much more memory that they gain no time on a CPU."""


@dataclass(frozen=True)
class CloudMask:
    """The mask of an image.

    Args:
        probabilities: float32 [H, W, C], summing to 1 over C; NaN where there is no data.
        classes: uint8 [H, W], the most probable class; `NO_DATA` where there is no data.
    """

    probabilities: NDArray[np.float32]
    classes: NDArray[np.uint8]


@dataclass(frozen=True)
class MaskSummary:
    """What a mask file holds: percentages of the pixels with data, and the time it took."""

    cloud_percent: float
    shadow_percent: float
    no_data_percent: float
    """Of all pixels."""
    seconds: float


class _Part(NamedTuple):
    """What a window decides: its place, its image [h, w, N], and of each pixel the result."""

    window: Window
    image: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    classes: NDArray[np.uint8]


class Masker:
    """Masks clouds with one model, in images of any size.

    Large images are masked in windows of one shape, so that the model is compiled once for a
    number of bands. Each pixel is decided by a window in which all that the model sees for it
    lies: there are no seams, and the result is that of the model on the whole image. A pixel
    without data gets no class; what is missing within an image is filled with the mean of what is
    near it, so that its neighbours see no edge; a band without data in a window, or all 0, is told
    to the model as not valid.

    Compiled programs are kept in the user's cache folder for later runs, unless JAX has been told
    of a folder (`jax_compilation_cache_dir`).

    Args:
        model: `model(image [B, H, W, N], bands [B, N], valid [B, N]) -> logits [B, H, W, C]`,
            a Flax NNX module such as `permjax.models.CloudMasker` or a function that JAX traces;
            the image is float32. A `CloudMasker` tells by `step` how far it sees; a model without
            it must not see farther than 5 pixels.
        window_size: greatest height and width of a window in pixels, multiples of the step.
        weights: what the tags of mask files call the model's parameters.

    Raises:
        ValueError: windows of this size do not advance.
    """

    def __init__(
        self, model: Model, *, window_size: int = WINDOW_SIZE, weights: str = "not named"
    ) -> None:
        self.step: int = getattr(model, "step", 1)
        least = (STEPS_BEFORE + STEPS_AFTER + 1) * self.step
        if window_size < least or window_size % self.step:
            raise ValueError(
                f"window_size {window_size} must be a multiple of {self.step} and at least {least}"
            )
        self._window_size, self._weights = window_size, weights
        self._compute = compile_model(model)

    def predict(
        self,
        image: ArrayLike,
        *,
        wavelength_nm: ArrayLike,
        bandwidth_nm: ArrayLike,
        kind: str | int | Sequence[str | int] = "reflectance",
    ) -> CloudMask:
        """The mask of an image in memory.

        Args:
            image: [H, W, N], reflectance unitless, thermal bands in kelvin, NaN = no data.
            wavelength_nm: band centres [N] in nanometres.
            bandwidth_nm: full widths at half maximum [N] in nanometres.
            kind: "reflectance", "surface_reflectance" or "brightness_temperature", one for all
                bands or one for each.

        Raises:
            ValueError: the image or the description of its bands is wrong.
        """
        image = np.asarray(image, np.float32)
        if image.ndim != 3 or image.size == 0:
            raise ValueError(f"image must be [height, width, bands], not of shape {image.shape}")
        bands = describe_bands(wavelength_nm, bandwidth_nm, kind, image.shape[2])
        height, width = image.shape[:2]
        probabilities = np.empty((height, width, CLASS_COUNT), np.float32)
        classes = np.empty((height, width), np.uint8)
        found = np.zeros(len(bands.kind), bool)
        for part in self._parts(image.__getitem__, height, width, bands, found):
            probabilities[part.window], classes[part.window] = part.probabilities, part.classes
        _tell_blank(bands, found)
        return CloudMask(probabilities, classes)

    def mask_scene(
        self,
        source: Scene | str | os.PathLike[str],
        destination: str | os.PathLike[str],
        *,
        style: str = "classes",
        dilate_m: float = 0.0,
        min_size_m: float = 0.0,
        probabilities: bool = False,
        quicklook: bool = False,
        show_progress: bool = True,
    ) -> MaskSummary:
        """Masks a scene into a cloud optimised GeoTIFF: uint8 codes, 255 = no data, with colours.

        The scene is read, masked and written window by window, never whole; with `min_size_m` as
        many rows of classes are held as that square has pixels. An interrupted run leaves no file,
        and older ones as they were.

        Args:
            source: an open scene, or a path for `open_scene`.
            destination: path of the mask; files that are there are replaced.
            style: "classes" (0 clear, 1 thick cloud, 2 thin cloud, 3 cloud shadow), "cloud"
                (1 = cloud, 0 = none) or "valid" (1 = neither cloud nor shadow).
            dilate_m: grow clouds and shadows so far, in metres.
            min_size_m: clouds and shadows smaller than a square with such sides become clear.
            probabilities: also write `cloud_probabilities.tif` beside `cloud.tif`: a band a class
                with whole percent, uint8, 255 = no data, as the model gives them.
            quicklook: also write `cloud_quicklook.png`, the scene with outlines of the mask.
            show_progress: draw a progress bar on standard error.

        Raises:
            FileNotFoundError: the folder of `destination` is not there.
            OSError, ValueError: the scene cannot be read, is itself the destination, or is not
                what its description says.
        """
        if not isinstance(source, Scene):
            with open_scene(source) as scene:
                return self.mask_scene(
                    scene,
                    destination,
                    style=style,
                    dilate_m=dilate_m,
                    min_size_m=min_size_m,
                    probabilities=probabilities,
                    quicklook=quicklook,
                    show_progress=show_progress,
                )
        start, known_style, destination = time.perf_counter(), check_style(style), Path(destination)
        sides = (
            beside(destination, "probabilities", ".tif") if probabilities else None,
            beside(destination, "quicklook", ".png") if quicklook else None,
        )
        names = (*filter(None, sides), destination.name)
        counts, tags = np.zeros(NO_DATA + 1, np.int64), dict[str, str]()
        found = np.zeros(len(source.bands.kind), bool)
        picture = Quicklook(source.height, source.width, source.bands) if quicklook else None
        with new_files(destination, source, names) as folder, ExitStack() as closing:
            file = closing.enter_context(
                mask_file(folder / destination.name, source, known_style, tags)
            )
            percent = sides[0] and closing.enter_context(
                probabilities_file(folder / sides[0], source)
            )
            parts = self._parts(source.read, source.height, source.width, source.bands, found)
            strips = _strips(_shown(parts, source, show_progress), source.width, picture, percent)
            row = 0
            for classes in refine(strips, dilate_m, min_size_m, source.gsd_m):
                window = (slice(row, row + len(classes)), slice(0, source.width))
                file.write(recode(classes, known_style), 1, window=window)
                counts += np.bincount(classes.ravel(), minlength=len(counts))
                if picture:
                    picture.add_classes(window, classes)
                row += len(classes)
            if picture and sides[1]:
                picture.write(folder / sides[1])
            summary = _summary(counts, time.perf_counter() - start)
            tags |= _tags(summary, source.bands, found, self._weights)
        _tell_blank(source.bands, found)
        return dataclasses.replace(summary, seconds=time.perf_counter() - start)

    def _parts(
        self,
        read: ReadWindow,
        height: int,
        width: int,
        bands: BandDescription,
        found: NDArray[np.bool_],
    ) -> Iterator[_Part]:
        """What the windows decide, row by row; bands [N] with data are marked in `found`."""
        rows = spans(height, self._window_size, self.step)
        columns = spans(width, self._window_size, self.step)
        coming, doubt = None, None
        for row, column, image in read_windows(read, rows, columns, len(bands.kind)):
            check_values(image, bands)
            if doubt is None and (doubt := doubt_about(image, bands)):
                warnings.warn(doubt, stacklevel=3)
            # The device computes one window while the one before is taken off it and written.
            due, coming = coming, (row, column, image, self._start(image, bands))
            if due is not None:
                yield _decided(*due, found)
        if coming is not None:
            yield _decided(*coming, found)

    def _start(
        self, image: NDArray[np.float32], bands: BandDescription
    ) -> tuple[jax.Array, jax.Array, jax.Array] | None:
        """Probabilities, classes and valid bands of a window, coming; None without any data."""
        if not (np.isfinite(image[::16, ::16]).any() or np.isfinite(image).any()):
            return None
        return self._compute(image, bands)


def _decided(
    row: Span, column: Span, image: NDArray[np.float32], coming: Any, found: NDArray[np.bool_]
) -> _Part:
    """What a window decides, cut out of what was computed for it."""
    window = (slice(row.first, row.last), slice(column.first, column.last))
    inside = (
        slice(row.first - row.start, row.last - row.start),
        slice(column.first - column.start, column.last - column.start),
    )
    image = image[inside]
    if coming is None:
        probabilities = np.full((*image.shape[:2], CLASS_COUNT), np.nan, np.float32)
        return _Part(window, image, probabilities, np.full(image.shape[:2], NO_DATA, np.uint8))
    probabilities, classes, valid = map(np.asarray, coming)
    found |= valid
    return _Part(window, image, probabilities[inside], classes[inside])


def _shown(parts: Iterator[_Part], scene: Scene, show_progress: bool) -> Iterator[_Part]:
    """The same parts, with a progress bar on standard error."""
    console = Console(stderr=True, quiet=not show_progress)
    with Progress(console=console) as progress:
        task = progress.add_task(f"masking {scene.name}", total=scene.height * scene.width)
        for part in parts:
            yield part
            progress.advance(task, part.classes.size)


def _strips(
    parts: Iterator[_Part],
    width: int,
    picture: Quicklook | None,
    percent: DatasetWriter | None,
) -> Iterator[NDArray[np.uint8]]:
    """The classes [h, W] of rows of windows; picture and probabilities are taken on the way."""
    strip = np.empty((0, width), np.uint8)
    for rows_and_columns, image, probabilities, classes in parts:
        columns = rows_and_columns[1]
        if columns.start == 0:
            strip = np.empty((len(classes), width), np.uint8)
        strip[:, columns] = classes
        if picture:
            picture.add_image(rows_and_columns, image)
        if percent:
            codes = np.nan_to_num(np.rint(100 * probabilities), nan=NO_DATA).astype(np.uint8)
            percent.write(np.moveaxis(codes, -1, 0), window=rows_and_columns)
        if columns.stop == width:
            yield strip


def _tell_blank(bands: BandDescription, found: NDArray[np.bool_]) -> None:
    blank = [f"{wavelength:g} nm" for wavelength in bands.wavelength_nm[~found]]
    if blank and found.any():
        warnings.warn(f"bands without any data were left out: {', '.join(blank)}", stacklevel=3)
    elif blank:
        warnings.warn("the image holds no data at all", stacklevel=3)


def _tags(
    summary: MaskSummary, bands: BandDescription, found: NDArray[np.bool_], weights: str
) -> dict[str, str]:
    """What a mask file says of itself."""
    used = zip(*(part[found] for part in bands), strict=True)
    return {
        "cloud_percent": f"{summary.cloud_percent:.2f}",
        "shadow_percent": f"{summary.shadow_percent:.2f}",
        "no_data_percent": f"{summary.no_data_percent:.2f}",
        "bands_nm": ",".join(f"{w:g}:{b:g}:{Kind(kind).word}" for w, b, kind in used),
        "weights": weights,
        "software": f"permjax {version('permjax')}",
    }


def _summary(counts: NDArray[np.int64], seconds: float) -> MaskSummary:
    with_data = max(counts[:NO_DATA].sum(), 1)
    cloud = counts[CloudClass.THICK_CLOUD] + counts[CloudClass.THIN_CLOUD]
    return MaskSummary(
        cloud_percent=float(100 * cloud / with_data),
        shadow_percent=float(100 * counts[CloudClass.CLOUD_SHADOW] / with_data),
        no_data_percent=float(100 * counts[NO_DATA] / counts.sum()),
        seconds=seconds,
    )
