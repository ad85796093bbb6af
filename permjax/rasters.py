"""A scene as open raster files: its bands as physical values, read window by window.

Axes: h and w height and width of a window, N bands.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from os import PathLike
from typing import Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from permjax.bands import BandDescription, Kind

Window = tuple[slice, slice]
"""Rows and columns of a part of a scene, as numpy slices them."""

PhysicalValues = Callable[[NDArray], NDArray[np.float32]]
"""From digital numbers to reflectance or kelvin."""


@dataclass(frozen=True)
class Channel:
    """A band of a scene on disk: where its digital numbers are, and what they mean.

    Args:
        dataset: the open file.
        index: of the band in the file, from 1.
        no_data: the digital number of a pixel without data; None = the file names none.
        physical: what they mean.
    """

    dataset: DatasetReader
    index: int
    no_data: float | None
    physical: PhysicalValues


@dataclass(frozen=True)
class Scene:
    """One acquisition on one grid; made by `open_scene`, closed by `with`.

    Args:
        name: the product's id, or the file's name without its ending.
        channels: the N bands.
        bands: their descriptions, arrays [N].
        sensor: key of `SENSORS`, or what the file calls it; None = unknown.
        gsd_m: size of a pixel in metres, NaN = unknown.
        sun_elevation_deg: degrees above the horizon, NaN = unknown.
        crs: coordinate reference system; None = the scene is not georeferenced.
        transform: from (column, row) of pixel corners to coordinates of `crs`.
        zeros_are_fill: a pixel whose digital number is 0 in all bands holds no data.
    """

    name: str
    channels: tuple[Channel, ...]
    bands: BandDescription
    sensor: str | None
    gsd_m: float
    sun_elevation_deg: float
    crs: CRS | None
    transform: Affine
    zeros_are_fill: bool

    @property
    def height(self) -> int:
        """Rows of the grid."""
        return self.channels[0].dataset.height

    @property
    def width(self) -> int:
        """Columns of the grid."""
        return self.channels[0].dataset.width

    def read(self, window: Window) -> NDArray[np.float32]:
        """Physical values float32 [h, w, N] of a window inside the scene; NaN = no data.

        Raises:
            OSError: the file is damaged; the message names it.
        """
        h, w = (part.stop - part.start for part in window)
        image = np.empty((h, w, len(self.channels)), np.float32)
        fill = np.full((h, w), self.zeros_are_fill)
        for i, channel in enumerate(self.channels):
            dn = read_dn(channel.dataset, channel.index, window)
            image[..., i] = channel.physical(dn)
            image[dn == channel.no_data, i] = nan
            fill &= dn == 0
        image[fill] = nan
        # No ground and no cloud is at 0 K: a blank thermal band is one without data.
        thermal = np.asarray(self.bands.kind) == Kind.BRIGHTNESS_TEMPERATURE
        image[(image <= 0) & thermal] = nan
        return image

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self.channels:
            channel.dataset.close()


def open_raster(path: str | PathLike[str]) -> DatasetReader:
    """Opens a raster file, with or without coordinates.

    Raises:
        OSError: it is not one, or is damaged.
    """
    with warnings.catch_warnings():
        # An image without coordinates is read like any other.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            return rasterio.open(path)
        except RasterioError:
            raise OSError(
                f"{path}: is not a raster file that can be read: it is damaged or of another form"
            ) from None


def read_dn(dataset: DatasetReader, index: int, window: Window) -> NDArray:
    """The numbers [h, w] in a window of band `index`, counted from 1.

    Raises:
        OSError: the file is damaged there.
    """
    try:
        return dataset.read(index, window=window)
    except RasterioError:
        raise OSError(
            f"{dataset.name}: band {index} cannot be read: the file is damaged or cut short; "
            "fetch it again"
        ) from None
