"""A small picture of a scene with the outlines of its clouds and shadows.

Axes: h and w height and width of a part of the scene, y and x of the picture, N bands.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from permjax.bands import BandDescription, Kind
from permjax.classes import NO_DATA, CloudClass
from permjax.rasters import Window

LARGEST: Final = 1024
"""Pixels of the picture's longer side."""

SMALLEST: Final = 800
"""A smaller picture is enlarged by a whole factor, as far as this goes."""

SEEN_NM: Final = (665.0, 560.0, 490.0)
"""Where a picture's red, green and blue are looked for."""

OUTLINES: Final = {
    # Of Okabe and Ito's palette two that show on white, on vegetation and on water, and a purple
    # brighter than theirs, which hardly shows where it is needed: on what is dark.
    CloudClass.THICK_CLOUD: (213, 94, 0),
    CloudClass.THIN_CLOUD: (240, 228, 66),
    CloudClass.CLOUD_SHADOW: (255, 90, 255),
}
"""sRGB colour around each class: vermilion, yellow and purple."""


class Quicklook:
    """A picture that parts of a scene and of its mask are added to, in any order.

    Every k-th pixel is taken, with the least k that keeps within `LARGEST`; of a small scene each
    is drawn as a square, as large as keeps within `SMALLEST`.

    Args:
        height: rows of the scene.
        width: columns of the scene.
        bands: of the scene, arrays [N].
    """

    def __init__(self, height: int, width: int, bands: BandDescription):
        self._every = -(-max(height, width) // LARGEST)
        self._enlarged = max(1, SMALLEST // max(height, width))
        shape = (-(-height // self._every), -(-width // self._every))
        self._channels = picture_channels(bands)
        self._cold_is_bright = Kind.BRIGHTNESS_TEMPERATURE in bands.kind[self._channels]
        self._values = np.full((*shape, len(self._channels)), np.nan, np.float32)
        self._classes = np.full(shape, NO_DATA, np.uint8)

    def add_image(self, window: Window, image: NDArray[np.float32]) -> None:
        """Takes from a window [h, w, N] of the scene what the picture shows."""
        there, taken = self._taken(window)
        self._values[there] = image[taken][..., self._channels]

    def add_classes(self, window: Window, classes: NDArray[np.uint8]) -> None:
        """Takes from a window [h, w] of the mask what the picture shows."""
        there, taken = self._taken(window)
        self._classes[there] = classes[taken]

    def _taken(self, window: Window) -> tuple[Window, Window]:
        """The picture's pixels that lie in a window, and where they lie in it."""
        k = self._every
        firsts = [-(-part.start // k) for part in window]
        there = [slice(i, -(-part.stop // k)) for i, part in zip(firsts, window, strict=True)]
        taken = [slice(i * k - p.start, None, k) for i, p in zip(firsts, window, strict=True)]
        return (there[0], there[1]), (taken[0], taken[1])

    def drawn(self) -> NDArray[np.uint8]:
        """The picture as sRGB [k y, k x, 3], enlarged k times if the scene is small."""
        values = -self._values if self._cold_is_bright else self._values
        picture, classes = stretched(values), self._classes
        # Before it is outlined: lines stay thin, and pixels inside them to be seen.
        for axis in (0, 1):
            picture, classes = (x.repeat(self._enlarged, axis) for x in (picture, classes))
        picture = np.broadcast_to(picture, (*classes.shape, 3)).copy()
        for code, colour in OUTLINES.items():
            picture[outline(classes == code)] = colour
        return picture


def picture_channels(bands: BandDescription) -> list[int]:
    """The bands that a picture shows as red, green and blue, or one that it shows in grey.

    Reflected bands nearest to red, green and blue; if they are not three, the three of shortest
    wavelength, the longest as red; with fewer the first, and without any the first thermal band.
    """
    reflected = np.flatnonzero(np.asarray(bands.kind) != Kind.BRIGHTNESS_TEMPERATURE)
    if len(reflected) < 3:
        return [int(reflected[0])] if len(reflected) else [0]
    wavelength_nm = np.asarray(bands.wavelength_nm)[reflected]
    nearest = [int(reflected[np.abs(wavelength_nm - seen).argmin()]) for seen in SEEN_NM]
    if len(set(nearest)) == 3:
        return nearest
    return [int(i) for i in reflected[np.argsort(wavelength_nm)[2::-1]]]


def stretched(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values [y, x, channels] as brightness from 0 to 255, black where there is no data.

    One stretch for all channels, so that grey stays grey: from the 1st to the 99th percentile,
    then a square root for what is dark.
    """
    finite = np.isfinite(values)
    low, high = np.quantile(values[finite], (0.01, 0.99)) if finite.any() else (0, 1)
    share = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    return np.where(finite, np.rint(255 * np.sqrt(share)), 0).astype(np.uint8)


def outline(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those of `pixels` [y, x] beside one that is none of them; the picture's edge is no border."""
    padded = np.pad(pixels, 1, mode="edge")
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return pixels & ~inside
