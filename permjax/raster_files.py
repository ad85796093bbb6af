"""A raster file of any sensor as a scene: whatever rasterio opens, with its bands described."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from math import nan
from pathlib import Path
from typing import Final

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.plausibility import LEAST_REFLECTANCE, check_factors
from permjax.radiometry import linear
from permjax.rasters import (
    Channel,
    Missing,
    Scene,
    masked_out,
    open_raster,
    read_dn,
    regrid,
)
from permjax.sensors import SENSORS, Sensor, select_sensors

_METRES_A_DEGREE: Final = 111_195.0
"""Of latitude: 1/360 of a great circle of the Earth's mean radius, 6371 km."""

_BLANK_SIZE: Final = 512
"""Of the windows in which an empty band is looked for."""


def open_raster_file(
    path: Path,
    opening: ExitStack,
    sensor: str | None,
    bands: BandDescription | None,
    surface: bool,
    factors: tuple[float, float] | None,
    gsd_m: float | None,
) -> Scene:
    """Opens a raster file; the arguments are those of `permjax.scenes.open_scene`.

    Args:
        path: of the file.
        opening: closes it.
        sensor: key of `SENSORS`, a TOML file, or None.
        bands: a description of the bands, or None.
        surface: the reflectance is that of the surface.
        factors: scale and offset of reflectance, instead of those in the file.
        gsd_m: size of a pixel of the scene's grid in metres; None = that of the file.

    Raises:
        ValueError: the bands are not described, or the description does not fit.
        OSError: the file is damaged.
    """
    dataset = opening.enter_context(open_raster(path))
    _check_image(dataset)
    table = _one_sensor(sensor) if sensor else SENSORS.get(dataset.tags().get("sensor", ""))
    surface, notes = _level(dataset, surface, bands)
    count = len(bands.kind) if bands is not None else None
    indexes = _image_bands(dataset, count, table if sensor else None)
    if bands is not None:
        bands = _at_level(describe_bands(*bands, band_count=len(indexes)), surface)
    elif sensor and table:
        bands = _describe_by_sensor(dataset, indexes, table, surface, notes)
    else:
        bands = _describe_by_tags(dataset, indexes, surface)
    channels, bands, blank_notes = _channels(dataset, indexes, bands, factors)
    native_m = _gsd_m(dataset, table)
    if gsd_m is not None and np.isnan(native_m):
        raise ValueError(
            f"{path}: the size of its pixels is not known, so they cannot be brought to {gsd_m:g} m"
        )
    step = 1.0 if gsd_m is None else gsd_m / native_m
    height, width, transform = regrid(dataset.shape, dataset.transform, step)
    return Scene(
        name=path.stem,
        channels=tuple(replace(channel, step=step) for channel in channels),
        bands=bands,
        sensor=table.name if table else dataset.tags().get("sensor"),
        gsd_m=gsd_m or native_m,
        sun_elevation_deg=_number(dataset, "sun_elevation_deg", nan),
        crs=dataset.crs,
        transform=transform,
        height=height,
        width=width,
        files=frozenset(Path(name).resolve() for name in dataset.files),
        notes=(*notes, *blank_notes, *_ground_notes(dataset)),
        # Where nothing else says which pixels hold no data.
        zeros_are_fill=set(dataset.nodatavals) == {None},
        missing=_masks(dataset, indexes),
    )


def _channels(
    dataset: DatasetReader,
    indexes: Sequence[int],
    bands: BandDescription,
    factors: tuple[float, float] | None,
) -> tuple[list[Channel], BandDescription, list[str]]:
    """The bands that hold anything but zeros and no data, and a note of the others.

    If none does, all are kept: a scene without data is one.
    """
    channels = [
        _channel(dataset, i, kind, factors) for i, kind in zip(indexes, bands.kind, strict=True)
    ]
    blank = np.array([_is_blank(channel) for channel in channels])
    if not blank.any() or blank.all():
        return channels, bands, []
    lost = ", ".join(f"{wavelength:g} nm" for wavelength in bands.wavelength_nm[blank])
    kept = np.flatnonzero(~blank)
    return (
        [channels[i] for i in kept],
        BandDescription(*(part[kept] for part in bands)),
        [f"bands that hold nothing but zeros or no data are left out: {lost}"],
    )


