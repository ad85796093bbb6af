"""Landsat products: 1 to 9, Collections 1 and 2, level 1 and level 2, each with its MTL file.

Names of files and entries are those of the USGS data format control books of level 1 (LSDS-1822)
and level 2 (LSDS-1328), and of the Collection 1 level 2 guides (LSDS-1368 and LSDS-1370).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader

from permjax.bands import Kind
from permjax.mtl import Mtl, toa_values
from permjax.products import ProductFiles
from permjax.radiometry import linear
from permjax.rasters import Channel, Missing, PhysicalValues, Scene, flagged, open_raster, regrid
from permjax.sensors import SENSORS, Sensor

_MTL: Final = re.compile(r"(?P<stem>.*)_MTL\.(txt|xml|json)", re.IGNORECASE)

_PANCHROMATIC: Final = "B8"
"""Left out: it lies on a 15 m grid, and what it sees bands 2 to 4 see at 30 m."""

_FILL_BIT: Final = 1 << 0
"""Of the quality files `_QA_PIXEL`, `_BQA` and `_pixel_qa`."""
_DROPPED_BIT: Final = 1 << 9
"""Of `_QA_RADSAT` of MSS, TM and ETM+: the detector has no value. The other bits mark saturation:
a saturated pixel holds data, for the brightest clouds saturate."""
_OLI: Final = "oli"  # Its bit 9 means nothing.


@dataclass(frozen=True)
class _Level:
    """How a level's band files are called, and how their numbers are read."""

    ending: str
    surface: bool
    no_data: int
    physical: Callable[[Mtl, str, bool], PhysicalValues]


def is_landsat(names: Iterable[str]) -> bool:
    """Whether an MTL file is among files of these names."""
    return any(_MTL.fullmatch(name) for name in names)


def open_landsat(files: ProductFiles, opening: ExitStack, gsd_m: float | None) -> Scene:
    """Opens the bands of a product that are there, all but the panchromatic one.

    Args:
        files: of one product, with its MTL.
        opening: closes the files.
        gsd_m: size of a pixel in metres; None = that of the bands, 30 m or MSS's 60 m.

    Raises:
        FileNotFoundError: there are no bands.
        ValueError: the product is of another satellite, or its MTL or a band does not fit.
        OSError: a file is damaged.
    """
    stem, mtl = _mtl(files)
    sensor = _sensor(mtl)
    level, names = _bands(files, stem, mtl, sensor)
    thermal = {band.name for band in sensor.bands if band.kind is Kind.BRIGHTNESS_TEMPERATURE}
    datasets = [opening.enter_context(open_raster(files.raster(name))) for name in names.values()]
    missing, qualities = _quality(files, stem, sensor, opening)
    _check_shapes([*datasets, *qualities])
    native_m = mtl.number("GRID_CELL_SIZE_REFLECTIVE")
    if native_m <= 0:
        raise ValueError(f"{mtl.path}: GRID_CELL_SIZE_REFLECTIVE = {native_m:g} is no size")
    step = (gsd_m or native_m) / native_m
    channels = [
        Channel(dataset, 1, level.no_data, level.physical(mtl, key, band in thermal), step)
        for dataset, (band, key) in zip(datasets, _keys(names), strict=True)
    ]
    crs, transform = _grid(mtl, datasets[0])
    height, width, transform = regrid(datasets[0].shape, transform, step)
    return Scene(
        name=mtl.get("LANDSAT_PRODUCT_ID") or stem,
        channels=tuple(channels),
        bands=sensor.describe([band for band, _ in _keys(names)], surface=level.surface),
        sensor=sensor.name,
        gsd_m=gsd_m or native_m,
        sun_elevation_deg=mtl.number("SUN_ELEVATION"),
        crs=crs,
        transform=transform,
        height=height,
        width=width,
        files=files.sources,
        notes=_notes(mtl, names),
        zeros_are_fill=level.no_data == 0,
        missing=tuple(missing),
    )


