"""Scenes on disk as bands of physical values, read window by window.

Axes: h and w height and width of a window, N bands.
"""

import re
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import nan
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

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.radiometry import brightness_temperature, linear, toa_reflectance
from permjax.sensors import SENSORS, Sensor, select_sensors

Window = tuple[slice, slice]
"""Rows and columns of a part of a scene, as numpy slices them."""

PhysicalValues = Callable[[NDArray], NDArray[np.float32]]


@dataclass(frozen=True)
class Channel:
    """A band of a scene on disk: where its digital numbers are and what they mean.

    Args:
        dataset: the open file.
        index: of the band in the file, from 1.
        no_data: the digital number of a pixel without data; None = the file names none.
        physical: digital numbers to reflectance or kelvin.
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


def open_scene(
    path: str | PathLike[str],
    *,
    sensor: str | None = None,
    bands: BandDescription | None = None,
    surface: bool = False,
    scale: float | None = None,
    offset: float = 0.0,
) -> Scene:
    """Opens a Landsat 8 or 9 Collection 2 folder, or a GeoTIFF of any sensor.

    A Landsat folder tells everything itself; the options are for a GeoTIFF. Its bands are
    described by `bands`, by `sensor`, or by the tags `wavelength_nm`, `bandwidth_nm` and `unit`
    ("1" or "K") of each band in the file, whichever is given first in this order.

    Args:
        path: a Landsat folder with its MTL.txt, or a GeoTIFF.
        sensor: key of `SENSORS`. The file's band names then say which of its bands they are;
            without names, the file must hold all of them in the table's order.
        bands: a description of the file's bands, as `describe_bands` gives it.
        surface: the reflectance is that of the surface (a level 2 product).
        scale: reflectance per digital number, instead of what the file says.
        offset: reflectance of digital number 0, with `scale`.

    Raises:
        FileNotFoundError: nothing is there, or a folder holds no MTL.txt.
        ValueError: the bands are not described, or the description does not fit.
        OSError: the file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    with ExitStack() as opening:
        if path.is_dir():
            scene = _open_landsat(path, opening)
        else:
            factors = None if scale is None else (scale, offset)
            dataset = opening.enter_context(open_raster(path))
            scene = _open_geotiff(dataset, sensor, bands, surface, factors)
        opening.pop_all()  # All is well: the files stay open, for the scene to close.
        return scene


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


# --- Landsat Collection 2 -------------------------------------------------------------------

_LANDSAT: Final = {"LANDSAT_8": "landsat8_oli_tirs", "LANDSAT_9": "landsat9_oli_tirs"}

_PANCHROMATIC: Final = "B8"
"""Left out: it lies on a 15 m grid, and what it sees bands 2 to 4 see at 30 m."""


