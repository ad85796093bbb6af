"""Sentinel-2 products, level 1C and level 2A, of every processing baseline.

Names and formulas are those of the Sentinel-2 Products Specification Document
(S2-PDGS-TAS-DI-PSD); products from before December 2016 have longer names.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from math import ceil, nan
from pathlib import Path
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.io import DatasetReader

from permjax.products import ProductFiles
from permjax.radiometry import linear
from permjax.rasters import Channel, Scene, open_raster
from permjax.sensors import SENSORS, Sensor

GSD_M: Final = 20.0
"""Of the grid of a scene, unless told otherwise."""

_PRODUCT: Final = re.compile(
    r"(|.*/)(MTD_MSIL(1C|2A)|S2\w_\w{4}_MTD_SAFL(1C|2A)_\w+)\.xml", re.IGNORECASE
)
_TILE: Final = re.compile(
    r"(|.*/)(GRANULE/[^/]+)/(MTD_TL|S2\w_\w{4}_MTD_L(1C|2A)_TL_\w+)\.xml", re.IGNORECASE
)
_IMAGE: Final = re.compile(
    r"(|.*/)(?P<tile>GRANULE/[^/]+)/IMG_DATA/(R\d0m/)?[^/]+_B(?P<band>\d\d|8A)"
    r"(_(?P<gsd>[126]0)m)?\.(jp2|tiff?)",
    re.IGNORECASE,
)
_NO_DATA: Final = 0
_FIRST_WITH_OFFSET: Final = 4.0
_LOCAL: Final = 99.0
"""Baselines from here are those of processors that users run; older ones add no offset."""


def is_sentinel2(names: Iterable[str]) -> bool:
    """Whether the metadata of a Sentinel-2 product are among files of these names."""
    return any(_PRODUCT.fullmatch(name) for name in names)


def open_sentinel2(
    files: ProductFiles, opening: ExitStack, gsd_m: float | None, tile: str | None = None
) -> Scene:
    """Opens the bands of a product that are there, on one grid.

    Each band is read from its coarsest image that is not coarser than the grid; reflectance is
    `(dn + offset) / quantification` with the numbers of the metadata.

    Args:
        files: of one product.
        opening: closes the files.
        gsd_m: size of a pixel in metres; None = 20.
        tile: its folder in GRANULE, in an old product of several.

    Raises:
        FileNotFoundError: there are no bands.
        ValueError: the metadata do not say what they must, or a band does not fit.
        OSError: a file is damaged.
    """
    product = _one(files, _PRODUCT)
    root = _parse(files, product)
    where = files.where(product)
    sensor = _sensor(root, where)
    surface = _text(root, "PROCESSING_LEVEL", where).startswith("Level-2A")
    folder = tile or _one_tile(files)
    gsd_m = gsd_m or GSD_M
    images = _images(files, folder, sensor, gsd_m)
    physical = _physical(root, where, surface)
    order = [band.name for band in sensor.bands]
    datasets, sizes = {}, {}
    for band, (name, nominal_m) in images.items():
        datasets[band] = opening.enter_context(open_raster(files.raster(name)))
        # A product may have been thinned out; the file then says so.
        sizes[band] = datasets[band].res[0] if datasets[band].crs else nominal_m
    geometry = _Geometry(files, folder)
    crs, (left, top) = geometry.place(datasets)
    height, width = _shape(datasets, sizes, gsd_m)
    return Scene(
        name=Path(files.path.name).stem if tile is None else tile.rpartition("/")[2],
        channels=tuple(
            Channel(datasets[b], 1, _NO_DATA, physical(order.index(b)), gsd_m / sizes[b])
            for b in images
        ),
        bands=sensor.describe(list(images), surface=surface),
        sensor=sensor.name,
        gsd_m=gsd_m,
        sun_elevation_deg=geometry.sun_elevation_deg,
        crs=crs,
        transform=Affine(gsd_m, 0, left, 0, -gsd_m, top) if crs else Affine.identity(),
        height=height,
        width=width,
        files=files.sources,
        notes=_notes(order, images, surface),
    )


def _one(files: ProductFiles, pattern: re.Pattern) -> str:
    names = [name for name in files.names if pattern.fullmatch(name)]
    if len(names) != 1:
        raise ValueError(
            f"{files.path}: holds the metadata of {len(names)} products "
            f"({', '.join(names[:3])}); give the folder or archive of one"
        )
    return names[0]


def _one_tile(files: ProductFiles) -> str:
    """The folder in GRANULE of the product's only tile."""
    tiles = sorted({match["tile"] for name in files.names if (match := _IMAGE.fullmatch(name))})
    if not tiles:
        raise FileNotFoundError(
            f"{files.path}: holds no band images such as GRANULE/*/IMG_DATA/*_B02.jp2"
        )
    if len(tiles) > 1:
        raise ValueError(
            f"{files.path}: holds {len(tiles)} tiles; give the folder of one, such as {tiles[0]}"
        )
    return tiles[0]