def _mtl(files: ProductFiles) -> tuple[str, Mtl]:
    """What names of the product's files begin with, and its MTL: of several forms, the txt."""
    matches = [match for name in files.names if (match := _MTL.fullmatch(name))]
    stems = sorted({match["stem"] for match in matches})
    if len(stems) != 1:
        raise ValueError(
            f"{files.path}: holds the MTL files of {len(stems)} products; give the folder or "
            "archive of one"
        )
    forms = ("txt", "xml", "json")
    name = min(matches, key=lambda match: forms.index(match[2].lower())).string
    return stems[0], Mtl(Path(files.where(name)), files.content(name))


def _sensor(mtl: Mtl) -> Sensor:
    satellite = mtl["SPACECRAFT_ID"].upper().removeprefix("LANDSAT").strip("_")
    instrument = mtl["SENSOR_ID"].upper().rstrip("+")
    instrument = {"OLI": "OLI_TIRS", "TIRS": "OLI_TIRS"}.get(instrument, instrument)
    key = f"landsat{satellite}_{instrument.lower()}"
    if key not in SENSORS:
        raise ValueError(
            f"{mtl.path}: {mtl['SPACECRAFT_ID']} with {mtl['SENSOR_ID']} is not read; "
            "Landsat 1 to 9 with MSS, TM, ETM, OLI or TIRS are"
        )
    return SENSORS[key]


def _bands(
    files: ProductFiles, stem: str, mtl: Mtl, sensor: Sensor
) -> tuple[_Level, dict[str, str]]:
    """The product's level, and its files by what its MTL calls their bands, in the table's order.

    Up to the end of a name: viewers leave files such as B4.TIF.ovr and B4.TIF.aux.xml.
    """
    declared = mtl.get("PROCESSING_LEVEL") or mtl.get("DATA_TYPE", "")
    levels = (_LEVEL_2,) if declared.startswith("L2") else (_LEVEL_1, _COLLECTION_1_LEVEL_2)
    order = {band.name: i for i, band in enumerate(sensor.bands) if band.name != _PANCHROMATIC}
    for level in levels:
        pattern = re.compile(re.escape(stem) + level.ending, re.IGNORECASE)
        found = {
            "B" + "_VCID_".join(filter(None, match.groups())): name
            for name in files.names
            if (match := pattern.fullmatch(name))
        }
        if "B6_VCID_1" in found:  # Low gain: neither the coldest cloud nor hot ground saturates.
            found.pop("B6_VCID_2", None)
        keys = sorted((key for key in found if _band(key) in order), key=lambda k: order[_band(k)])
        if keys:
            return level, {key: found[key] for key in keys}
    wanted = f"{stem}_SR_B2.TIF" if levels[0].surface else f"{stem}_B2.TIF"
    raise FileNotFoundError(f"{files.path}: holds no band files such as {wanted}")


def _band(key: str) -> str:
    return key.partition("_")[0]


def _keys(names: dict[str, str]) -> list[tuple[str, str]]:
    """The table's name and the MTL's name of each band."""
    return [(_band(key), key) for key in names]


def _quality(
    files: ProductFiles, stem: str, sensor: Sensor, opening: ExitStack
) -> tuple[list[Missing], list[DatasetReader]]:
    """What the quality files that are there say of missing pixels."""
    bits = {"_QA_PIXEL.TIF": _FILL_BIT, "_BQA.TIF": _FILL_BIT, "_pixel_qa.tif": _FILL_BIT}
    if _OLI not in sensor.name:
        bits["_QA_RADSAT.TIF"] = _DROPPED_BIT
    by_name = {name.lower(): name for name in files.names}
    missing, datasets = [], []
    for ending, flags in bits.items():
        name = by_name.get((stem + ending).lower())
        if name is not None:
            datasets.append(opening.enter_context(open_raster(files.raster(name))))
            missing.append(flagged(datasets[-1], flags))
    return missing, datasets


def _check_shapes(datasets: Sequence[DatasetReader]) -> None:
    first = datasets[0]
    for dataset in datasets:
        if dataset.shape != first.shape:
            raise ValueError(
                f"{dataset.name}: has {dataset.shape} rows and columns, but "
                f"{Path(first.name).name} has {first.shape}: bands must share one grid"
            )


