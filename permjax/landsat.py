"""Landsat 8 and 9 products, Collection 2, level 1 and level 2: a folder with an MTL.txt.

Names of files and entries are those of the USGS data format control books of level 1 (LSDS-1822)
and level 2 (LSDS-1328).
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader

from permjax.mtl import Mtl, toa_values
from permjax.radiometry import linear
from permjax.rasters import Channel, PhysicalValues, Scene, open_raster
from permjax.sensors import SENSORS

_SENSORS: Final = {"LANDSAT_8": "landsat8_oli_tirs", "LANDSAT_9": "landsat9_oli_tirs"}

_PANCHROMATIC: Final = "B8"
"""Left out: it lies on a 15 m grid, and what it sees bands 2 to 4 see at 30 m."""


def open_landsat(folder: Path, opening: ExitStack) -> Scene:
    """Opens the bands of a product that its folder holds, all but the panchromatic one.

    Args:
        folder: with one MTL.txt.
        opening: closes the files if opening fails.

    Raises:
        FileNotFoundError: the folder holds no MTL.txt, several, or no bands.
        ValueError: the product is of another satellite, or its MTL or a band does not fit.
        OSError: a file is damaged.
    """
    mtl = Mtl(_mtl_path(folder))
    if mtl["SPACECRAFT_ID"] not in _SENSORS:
        known = " and ".join(_SENSORS)
        raise ValueError(f"{mtl.path}: {mtl['SPACECRAFT_ID']} is not read; {known} are")
    sensor = SENSORS[_SENSORS[mtl["SPACECRAFT_ID"]]]
    surface = mtl["PROCESSING_LEVEL"].startswith("L2")
    paths = _bands(folder, surface)
    physical = _surface if surface else toa_values
    channels = [
        Channel(opening.enter_context(open_raster(path)), 1, 0, physical(mtl, name))
        for name, path in paths.items()
    ]
    _check_shapes([channel.dataset for channel in channels])
    crs, transform = _grid(mtl, channels[0].dataset)
    return Scene(
        name=mtl["LANDSAT_PRODUCT_ID"],
        channels=tuple(channels),
        bands=sensor.describe(list(paths), surface=surface),
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


def _bands(folder: Path, surface: bool) -> dict[str, Path]:
    """The path of each band that the folder holds, in the order of their numbers."""
    # Up to the end: viewers leave files such as B4.TIF.ovr and B4.TIF.aux.xml beside the bands.
    pattern = re.compile(r"_S[RT]_B(\d+)\.TIF$" if surface else r"_B(\d+)\.TIF$", re.IGNORECASE)
    numbers = {
        int(match[1]): path for path in folder.iterdir() if (match := pattern.search(path.name))
    }
    paths = {f"B{number}": numbers[number] for number in sorted(numbers)}
    paths.pop(_PANCHROMATIC, None)
    if not paths:
        wanted = "*_SR_B2.TIF" if surface else "*_B2.TIF"
        raise FileNotFoundError(f"{folder}: holds no band files such as {wanted}")
    return paths


def _check_shapes(datasets: Sequence[DatasetReader]) -> None:
    first = datasets[0]
    for dataset in datasets:
        if dataset.shape != first.shape:
            raise ValueError(
                f"{dataset.name}: has {dataset.shape} rows and columns, but "
                f"{Path(first.name).name} has {first.shape}: bands must share one grid"
            )


def _surface(mtl: Mtl, band: str) -> PhysicalValues:
    quantity = "TEMPERATURE" if f"TEMPERATURE_MULT_BAND_ST_{band}" in mtl else "REFLECTANCE"
    key = f"ST_{band}" if quantity == "TEMPERATURE" else band.removeprefix("B")
    return partial(
        linear,
        mult=mtl.number(f"{quantity}_MULT_BAND_{key}"),
        add=mtl.number(f"{quantity}_ADD_BAND_{key}"),
    )


def _grid(mtl: Mtl, dataset: DatasetReader) -> tuple[CRS | None, Affine]:
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