def _masks(dataset: DatasetReader, indexes: Sequence[int]) -> tuple[Missing, ...]:
    """The file's own mask, or its alpha band if that is no band of the image."""
    flags = dataset.mask_flag_enums[0]
    described = MaskFlags.alpha in flags and len(indexes) == dataset.count
    return (masked_out(dataset),) if MaskFlags.per_dataset in flags and not described else ()


def _check_image(dataset: DatasetReader) -> None:
    """Refuses what holds no numbers of bands."""
    if dataset.count == 0:
        parts = ", ".join(dataset.subdatasets[:3])
        raise ValueError(
            f"{dataset.name}: holds no bands itself"
            + (f": give one of its parts: {parts}" if parts else "")
        )
    if ColorInterp.palette in dataset.colorinterp:
        raise ValueError(
            f"{dataset.name}: is a picture with a palette: its numbers are colours or classes, not "
            "reflectance"
        )
    if any("complex" in dtype for dtype in dataset.dtypes):
        raise ValueError(f"{dataset.name}: holds complex numbers: reflectance is real")


def _image_bands(dataset: DatasetReader, count: int | None, sensor: Sensor | None) -> list[int]:
    """Indexes of the bands, from 1: without an alpha band, unless it is described as a band.

    Many writers call the fourth band of four alpha, whatever it holds.
    """
    indexes = list(dataset.indexes)
    if count is None and sensor is not None:
        count = len(sensor.bands)
    image = [i for i in indexes if dataset.colorinterp[i - 1] is not ColorInterp.alpha]
    return indexes if count == len(indexes) or not image else image


def _level(
    dataset: DatasetReader, surface: bool, bands: BandDescription | None
) -> tuple[bool, list[str]]:
    """Whether reflectance is that of the surface, by the user and by the file's tag `level`."""
    surface = surface or (bands is not None and Kind.SURFACE_REFLECTANCE in bands.kind)
    level = dataset.tags().get("level", "")
    tagged_surface = re.search(r"\b(L2|SR\b|BOA\b)|surface", level, re.IGNORECASE) is not None
    if surface and re.search(r"\b(L1|TOA\b)", level, re.IGNORECASE) and not tagged_surface:
        raise ValueError(
            f"{dataset.name}: its tag level says {level!r}: that is reflectance at the top of the "
            "atmosphere, not of the surface"
        )
    if tagged_surface and not surface:
        return True, [f"its tag level says {level!r}: it is read as surface reflectance"]
    return surface, []


def _at_level(bands: BandDescription, surface: bool) -> BandDescription:
    """What is described as reflectance is that of the surface, if so and no band says it itself."""
    if not surface or Kind.SURFACE_REFLECTANCE in bands.kind:
        return bands
    reflected = bands.kind == Kind.REFLECTANCE
    return bands._replace(kind=np.where(reflected, np.int32(Kind.SURFACE_REFLECTANCE), bands.kind))


def _ground_notes(dataset: DatasetReader) -> list[str]:
    """Of a file that lies on the ground by control points alone, as a mask's grid cannot."""
    if dataset.crs is not None or not dataset.gcps[0]:
        return []
    return [
        "it lies on the ground by control points alone, so its mask has no coordinates: warp it to "
        "a grid first"
    ]


def _is_blank(channel: Channel) -> bool:
    """Reads from the middle outwards, so that only an empty band is read whole."""
    height, width = channel.dataset.shape
    for row in _from_middle(height):
        for column in _from_middle(width):
            window = slice(row, row + _BLANK_SIZE), slice(column, column + _BLANK_SIZE)
            dn = read_dn(channel.dataset, channel.index, window)
            if (~channel.missing(dn) & (dn != 0)).any():
                return False
    return True


