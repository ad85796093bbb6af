"""Cloud masks of arrays and of scenes, window by window.

Axes: B batch, H and W height and width of an image, h and w of a window, N bands, C classes.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from flax import nnx
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.progress import Progress

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.classes import CLASS_COUNT, NO_DATA, CloudClass
from permjax.mask_files import mask_file
from permjax.rasters import Scene, Window
from permjax.scenes import open_scene

Model = Callable[[Any, BandDescription, Any], Any]
ReadWindow = Callable[[Window], NDArray[np.float32]]

BRIGHTEST: Final = 5.0
"""A median reflectance above this is no reflectance: sunlit cloud stays below 2."""

COLDEST_K: Final = 130.0
HOTTEST_K: Final = 450.0
"""A median outside is not in kelvin: the coldest cloud tops are near 160 K, bare ground in the sun
near 350 K."""


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


class Masker:
    """Masks clouds with one model, in images of any size.

    Large images are masked in windows of one shape, so that the model is compiled once. Windows
    overlap, and the probabilities of overlapping windows fade into each other: there are no
    seams, and a model that sees single pixels gives what it gives for the whole image. A pixel
    without data gets no class; a band without data in a window is told to the model as not valid.

    Args:
        model: `model(image [B, H, W, N], bands [B, N], valid [B, N]) -> logits [B, H, W, C]`,
            a Flax NNX module such as `permjax.models.CloudMasker` or a function that JAX traces;
            the image is float32 with NaN where there is no data.
        window_size: greatest height and width of a window in pixels.
        overlap: pixels that neighbouring windows share.

    Raises:
        ValueError: the windows do not advance.
    """

    def __init__(self, model: Model, *, window_size: int = 512, overlap: int = 64) -> None:
        if not 0 <= overlap < window_size:
            raise ValueError(
                f"overlap {overlap} must be at least 0 and less than window_size {window_size}"
            )
        self._window_size, self._overlap = window_size, overlap
        self._probabilities = _compile(model)

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
        strips = self._strips(image.__getitem__, image.shape[0], image.shape[1], bands)
        probabilities = np.concatenate([strip for _, strip in strips])
        return CloudMask(probabilities, _classes(probabilities))

    def mask_scene(
        self,
        source: Scene | str | os.PathLike[str],
        destination: str | os.PathLike[str],
        *,
        show_progress: bool = True,
    ) -> MaskSummary:
        """Masks a scene into a GeoTIFF: uint8 classes, 255 = no data, with a colour table.

        The scene is read, masked and written strip by strip, never whole. An interrupted run
        leaves no file.

        Args:
            source: an open scene, or a path for `open_scene`.
            destination: path of the mask; a file that is there is replaced.
            show_progress: draw a progress bar on standard error.

        Raises:
            FileNotFoundError: the folder of `destination` is not there.
            OSError, ValueError: the scene cannot be read, or is itself the destination.
        """
        if not isinstance(source, Scene):
            with open_scene(source) as scene:
                return self.mask_scene(scene, destination, show_progress=show_progress)
        start = time.perf_counter()
        counts = np.zeros(NO_DATA + 1, np.int64)
        console = Console(stderr=True, quiet=not show_progress)
        with mask_file(Path(destination), source) as file, Progress(console=console) as progress:
            task = progress.add_task(f"masking {source.name}", total=source.height)
            strips = self._strips(source.read, source.height, source.width, source.bands)
            for row, probabilities in strips:
                classes = _classes(probabilities)
                rows = slice(row, row + len(classes))
                file.write(classes, 1, window=(rows, slice(0, source.width)))
                counts += np.bincount(classes.ravel(), minlength=len(counts))
                progress.advance(task, len(classes))
        return _summary(counts, time.perf_counter() - start)

    def _strips(
        self, read: ReadWindow, height: int, width: int, bands: BandDescription
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """First row and probabilities [h, W, C] of strips, from the top of the image down."""
        h, w = min(self._window_size, height), min(self._window_size, width)
        rows = _starts(height, h, self._overlap)
        columns = _starts(width, w, self._overlap)
        fade = np.outer(_fade(h, self._overlap), _fade(w, self._overlap))
        windows = (
            (slice(row, row + h), slice(column, column + w))
            for row, column in product(rows, columns)
        )
        images = _read_ahead(read, windows)
        found = np.zeros(len(bands.kind), bool)
        sums = np.zeros((h, width, CLASS_COUNT), np.float32)
        weights = np.zeros((h, width, 1), np.float32)
        for row, next_row in zip(rows, [*rows[1:], height], strict=True):
            for column in columns:
                probabilities, data, valid = self._window(next(images), bands)
                found |= valid
                weight = (fade * data)[..., None]
                sums[:, column : column + w] += weight * probabilities
                weights[:, column : column + w] += weight
            done = next_row - row
            with np.errstate(invalid="ignore"):
                yield row, sums[:done] / weights[:done]
            for part in (sums, weights):
                part[: h - done] = part[done:].copy()
                part[h - done :] = 0
        _tell_blank(bands, found)

    def _window(
        self, image: NDArray[np.float32], bands: BandDescription
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Probabilities [h, w, C] of one window, its pixels [h, w] and bands [N] with data."""
        finite = np.isfinite(image)
        data = np.asarray(finite.any(axis=2))
        valid = np.asarray(finite.any(axis=(0, 1)))
        if not valid.any():
            return np.zeros((*data.shape, CLASS_COUNT), np.float32), data, valid
        _check_values(image, bands)
        image = np.where(finite, image, np.float32(np.nan))
        batch = (image[None], BandDescription(*(part[None] for part in bands)), valid[None])
        return np.asarray(self._probabilities(*batch)[0]), data, valid


