"""Cloud masks of arrays and of scenes, window by window.

Axes: H and W height and width of an image, h and w of a window, N bands, C classes.
"""

import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.progress import Progress

from permjax.bands import BandDescription, describe_bands
from permjax.classes import CLASS_COUNT, NO_DATA
from permjax.compiled import Model, compile_model
from permjax.plausibility import check_values, doubt_about
from permjax.rasters import Scene
from permjax.scene_masks import MaskSummary, write_scene_mask
from permjax.scenes import open_scene
from permjax.styles import check_style
from permjax.trained_on import TrainedOn, bands_outside
from permjax.windows import (
    ONE_WINDOW,
    STEPS_AFTER,
    STEPS_BEFORE,
    Part,
    ReadWindow,
    Span,
    read_windows,
    spans,
)

WINDOW_SIZE: Final = ONE_WINDOW
"""Of the greatest windows of an image that lies in memory anyway. They overlap, so that smaller
ones compute more of it twice."""

SCENE_WINDOW_SIZE: Final = 768
"""The same where an image is read from files: what lies in memory beside their decoded blocks."""


@dataclass(frozen=True)
class CloudMask:
    """The mask of an image.

    Args:
        probabilities: float32 [H, W, C], summing to 1 over C; NaN where there is no data.
        classes: uint8 [H, W], as `permjax.classes.decide` takes them from the probabilities;
            `NO_DATA` where there is no data.
    """

    probabilities: NDArray[np.float32]
    classes: NDArray[np.uint8]


