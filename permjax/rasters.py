"""A scene as open raster files: its bands as physical values on one grid, read window by window.

Axes: h and w height and width of a window, N bands.
"""

import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from math import ceil, nan
from os import PathLike
from pathlib import Path
from typing import Final, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from permjax.bands import BandDescription, Kind
from permjax.resampling import Taps, resample, taps

Window = tuple[slice, slice]
"""Rows and columns of a part of a scene, as numpy slices them."""

PhysicalValues = Callable[[NDArray], NDArray[np.float32]]
"""From digital numbers to reflectance or kelvin."""

Missing = Callable[[Window], NDArray[np.bool_]]
"""The pixels [h, w] of a window of the files that hold no data in any band."""

CACHE_BYTES: Final = 300 << 20
"""For decoded blocks. Windows of 512 pixels of 20 m, read row by row, share two rows of the blocks
of a Sentinel-2 product: 290 MB for all its bands. Each block is then decoded once."""


@dataclass(frozen=True)
class Channel:
    """A band of a scene on disk: where its digital numbers are, and what they mean.

    Args:
        dataset: the open file.
        index: of the band in the file, from 1.
        no_data: the digital number of a pixel without data; None = the file names none.
        least: a number down from which nothing is a value, but no data that the file does not
            name; None = it names all.
        physical: what they mean.
        step: pixels of the file along one pixel of the scene's grid.
    """

    dataset: DatasetReader
    index: int
    no_data: float | None
    physical: PhysicalValues
    step: float = 1.0
    least: float | None = None

    def missing(self, dn: NDArray) -> NDArray[np.bool_]:
        """Where numbers stand for no data."""
        with np.errstate(over="ignore"):  # A file may name a number that its type cannot hold.
            blank = np.asarray(dn == self.no_data)
        return blank | ~np.isfinite(dn) if dn.dtype.kind == "f" else blank


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
        height: rows of the grid.
        width: columns of the grid.
        files: what the scene is read from, as absolute paths.
        notes: what its user should know, one sentence each.
        zeros_are_fill: a pixel whose digital number is 0 in all bands holds no data.
        missing: what else says that pixels hold no data. With it or `zeros_are_fill`, all
            channels have one step.
        resources: what `with` closes.
        told: what `read` has warned of.
    """

    name: str
    channels: tuple[Channel, ...]
    bands: BandDescription
    sensor: str | None
    gsd_m: float
    sun_elevation_deg: float
    crs: CRS | None
    transform: Affine
    height: int
    width: int
    files: frozenset[Path]
    notes: tuple[str, ...] = ()
    zeros_are_fill: bool = False
    missing: tuple[Missing, ...] = ()
    resources: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)
    told: list[str] = field(default_factory=list, repr=False, compare=False)

    def read(self, window: Window) -> NDArray[np.float32]:
        """Physical values float32 [h, w, N] of a window inside the scene; NaN = no data.

        Finer bands are averaged over their pixels, coarser ones interpolated bilinearly; what is
        read for a window is what a larger window around it holds there. Warns, once a scene, of
        numbers that are too low to be what their band is said to measure.

        Raises:
            OSError: a file is damaged; the message names it.
        """
        spans = {channel: self._spans(channel, window) for channel in self.channels}
        with _bounded_cache():
            numbers = [
                read_dn(channel.dataset, channel.index, (rows.span, columns.span))
                for channel, (rows, columns) in spans.items()
            ]
            fill = self._fill(numbers, spans[self.channels[0]])
        h, w = (part.stop - part.start for part in window)
        image = np.empty((h, w, len(self.channels)), np.float32)
        for i, (channel, (rows, columns)) in enumerate(spans.items()):
            missing = channel.missing(numbers[i])
            missing = missing if fill is None else missing | fill
            if channel.least is not None:
                low = (numbers[i] <= channel.least) & ~missing
                self._tell_low(i, numbers[i][low])
                missing |= low
            if channel.step == 1:
                image[..., i] = channel.physical(numbers[i])
                image[missing, i] = nan
            else:
                mean = resample(numbers[i], missing, rows, columns)
                image[..., i] = channel.physical(mean)
        # No ground and no cloud is at 0 K: a blank thermal band is one without data.
        thermal = np.asarray(self.bands.kind) == Kind.BRIGHTNESS_TEMPERATURE
        image[(image <= 0) & thermal] = nan
        return image

    def _tell_low(self, i: int, numbers: NDArray) -> None:
        """Warns of the first of numbers of channel `i`; 0 is often no data, and nothing odd."""
        odd = numbers[numbers != 0]
        if self.told or not odd.size:
            return
        channel, kind = self.channels[i], Kind(self.bands.kind[i])
        self.told.append(
            f"{channel.dataset.name}: band {channel.index} holds {odd[0]:g}, too low for "
            f"{kind.word.replace('_', ' ')}: numbers so low are taken for no data, which the file "
            "does not declare"
        )
        warnings.warn(self.told[0], stacklevel=3)

    def _spans(self, channel: Channel, window: Window) -> tuple[Taps, Taps]:
        rows, columns = window
        height, width = channel.dataset.shape
        return taps(rows, channel.step, height), taps(columns, channel.step, width)

    def _fill(self, numbers: list[NDArray], spans: tuple[Taps, Taps]) -> NDArray[np.bool_] | None:
        """Pixels of the files' grid without data in any band; None = nothing tells."""
        window = (spans[0].span, spans[1].span)
        fills = [missing(window) for missing in self.missing]
        if self.zeros_are_fill:
            fills.append(np.logical_and.reduce([dn == 0 for dn in numbers]))
        return np.logical_or.reduce(fills) if fills else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.resources.close()


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


def regrid(shape: tuple[int, int], transform: Affine, step: float) -> tuple[int, int, Affine]:
    """Rows, columns and transform of the grid that covers a file's with pixels `step` times as big.

    Raises:
        ValueError: the pixels are not between 1/100 and 10000 times as big.
    """
    if not 0.01 <= step <= 10_000:
        raise ValueError(
            f"pixels {step:g} times as big as the file's cannot be made: give the size of a pixel "
            "in metres, between 1/100 and 10000 times that of the file"
        )
    rows, columns = (max(1, ceil(size / step - 1e-6)) for size in shape)
    a, b, left, d, e, top = transform[:6]
    return rows, columns, Affine(a * step, b * step, left, d * step, e * step, top)


def flagged(dataset: DatasetReader, bits: int) -> Missing:
    """Pixels without data by a quality file: those where any of `bits` is set."""
    return lambda window: (read_dn(dataset, 1, window) & bits) != 0


def masked_out(dataset: DatasetReader) -> Missing:
    """Pixels without data by a file's own mask or alpha band: those where it is 0."""

    def missing(window: Window) -> NDArray[np.bool_]:
        try:
            return dataset.read_masks(1, window=window) == 0
        except RasterioError:
            raise OSError(
                f"{dataset.name}: its mask cannot be read: the file is damaged or cut short; "
                "fetch it again"
            ) from None

    return missing


def _bounded_cache() -> AbstractContextManager:
    """Holds the cache of decoded blocks at `CACHE_BYTES` meanwhile, unless the user has set it.

    By itself it takes a twentieth of the machine's memory: too little on a small one, and on a
    large one more than a scene needs.
    """
    if "GDAL_CACHEMAX" in os.environ:
        return nullcontext()
    return rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES)