def _images(
    files: ProductFiles, tile: str, sensor: Sensor, gsd_m: float
) -> dict[str, tuple[str, float]]:
    """Name and pixel size of the image of each band, in the table's order."""
    found: dict[str, dict[float, str]] = {}
    table = {band.name: band.gsd_m for band in sensor.bands}
    for name in files.names:
        match = _IMAGE.fullmatch(name)
        if match and match["tile"] == tile:
            band = "B" + match["band"].lstrip("0").upper()
            if band in table:
                size_m = float(match["gsd"] or table[band])
                found.setdefault(band, {})[size_m] = name
    best = {}
    for band in (band for band in table if band in found):
        sizes = sorted(found[band])
        size_m = max((size for size in sizes if size <= gsd_m), default=sizes[0])
        best[band] = (found[band][size_m], size_m)
    if not best:
        raise FileNotFoundError(f"{files.where(tile)}: holds no band images such as *_B02.jp2")
    return best


def _shape(
    datasets: dict[str, DatasetReader], sizes: dict[str, float], gsd_m: float
) -> tuple[int, int]:
    """Rows and columns of the grid that covers the bands, which must cover the same ground."""
    extents = {b: tuple(n * sizes[b] for n in datasets[b].shape) for b in datasets}
    first, tolerance_m = next(iter(extents)), max(sizes.values())
    for band, extent in extents.items():
        if any(abs(a - b) >= tolerance_m for a, b in zip(extent, extents[first], strict=True)):
            raise ValueError(
                f"{datasets[band].name}: covers {extent} m, but {first} covers {extents[first]} m: "
                "bands must cover the same ground"
            )
    rows, columns = (
        max(1, ceil(min(side) / gsd_m - 1e-6)) for side in zip(*extents.values(), strict=True)
    )
    return rows, columns


def _notes(order: Sequence[str], images: Iterable[str], surface: bool) -> tuple[str, ...]:
    found = set(images)
    # Level 2A has no cirrus band: nothing of the surface is seen in it.
    lacking = [band for band in order if band not in found and not (surface and band == "B10")]
    return (f"bands that are not in the product: {', '.join(lacking)}",) if lacking else ()


# --- Metadata -------------------------------------------------------------------------------


def _parse(files: ProductFiles, name: str) -> Element:
    try:
        return ElementTree.fromstring(files.content(name))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(
            f"{files.where(name)}: is damaged or cut short ({error}); fetch it again"
        ) from None


def _all(root: Element, *names: str) -> Iterator[Element]:
    """Elements of these names, whatever their namespace."""
    return (item for item in root.iter() if item.tag.rpartition("}")[2] in names)


def _text(root: Element, name: str, where: str) -> str:
    item = next(_all(root, name), None)
    if item is None or not (item.text or "").strip():
        raise ValueError(f"{where}: has no {name}; it is cut short or not a Sentinel-2 product's")
    return (item.text or "").strip()


