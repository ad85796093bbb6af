"""Scenes on disk, opened: a Landsat product, or a GeoTIFF of any sensor."""

from contextlib import ExitStack
from functools import partial
from math import nan
from os import PathLike
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.landsat import open_landsat
from permjax.radiometry import linear
from permjax.rasters import Channel, PhysicalValues, Scene, open_raster
from permjax.sensors import SENSORS, Sensor, select_sensors


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
            scene = open_landsat(path, opening)
        else:
            factors = None if scale is None else (scale, offset)
            dataset = opening.enter_context(open_raster(path))
            scene = _open_geotiff(dataset, sensor, bands, surface, factors)
        opening.pop_all()  # All is well: the files stay open, for the scene to close.
        return scene


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
    integers = all(np.issubdtype(dtype, np.integer) for dtype in dataset.dtypes)
    return Scene(
        name=Path(dataset.name).stem,
        channels=tuple(channels),
        bands=bands,
        sensor=table.name if table else dataset.tags().get("sensor"),
        gsd_m=_gsd_m(dataset, table),
        sun_elevation_deg=_number(dataset, "sun_elevation_deg", nan),
        crs=dataset.crs,
        transform=dataset.transform,
        zeros_are_fill=integers and set(dataset.nodatavals) == {None},
    )


def _gsd_m(dataset: DatasetReader, sensor: Sensor | None) -> float:
    """By the grid where it is in metres, else by the file's tag, else by the sensor."""
    if dataset.crs is not None and dataset.crs.linear_units in ("metre", "meter"):
        return dataset.res[0]
    return _number(dataset, "gsd_m", sensor.gsd_m if sensor else nan)


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