class _Started(NamedTuple):
    """A window whose image is on its way through the model.

    Args:
        row: what it reads and decides of the rows.
        column: likewise of the columns.
        image: [h, w, N].
        coming: probabilities, classes and valid bands of the window; None = it holds no data.
    """

    row: Span
    column: Span
    image: NDArray[np.float32]
    coming: Any


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
        trained_on: the wavelengths they know; bands elsewhere are warned of. None = not known.

    Raises:
        ValueError: windows of this size do not advance.
    """

    def __init__(
        self,
        model: Model,
        *,
        window_size: int = WINDOW_SIZE,
        weights: str = "not named",
        trained_on: TrainedOn | None = None,
    ) -> None:
        self.step: int = getattr(model, "step", 1)
        least = (STEPS_BEFORE + STEPS_AFTER + 1) * self.step
        if window_size < least or window_size % self.step:
            raise ValueError(
                f"window_size {window_size} must be a multiple of {self.step} and at least {least}"
            )
        self._window_size, self._weights = window_size, weights
        self._trained_on = trained_on
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
            image: [H, W, N], reflectance unitless, thermal bands in kelvin; no data is NaN, or
                masked in a NumPy masked array.
            wavelength_nm: band centres [N] in nanometres.
            bandwidth_nm: full widths at half maximum [N] in nanometres.
            kind: "reflectance", "surface_reflectance" or "brightness_temperature", one for all
                bands or one for each.

        Raises:
            ValueError: the image or the description of its bands is wrong.
        """
        image = np.ma.filled(np.ma.asanyarray(image, np.float32), np.nan)
        if image.ndim != 3 or image.size == 0:
            raise ValueError(f"image must be [height, width, bands], not of shape {image.shape}")
        bands = describe_bands(wavelength_nm, bandwidth_nm, kind, image.shape[2])
        height, width = image.shape[:2]
        probabilities = np.empty((height, width, CLASS_COUNT), np.float32)
        classes = np.empty((height, width), np.uint8)
        rows, columns = (self._spans(length) for length in (height, width))
        for part in self._parts("the image", image.__getitem__, rows, columns, bands):
            probabilities[part.window], classes[part.window] = part.probabilities, part.classes
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
            min_size_m: clouds, shadows and gaps smaller than a square with such sides become what
                is around them.
            probabilities: also write `cloud_probabilities.tif` beside `cloud.tif`: a band a class
                with whole percent, uint8, 255 = no data, as the model gives them.
            quicklook: also write `cloud_quicklook.png`, the scene with outlines of the mask.
            show_progress: draw a progress bar, if standard error is a terminal.

        Raises:
            FileNotFoundError: the folder of `destination` is not there.
            OSError, ValueError: the scene cannot be read, is itself the destination, or is not
                what its description says.
        """
        known_style = check_style(style)
        opened = nullcontext(source) if isinstance(source, Scene) else open_scene(source)
        with (
            opened as scene,
            # Whatever goes wrong, no window is being read any more when the scene closes.
            closing(self._scene_parts(scene)) as parts,
            closing(_shown(parts, scene, show_progress)) as shown,
        ):
            for note in scene.notes:
                warnings.warn(f"{scene.name}: {note}", stacklevel=2)
            return write_scene_mask(
                shown,
                scene,
                Path(destination),
                style=known_style,
                dilate_m=dilate_m,
                min_size_m=min_size_m,
                probabilities=probabilities,
                quicklook=quicklook,
                weights=self._weights,
            )

    def _scene_parts(self, scene: Scene) -> Generator[Part, None, None]:
        rows, columns = (
            self._spans(length, SCENE_WINDOW_SIZE) for length in (scene.height, scene.width)
        )
        return self._parts(scene.name, scene.read, rows, columns, scene.bands)

    def _spans(self, length: int, largest: int = WINDOW_SIZE) -> list[Span]:
        return spans(length, min(largest, self._window_size), self.step)

    def _parts(
        self,
        name: str,
        read: ReadWindow,
        rows: Sequence[Span],
        columns: Sequence[Span],
        bands: BandDescription,
    ) -> Generator[Part, None, None]:
        """What the windows decide, row by row; at the end bands of little use are told of."""
        found = np.zeros(len(bands.kind), bool)
        with (
            closing(read_windows(read, rows, columns, len(bands.kind))) as windows,
            closing(self._started(name, windows, bands)) as started,
        ):
            # The device computes one window while the one before is taken off it and written.
            for due, _ in pairwise(chain[Any](started, [None])):
                part = _decided(due)
                found |= part.valid
                yield part
        outside = bands_outside(bands, found, self._trained_on, self._weights)
        for sentence in filter(None, (_blank(bands, found), outside)):
            warnings.warn(f"{name}: {sentence}", stacklevel=3)

    def _started(
        self,
        name: str,
        windows: Iterator[tuple[Span, Span, NDArray[np.float32]]],
        bands: BandDescription,
    ) -> Generator[_Started, None, None]:
        """The windows, each with what the model is computing of it; refuses impossible values."""
        doubt, coming, before = None, None, None
        try:
            for row, column, image in windows:
                check_values(image, bands)
                if doubt is None and (doubt := doubt_about(image, bands)):
                    warnings.warn(f"{name}: {doubt}", stacklevel=4)
                blank = not (np.isfinite(image[::16, ::16]).any() or np.isfinite(image).any())
                before, coming = coming, None if blank else self._compute(image, bands)
                yield _Started(row, column, image, coming)
        finally:
            # Broken off, a process must not end while its device still computes.
            jax.block_until_ready((before, coming))


def _decided(started: _Started) -> Part:
    """What a window decides, cut out of what was computed for it."""
    row, column, image, coming = started
    window = (slice(row.first, row.last), slice(column.first, column.last))
    inside = (
        slice(row.first - row.start, row.last - row.start),
        slice(column.first - column.start, column.last - column.start),
    )
    probabilities, classes, valid = map(np.asarray, coming or _nothing(*image.shape))
    return Part(window, image[inside], probabilities[inside], classes[inside], valid)


def _nothing(h: int, w: int, N: int) -> Any:
    """What is decided in a window without any data."""
    probabilities = np.full((h, w, CLASS_COUNT), np.nan, np.float32)
    return probabilities, np.full((h, w), NO_DATA, np.uint8), np.zeros(N, bool)


def _shown(parts: Iterator[Part], scene: Scene, show_progress: bool) -> Generator[Part, None, None]:
    """The same parts, with a progress bar from the first to the last if there is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not (show_progress and console.is_terminal)) as progress:
        task = progress.add_task(f"masking {scene.name}", total=scene.height * scene.width)
        for part in parts:
            yield part
            progress.advance(task, part.classes.size)


def _blank(bands: BandDescription, found: NDArray[np.bool_]) -> str | None:
    """What there is to tell of bands [N] in which no data were found."""
    if not found.any():
        return "holds no data at all"
    blank = [f"{wavelength:g} nm" for wavelength in bands.wavelength_nm[~found]]
    return f"bands without any data were left out: {', '.join(blank)}" if blank else None