def _notes(mtl: Mtl, names: dict[str, str]) -> tuple[str, ...]:
    """Bands that the MTL lists and that are not there; the gain of the thermal band."""
    listed = [
        match[1]
        for entry in mtl
        if (match := re.fullmatch(r"FILE_NAME_BAND_(?:ST_B)?(\d+)(?:_VCID_\d)?", entry))
    ]
    lacking = {f"B{n}" for n in listed} - {_band(key) for key in names} - {_PANCHROMATIC}
    notes = []
    if lacking:
        series = ", ".join(sorted(lacking, key=lambda band: int(band[1:])))
        notes.append(f"bands that are not in the product: {series}")
    if "B6_VCID_2" in names:
        notes.append("B6 at low gain is not there: B6 at high gain is used, which saturates sooner")
    return tuple(notes)


def _toa(mtl: Mtl, key: str, thermal: bool) -> PhysicalValues:
    return toa_values(mtl, key)


def _surface(mtl: Mtl, key: str, thermal: bool) -> PhysicalValues:
    quantity = "TEMPERATURE" if thermal else "REFLECTANCE"
    suffix = f"ST_{key}" if thermal else key.removeprefix("B")
    return partial(
        linear,
        mult=mtl.number(f"{quantity}_MULT_BAND_{suffix}"),
        add=mtl.number(f"{quantity}_ADD_BAND_{suffix}"),
    )


def _collection_1_surface(mtl: Mtl, key: str, thermal: bool) -> PhysicalValues:
    """Fixed factors: reflectance x 10000, kelvin x 10 (LSDS-1368, LSDS-1370)."""
    return partial(linear, mult=0.1 if thermal else 1e-4, add=0.0)


_LEVEL_1: Final = _Level(r"_B(\d+)(?:_VCID_(\d))?\.TIF", False, 0, _toa)
_LEVEL_2: Final = _Level(r"_S[RT]_B(\d+)\.TIF", True, 0, _surface)
_COLLECTION_1_LEVEL_2: Final = _Level(
    r"_(?:sr|bt)_band(\d+)\.tif", True, -9999, _collection_1_surface
)


def _grid(mtl: Mtl, dataset: DatasetReader) -> tuple[CRS | None, Affine]:
    """Where the pixels lie: by the file, else by the MTL if it is of the same size.

    The corners in an MTL are centres of pixels, and Landsat counts northings in UTM north
    everywhere, negative south of the equator. Antarctica is in polar stereographic projection.
    """
    if dataset.crs is not None:
        return dataset.crs, dataset.transform
    size = (mtl.number("REFLECTIVE_LINES"), mtl.number("REFLECTIVE_SAMPLES"))
    crs = _crs(mtl)
    if size != dataset.shape or crs is None:
        return None, Affine.identity()
    gsd_m = mtl.number("GRID_CELL_SIZE_REFLECTIVE")
    left = mtl.number("CORNER_UL_PROJECTION_X_PRODUCT") - gsd_m / 2
    top = mtl.number("CORNER_UL_PROJECTION_Y_PRODUCT") + gsd_m / 2
    return crs, Affine(gsd_m, 0, left, 0, -gsd_m, top)


def _crs(mtl: Mtl) -> CRS | None:
    if mtl["MAP_PROJECTION"] == "UTM":
        zone = mtl.number("UTM_ZONE")
        if zone not in range(1, 61):
            raise ValueError(f"{mtl.path}: UTM_ZONE = {zone:g} is none of 1 to 60")
        return CRS.from_epsg(32600 + int(zone))
    antarctic = {"VERTICAL_LON_FROM_POLE": 0.0, "TRUE_SCALE_LAT": -71.0}
    if mtl["MAP_PROJECTION"] == "PS" and all(mtl.number(k) == v for k, v in antarctic.items()):
        return CRS.from_epsg(3031)
    return None
