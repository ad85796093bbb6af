"""Scenes on disk, opened: Sentinel-2 and Landsat products, or a raster file of any sensor."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import isfinite
from os import PathLike
from pathlib import Path

import numpy as np

from permjax.bands import BandDescription, Kind
from permjax.landsat import is_landsat, open_landsat
from permjax.products import ARCHIVES, ProductFiles, product_files
from permjax.raster_files import open_raster_file
from permjax.rasters import Scene
from permjax.sensors import select_sensors
from permjax.sentinel2 import is_sentinel2, open_sentinel2


def open_scene(
    path: str | PathLike[str],
    *,
    sensor: str | None = None,
    bands: BandDescription | None = None,
    surface: bool = False,
    scale: float | None = None,
    offset: float = 0.0,
    gsd_m: float | None = None,
) -> Scene:
    """Opens a Sentinel-2 or Landsat product, or any raster file whose bands are described.

    A product (a folder, a zip or tar archive, or its metadata file) tells everything itself; what
    is said of it besides must agree. The bands of a raster file are described by `bands` or by
    `sensor`, else by the tags `wavelength_nm`, `bandwidth_nm` and `unit` ("1" or "K") of each band
    in the file.

    Args:
        path: of the product or file, or of a folder with one product in it.
        sensor: key of `SENSORS`, or a TOML file that describes one. The file's band names then say
            which of its bands they are; without names, the file must hold all of them in the
            table's order.
        bands: a description of the file's bands, as `describe_bands` gives it.
        surface: the reflectance is that of the surface (a level 2 product).
        scale: reflectance per digital number, instead of what the file says.
        offset: reflectance of digital number 0, with `scale`.
        gsd_m: size of a pixel of the scene's grid in metres; None = 20 for Sentinel-2, the pixels
            of the files otherwise.

    Raises:
        FileNotFoundError: nothing is there, or a folder holds no product.
        ValueError: the bands are not described, or twice, or what is said does not fit the file.
        OSError: a file is damaged.
    """
    path = Path(path)
    factors = _factors(scale, offset)
    if sensor is not None and bands is not None:
        raise ValueError(f"the sensor {sensor} describes the bands already: leave out either")
    if gsd_m is not None and not (isfinite(gsd_m) and gsd_m > 0):
        raise ValueError(f"gsd_m is {gsd_m}: give the size of a pixel in metres")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    if path.is_file() and _is_product([path.name]):
        path = path.parent
    with ExitStack() as opening:
        if path.is_dir() or path.name.lower().endswith(ARCHIVES):
            if bands is not None or factors is not None:
                raise ValueError(
                    f"{path}: a product tells its bands and their scale itself: leave out bands "
                    "and scale"
                )
            scene = _open_product(path, opening, gsd_m)
            _check_said(path, scene, sensor, surface)
            if np.isnan(scene.sun_elevation_deg):
                scene = replace(scene, notes=(*scene.notes, "the sun's elevation is unknown"))
        else:
            scene = open_raster_file(path, opening, sensor, bands, surface, factors, gsd_m)
        return replace(scene, resources=opening.pop_all())  # They stay open for the scene.


def _factors(scale: float | None, offset: float) -> tuple[float, float] | None:
    if scale is None:
        if offset != 0:
            raise ValueError(f"offset {offset:g} is given without a scale: give both")
        return None
    if not (isfinite(scale) and scale > 0 and isfinite(offset)):
        raise ValueError(
            f"scale {scale:g} and offset {offset:g} make no reflectance: the scale is a positive "
            "number such as 0.0001"
        )
    return scale, offset


def _open_product(path: Path, opening: ExitStack, gsd_m: float | None) -> Scene:
    tile = None
    if path.is_dir() and path.resolve().parent.name == "GRANULE":
        tile, path = f"GRANULE/{path.resolve().name}", path.resolve().parent.parent
    files = _one_product(path, opening)
    if is_sentinel2(files.names):
        return open_sentinel2(files, opening, gsd_m, tile)
    return open_landsat(files, opening, gsd_m)


def _one_product(path: Path, opening: ExitStack) -> ProductFiles:
    """The product that a folder or an archive is, or the only one in a folder."""
    files = product_files(path, opening)
    if _is_product(files.names):
        return files
    folders = [part for part in sorted(path.iterdir()) if part.is_dir()] if path.is_dir() else []
    products = [product_files(folder, opening) for folder in folders]
    products = [files for files in products if _is_product(files.names)]
    if len(products) == 1:
        return products[0]
    if products:
        raise ValueError(
            f"{path}: holds {len(products)} products; give one of them, such as {products[0].path}"
        )
    raise FileNotFoundError(
        f"{path}: holds no MTD_MSIL1C.xml or MTD_MSIL2A.xml of a Sentinel-2 product and no *_MTL "
        "file (.txt, .xml or .json) of a Landsat product; give one of them, or a raster file"
    )


def _is_product(names: Sequence[str]) -> bool:
    return is_sentinel2(names) or is_landsat(names)


def _check_said(path: Path, scene: Scene, sensor: str | None, surface: bool) -> None:
    """Refuses what the product's own metadata contradict."""
    if sensor and scene.sensor not in {chosen.name for chosen in select_sensors([sensor])}:
        raise ValueError(f"{path}: is of {scene.sensor}, not of {sensor}: leave out the sensor")
    if surface and Kind.SURFACE_REFLECTANCE not in scene.bands.kind:
        raise ValueError(
            f"{path}: is a level 1 product: its reflectance is that of the top of the atmosphere, "
            "not of the surface"
        )