class _Mtl(dict[str, str]):
    """The entries of an MTL file, read flat: of two with one name, the first.

    Group names differ between collections, entry names do not. A level 2 file repeats the factors
    of the level 1 product that it was made from, under the same names, after its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, separator, value = line.partition("=")
            if separator:
                self.setdefault(name.strip(), value.strip().strip('"'))

    def __missing__(self, name: str) -> str:
        raise ValueError(f"{self.path}: has no {name}; the file is cut short or not a Landsat MTL")

    def number(self, name: str) -> float:
        try:
            return float(self[name])
        except ValueError as error:
            if name not in self:
                raise
            raise ValueError(f"{self.path}: {name} = {self[name]} is not a number") from error


def _open_landsat(folder: Path, opening: ExitStack) -> Scene:
    mtl = _Mtl(_mtl_path(folder))
    if mtl["SPACECRAFT_ID"] not in _LANDSAT:
        known = " and ".join(_LANDSAT)
        raise ValueError(f"{mtl.path}: {mtl['SPACECRAFT_ID']} is not read; {known} are")
    sensor = SENSORS[_LANDSAT[mtl["SPACECRAFT_ID"]]]
    surface = mtl["PROCESSING_LEVEL"].startswith("L2")
    paths = _landsat_bands(folder, surface)
    description = sensor.describe(list(paths), surface=surface)
    channels = []
    for name, path in paths.items():
        dataset = opening.enter_context(open_raster(path))
        if dataset.shape != (first := channels[0].dataset if channels else dataset).shape:
            raise ValueError(
                f"{path}: has {dataset.shape} rows and columns, but {Path(first.name).name} has "
                f"{first.shape}: bands must share one grid"
            )
        physical = _landsat_surface(mtl, name) if surface else _landsat_toa(mtl, name)
        channels.append(Channel(dataset, 1, 0, physical))
    crs, transform = _landsat_grid(mtl, channels[0].dataset)
    return Scene(
        name=mtl["LANDSAT_PRODUCT_ID"],
        channels=tuple(channels),
        bands=description,
        sensor=sensor.name,
        gsd_m=mtl.number("GRID_CELL_SIZE_REFLECTIVE"),
        sun_elevation_deg=mtl.number("SUN_ELEVATION"),
        crs=crs,
        transform=transform,
        zeros_are_fill=True,
    )


def _mtl_path(folder: Path) -> Path:
    paths = sorted(folder.glob("*_MTL.txt"))
    if len(paths) != 1:
        raise FileNotFoundError(
            f"{folder}: holds {len(paths) or 'no'} files *_MTL.txt; give the folder of one Landsat "
            "product with its one MTL.txt, or a GeoTIFF"
        )
    return paths[0]


def _landsat_bands(folder: Path, surface: bool) -> dict[str, Path]:
    """The path of each band that the folder holds, in the order of their numbers."""
    pattern = re.compile(r"_S[RT]_B(\d+)\.TIF" if surface else r"_B(\d+)\.TIF", re.IGNORECASE)
    numbers = {
        int(match[1]): path for path in folder.iterdir() if (match := pattern.search(path.name))
    }
    paths = {f"B{number}": numbers[number] for number in sorted(numbers)}
    paths.pop(_PANCHROMATIC, None)
    if not paths:
        wanted = "*_SR_B2.TIF" if surface else "*_B2.TIF"
        raise FileNotFoundError(f"{folder}: holds no band files such as {wanted}")
    return paths


def _landsat_toa(mtl: _Mtl, band: str) -> PhysicalValues:
    number = band.removeprefix("B")
    if f"K1_CONSTANT_BAND_{number}" in mtl:
        return partial(
            brightness_temperature,
            mult=mtl.number(f"RADIANCE_MULT_BAND_{number}"),
            add=mtl.number(f"RADIANCE_ADD_BAND_{number}"),
            k1=mtl.number(f"K1_CONSTANT_BAND_{number}"),
            k2=mtl.number(f"K2_CONSTANT_BAND_{number}"),
        )
    return partial(
        toa_reflectance,
        mult=mtl.number(f"REFLECTANCE_MULT_BAND_{number}"),
        add=mtl.number(f"REFLECTANCE_ADD_BAND_{number}"),
        sun_elevation_deg=mtl.number("SUN_ELEVATION"),
    )


def _landsat_surface(mtl: _Mtl, band: str) -> PhysicalValues:
    quantity = "TEMPERATURE" if f"TEMPERATURE_MULT_BAND_ST_{band}" in mtl else "REFLECTANCE"
    key = f"ST_{band}" if quantity == "TEMPERATURE" else band.removeprefix("B")
    return partial(
        linear,
        mult=mtl.number(f"{quantity}_MULT_BAND_{key}"),
        add=mtl.number(f"{quantity}_ADD_BAND_{key}"),
    )


def _landsat_grid(mtl: _Mtl, dataset: DatasetReader) -> tuple[CRS | None, Affine]:
    """Where the pixels lie: by the file, else by the MTL if it is of the same size and in UTM.

    The corners in an MTL are centres of pixels, and Landsat counts northings in UTM north
    everywhere, negative south of the equator.
    """
    if dataset.crs is not None:
        return dataset.crs, dataset.transform
    size = (mtl.number("REFLECTIVE_LINES"), mtl.number("REFLECTIVE_SAMPLES"))
    if size != dataset.shape or mtl["MAP_PROJECTION"] != "UTM":
        return None, Affine.identity()
    gsd_m = mtl.number("GRID_CELL_SIZE_REFLECTIVE")
    left = mtl.number("CORNER_UL_PROJECTION_X_PRODUCT") - gsd_m / 2
    top = mtl.number("CORNER_UL_PROJECTION_Y_PRODUCT") + gsd_m / 2
    crs = CRS.from_epsg(32600 + int(mtl.number("UTM_ZONE")))
    return crs, Affine(gsd_m, 0, left, 0, -gsd_m, top)


# --- GeoTIFF of any sensor ------------------------------------------------------------------


def _open_geotiff(
    dataset: DatasetReader,
    sensor: str | None,
    bands: BandDescription | None,
    surface: bool,
    factors: tuple[float, float] | None,
) -> Scene:
    table = _one_sensor(sensor) if sensor else SENSORS.get(dataset.tags().get("sensor", ""))
    if bands is not None:
        bands = describe_bands(*bands, band_count=dataset.count)
    elif sensor and table:
        bands = _describe_by_sensor(dataset, table, surface)
    else:
        bands = _describe_by_tags(dataset, surface)
    channels = [
        Channel(dataset, i + 1, dataset.nodatavals[i], _geotiff_physical(dataset, i, kind, factors))
        for i, kind in enumerate(bands.kind)
    ]
    in_metres = dataset.crs is not None and dataset.crs.linear_units in ("metre", "meter")
    gsd_m = (
        dataset.res[0] if in_metres else _number(dataset, "gsd_m", table.gsd_m if table else nan)
    )
    integers = all(np.issubdtype(dtype, np.integer) for dtype in dataset.dtypes)
    return Scene(
        name=Path(dataset.name).stem,
        channels=tuple(channels),
        bands=bands,
        sensor=table.name if table else dataset.tags().get("sensor"),
        gsd_m=gsd_m,
        sun_elevation_deg=_number(dataset, "sun_elevation_deg", nan),
        crs=dataset.crs,
        transform=dataset.transform,
        zeros_are_fill=integers and set(dataset.nodatavals) == {None},
    )


def _number(dataset: DatasetReader, tag: str, default: float) -> float:
    text = dataset.tags().get(tag, default)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{dataset.name}: the tag {tag} is {text!r}, not a number") from None


def _one_sensor(name: str) -> Sensor:
    chosen = select_sensors([name])
    if len(chosen) != 1:
        keys = ", ".join(sensor.name for sensor in chosen)
        raise ValueError(f"{name!r} names several sensors: say which one made the file: {keys}")
    return chosen[0]


def _describe_by_sensor(dataset: DatasetReader, sensor: Sensor, surface: bool) -> BandDescription:
    names = [name for name in dataset.descriptions if name]
    if len(names) == dataset.count:
        return sensor.describe(names, surface=surface)
    if dataset.count != len(sensor.bands):
        raise ValueError(
            f"{dataset.name}: has {dataset.count} bands without names and {sensor.name} has "
            f"{len(sensor.bands)}: name the file's bands, or describe them"
        )
    return sensor.describe(surface=surface)


def _describe_by_tags(dataset: DatasetReader, surface: bool) -> BandDescription:
    tags = [dataset.tags(i) for i in dataset.indexes]
    for i, band in zip(dataset.indexes, tags, strict=True):
        if not {"wavelength_nm", "bandwidth_nm"} <= set(band):
            raise ValueError(
                f"{dataset.name}: band {i} has no tags wavelength_nm and bandwidth_nm: "
                "name the sensor, or describe the bands"
            )
    reflected = Kind.SURFACE_REFLECTANCE if surface else Kind.REFLECTANCE
    try:
        return describe_bands(
            [band["wavelength_nm"] for band in tags],
            [band["bandwidth_nm"] for band in tags],
            [Kind.BRIGHTNESS_TEMPERATURE if b.get("unit") == "K" else reflected for b in tags],
        )
    except ValueError as error:
        raise ValueError(f"{dataset.name}: {error}") from None


def _geotiff_physical(
    dataset: DatasetReader, i: int, kind: int, factors: tuple[float, float] | None
) -> PhysicalValues:
    """By the factors given for reflectance, else by those of band `i` in the file."""
    of_file = (dataset.scales[i], dataset.offsets[i])
    if kind == Kind.BRIGHTNESS_TEMPERATURE:
        return partial(linear, mult=of_file[0], add=of_file[1])
    mult, add = factors or of_file
    if (mult, add) == (1, 0) and np.issubdtype(dataset.dtypes[i], np.integer):
        raise ValueError(
            f"{dataset.name}: band {i + 1} holds {dataset.dtypes[i]} digital numbers without a "
            "scale: give the scale, such as 0.0001, and the offset that make them reflectance"
        )
    return partial(linear, mult=mult, add=add)