def _from_middle(length: int) -> list[int]:
    starts = range(0, length, _BLANK_SIZE)
    return sorted(starts, key=lambda start: abs(start + _BLANK_SIZE / 2 - length / 2))


def _gsd_m(dataset: DatasetReader, sensor: Sensor | None) -> float:
    """By the grid where it has a unit, else by the file's tag, else by the sensor."""
    if dataset.crs is not None and dataset.crs.is_geographic:
        return dataset.res[1] * _METRES_A_DEGREE
    if dataset.crs is not None and dataset.crs.is_projected:
        return dataset.res[0] * dataset.crs.linear_units_factor[1]
    return _number(dataset, "gsd_m", sensor.gsd_m if sensor else nan)


def _number(dataset: DatasetReader, tag: str, default: float) -> float:
    text = dataset.tags().get(tag, default)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{dataset.name}: the tag {tag} is {text!r}, not a number") from None


# --- Descriptions ---------------------------------------------------------------------------


def _one_sensor(name: str) -> Sensor:
    chosen = select_sensors([name])
    if len(chosen) != 1:
        keys = ", ".join(sensor.name for sensor in chosen)
        raise ValueError(f"{name!r} names several sensors: say which one made the file: {keys}")
    return chosen[0]


def _describe_by_sensor(
    dataset: DatasetReader,
    indexes: Sequence[int],
    sensor: Sensor,
    surface: bool,
    notes: list[str],
) -> BandDescription:
    """By the names of the file's bands, however written; without any, in the table's order."""
    table = {_plain(band.name): band.name for band in sensor.bands}
    names = [dataset.descriptions[i - 1] or "" for i in indexes]
    found = [table.get(_plain(name)) for name in names]
    if any(found):
        pairs = zip(found, names, strict=True)
        return sensor.describe([known or name for known, name in pairs], surface=surface)
    if len(indexes) != len(sensor.bands):
        raise ValueError(
            f"{dataset.name}: has {len(indexes)} bands without names that {sensor.name} knows, and "
            f"{sensor.name} has {len(sensor.bands)}: name the file's bands, or describe them"
        )
    if any(names):
        notes.append(
            f"its bands are called {', '.join(names)}, which {sensor.name} does not know: they are "
            "taken in the table's order"
        )
    return sensor.describe(surface=surface)


def _plain(name: str) -> str:
    """A band's name without case, signs and leading zeros: `Band_04` and `B4` are one."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return re.sub(r"^b(?:and)?0*(?=\d)", "b", plain)


def _describe_by_tags(
    dataset: DatasetReader, indexes: Sequence[int], surface: bool
) -> BandDescription:
    tags = [dataset.tags(i) for i in indexes]
    for i, band in zip(indexes, tags, strict=True):
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


def _channel(
    dataset: DatasetReader, i: int, kind: int, factors: tuple[float, float] | None
) -> Channel:
    """Band `i`, from 1, by the factors given for reflectance, else by those in the file."""
    dtype, thermal = dataset.dtypes[i - 1], kind == Kind.BRIGHTNESS_TEMPERATURE
    of_file = (dataset.scales[i - 1], dataset.offsets[i - 1])
    mult, add = of_file if thermal or factors is None else factors
    unscaled = factors is None and of_file == (1, 0) and np.issubdtype(dtype, np.integer)
    if unscaled and not thermal:
        raise ValueError(
            f"{dataset.name}: band {i} holds {dtype} digital numbers without a "
            "scale: give the scale, such as 0.0001, and the offset that make them reflectance"
        )
    check_factors(f"{dataset.name}: band {i}", dtype, kind, mult, add)
    return Channel(
        dataset,
        i,
        dataset.nodatavals[i - 1],
        partial(linear, mult=mult, add=add),
        least=((0 if thermal else LEAST_REFLECTANCE) - add) / mult,
    )