def _compile(model: Model) -> Callable[[Any, BandDescription, Any], jax.Array]:
    """The model's probabilities [B, H, W, C] as one compiled function, its parameters passed in."""
    graph, state = nnx.split(model) if isinstance(model, nnx.Module) else (None, None)

    @jax.jit
    def probabilities(state: Any, image: Any, bands: BandDescription, valid: Any) -> jax.Array:
        masker = model if graph is None else nnx.merge(graph, state)
        return jax.nn.softmax(masker(image, bands, valid), axis=-1)

    return lambda image, bands, valid: probabilities(state, image, bands, valid)


def _starts(length: int, size: int, overlap: int) -> list[int]:
    """First pixels of windows along one axis; the last is moved inwards to end at the edge."""
    last = length - size
    if last == 0:
        return [0]
    return [min(start, last) for start in range(0, last + size - overlap, size - overlap)]


def _fade(size: int, overlap: int) -> NDArray[np.float32]:
    """Weights [size] of a window: rising over the overlap from its edges, then 1."""
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 1
    return np.minimum(distance / (overlap + 1), 1).astype(np.float32)


def _read_ahead(read: ReadWindow, windows: Iterable[Window]) -> Iterator[NDArray[np.float32]]:
    """The images of windows, each read while the one before it is masked."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = None
        for window in windows:
            due, coming = coming, reader.submit(read, window)
            if due is not None:
                yield due.result()
        if coming is not None:
            yield coming.result()


def _classes(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The most probable class [H, W], `NO_DATA` where probabilities are NaN."""
    classes = probabilities.argmax(axis=-1).astype(np.uint8)
    return np.where(np.isnan(probabilities).any(axis=-1), np.uint8(NO_DATA), classes)


def _check_values(image: NDArray[np.float32], bands: BandDescription) -> None:
    """Refuses digital numbers and percentages for reflectance, and degrees Celsius for kelvin.

    Raises:
        ValueError: naming the band.
    """
    sample = image[::8, ::8]
    for i, kind in enumerate(bands.kind):
        values = sample[np.isfinite(sample[..., i]), i]
        if not values.size:
            continue
        typical = np.median(values)
        band = f"band {i + 1} ({bands.wavelength_nm[i]:g} nm) has values around {typical:g}"
        if kind == Kind.BRIGHTNESS_TEMPERATURE and typical < COLDEST_K:
            raise ValueError(f"{band}, too cold for kelvin: give kelvin, and NaN for no data")
        if kind == Kind.BRIGHTNESS_TEMPERATURE and typical > HOTTEST_K:
            raise ValueError(f"{band}, too hot for kelvin: scale its digital numbers")
        if kind != Kind.BRIGHTNESS_TEMPERATURE and typical > BRIGHTEST:
            raise ValueError(
                f"{band}, but reflectance lies between 0 and about 1.3: scale its digital numbers"
            )


def _tell_blank(bands: BandDescription, found: NDArray[np.bool_]) -> None:
    blank = [f"{wavelength:g} nm" for wavelength in bands.wavelength_nm[~found]]
    if blank and found.any():
        warnings.warn(f"bands without any data were left out: {', '.join(blank)}", stacklevel=3)
    elif blank:
        warnings.warn("the image holds no data at all", stacklevel=3)


def _summary(counts: NDArray[np.int64], seconds: float) -> MaskSummary:
    with_data = max(counts[:NO_DATA].sum(), 1)
    cloud = counts[CloudClass.THICK_CLOUD] + counts[CloudClass.THIN_CLOUD]
    return MaskSummary(
        cloud_percent=float(100 * cloud / with_data),
        shadow_percent=float(100 * counts[CloudClass.CLOUD_SHADOW] / with_data),
        no_data_percent=float(100 * counts[NO_DATA] / counts.sum()),
        seconds=seconds,
    )