def _number(item: Element, where: str) -> float:
    try:
        number = float(item.text or "")
    except ValueError:
        number = nan
    if not abs(number) < 1e9:
        raise ValueError(f"{where}: {item.tag} = {item.text} is not a number")
    return number


def _sensor(root: Element, where: str) -> Sensor:
    satellite = _text(root, "SPACECRAFT_NAME", where)
    key = f"{satellite.lower().replace('-', '')}_msi"
    if key not in SENSORS:
        known = ", ".join(sensor for sensor in SENSORS if sensor.startswith("sentinel2"))
        raise ValueError(f"{where}: the satellite {satellite!r} is none of {known}")
    return SENSORS[key]


def _physical(root: Element, where: str, surface: bool) -> Callable[[int], partial]:
    """What digital numbers of a band mean, by its number in the metadata."""
    # The names of level 2A until 2018 and since; of level 1C.
    values = ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE")
    values = values if surface else ("QUANTIFICATION_VALUE",)
    item = next(_all(root, *values), None)
    quantification = 0.0 if item is None else _number(item, where)
    if quantification <= 0:
        raise ValueError(f"{where}: has no positive {values[0]}, by which numbers are divided")
    offsets = _offsets(root, where, "BOA_ADD_OFFSET" if surface else "RADIO_ADD_OFFSET")

    def physical(band_id: int) -> partial:
        if offsets and band_id not in offsets:
            raise ValueError(f"{where}: has no offset for band_id {band_id}, but for others")
        add = offsets.get(band_id, 0.0) / quantification
        return partial(linear, mult=1 / quantification, add=add)

    return physical


def _offsets(root: Element, where: str, name: str) -> dict[int, float]:
    """The number added to those of each band; none before baseline 04.00, which brought them."""
    offsets = {}
    for item in _all(root, name):
        band_id = item.get("band_id", "")
        if not band_id.isdecimal():
            raise ValueError(f"{where}: a {name} has the band_id {band_id!r}, not a number")
        offsets[int(band_id)] = _number(item, where)
    _text(root, "PROCESSING_BASELINE", where)
    baseline = _number(next(_all(root, "PROCESSING_BASELINE")), where)
    if not offsets and _FIRST_WITH_OFFSET <= baseline < _LOCAL:
        raise ValueError(
            f"{where}: has no {name}, which every product of baseline 04.00 or later has (this is "
            f"{baseline:05.2f}); fetch the product's own metadata"
        )
    return offsets


class _Geometry:
    """Where a tile lies and how high the sun stood, by its metadata; without them, unknown."""

    def __init__(self, files: ProductFiles, tile: str) -> None:
        names = [n for n in files.names if (match := _TILE.fullmatch(n)) and match[2] == tile]
        self._root = _parse(files, names[0]) if names else Element("none")
        self._where = files.where(names[0] if names else tile)

    @property
    def sun_elevation_deg(self) -> float:
        """Of the tile's mean, NaN = unknown."""
        for angles in _all(self._root, "Mean_Sun_Angle"):
            for item in _all(angles, "ZENITH_ANGLE"):
                return 90 - _number(item, self._where)
        return nan

    def place(self, datasets: dict[str, DatasetReader]) -> tuple[CRS | None, tuple[float, float]]:
        """Coordinate reference system and upper left corner: by an image, else by the metadata."""
        for dataset in datasets.values():
            if dataset.crs is not None:
                return dataset.crs, (dataset.transform.c, dataset.transform.f)
        code = next(_all(self._root, "HORIZONTAL_CS_CODE"), None)
        corner = [next(_all(self._root, name), None) for name in ("ULX", "ULY")]
        if code is None or corner[0] is None or corner[1] is None:
            return None, (0.0, 0.0)
        try:
            crs = CRS.from_user_input(code.text)
        except CRSError:
            raise ValueError(
                f"{self._where}: HORIZONTAL_CS_CODE = {code.text} is unknown"
            ) from None
        return crs, (_number(corner[0], self._where), _number(corner[1], self._where))
