"""Writes tiny raw data in the real layouts: names, formats and metadata as they come, seeded."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter

from permjax.rasters import Scene

Grid = tuple[Affine, CRS]

SUN_ELEVATION_DEG = 30.0
LEVEL1_BANDS = ("1", "2", "3", "4", "5", "6", "7", "9", "10", "11")
LEVEL2_BANDS = ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7", "ST_B10")

_LEVEL1_FACTORS = """\
  GROUP = {prefix}RADIOMETRIC_RESCALING
    RADIANCE_MULT_BAND_10 = 3.3420E-04
    RADIANCE_MULT_BAND_11 = 3.3420E-04
    RADIANCE_ADD_BAND_10 = 0.10000
    RADIANCE_ADD_BAND_11 = 0.10000
{reflectance}
  END_GROUP = {prefix}RADIOMETRIC_RESCALING
  GROUP = {prefix}THERMAL_CONSTANTS
    K1_CONSTANT_BAND_10 = 774.8853
    K2_CONSTANT_BAND_10 = 1321.0789
    K1_CONSTANT_BAND_11 = 480.8883
    K2_CONSTANT_BAND_11 = 1201.1442
  END_GROUP = {prefix}THERMAL_CONSTANTS
"""

_LEVEL2_FACTORS = """\
  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
{reflectance}
  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
  GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
    TEMPERATURE_MULT_BAND_ST_B10 = 0.00341802
    TEMPERATURE_ADD_BAND_ST_B10 = 149.0
  END_GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
"""

_MTL = """\
GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "{product}"
    PROCESSING_LEVEL = "{level}"
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_8"
    SENSOR_ID = "OLI_TIRS"
    SUN_ELEVATION = {sun_elevation_deg}
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = PROJECTION_ATTRIBUTES
    MAP_PROJECTION = "UTM"
    UTM_ZONE = 16
    GRID_CELL_SIZE_REFLECTIVE = 30.00
    REFLECTIVE_LINES = {height}
    REFLECTIVE_SAMPLES = {width}
    CORNER_UL_PROJECTION_X_PRODUCT = 500100.000
    CORNER_UL_PROJECTION_Y_PRODUCT = 1400100.000
  END_GROUP = PROJECTION_ATTRIBUTES
{factors}END_GROUP = LANDSAT_METADATA_FILE
END
"""


def landsat_folder(
    parent: Path,
    *,
    level: int = 1,
    height: int = 40,
    width: int = 36,
    georeferenced: bool = True,
    seed: int = 0,
) -> Path:
    """A Landsat 8 Collection 2 product: its upper left 3 x 3 pixels are fill (0) in all bands."""
    processing = {1: "L1TP", 2: "L2SP"}[level]
    product = f"LC08_{processing}_017051_20151205_20200908_02_T1"
    folder = parent / product
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = [f"B{n}" for n in LEVEL1_BANDS] if level == 1 else LEVEL2_BANDS
    grid = (Affine(30, 0, 500_085, 0, -30, 1_400_115), CRS.from_epsg(32616))
    for name in names:
        dn = rng.integers(8_000, 40_000, (height, width), dtype=np.uint16)
        dn[:3, :3] = 0
        write_geotiff(folder / f"{product}_{name}.TIF", dn[None], grid if georeferenced else None)
    # What stands beside the bands in a real product, and is none of them here.
    panchromatic = np.full((1, 2 * height, 2 * width), 9_000, np.uint16)
    write_geotiff(folder / f"{product}_QA_PIXEL.TIF", np.full((1, height, width), 21824, np.uint16))
    if level == 1:
        write_geotiff(folder / f"{product}_B8.TIF", panchromatic)
    mtl = _mtl(product, processing, height, width)
    (folder / f"{product}_MTL.txt").write_text(mtl)
    return folder


def _mtl(product: str, processing: str, height: int, width: int) -> str:
    toa = "\n".join(
        f"    REFLECTANCE_MULT_BAND_{n} = 2.0000E-05\n    REFLECTANCE_ADD_BAND_{n} = -0.100000"
        for n in range(1, 10)
    )
    factors = _LEVEL1_FACTORS.format(prefix="LEVEL1_", reflectance=toa)
    if processing == "L2SP":
        surface = toa.replace("2.0000E-05", "2.75e-05").replace("-0.100000", "-0.2")
        factors = _LEVEL2_FACTORS.format(reflectance=surface) + factors
    return _MTL.format(
        product=product,
        level=processing,
        height=height,
        width=width,
        sun_elevation_deg=SUN_ELEVATION_DEG,
        factors=factors,
    )


@dataclass(frozen=True)
class FakeBand:
    """A band of a fake GeoTIFF, with the tags and factors that it carries."""

    name: str
    wavelength_nm: float
    bandwidth_nm: float
    unit: str = "1"
    scale: float = 1e-4
    offset: float = 0.0


RED, NIR = FakeBand("red", 665, 31), FakeBand("nir", 833, 106, offset=-0.1)
THERMAL = FakeBand("thermal", 10_895, 590, unit="K", scale=1e-2)
BANDS = (RED, NIR, THERMAL)
TAGS = MappingProxyType({"sensor": "Sentinel-2 MSI", "level": "L1C TOA"})


def tagged_geotiff(
    path: Path,
    dn: np.ndarray,
    bands: Sequence[FakeBand] = BANDS,
    *,
    no_data: float | None = None,
    grid: Grid | None = None,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """A GeoTIFF [N, H, W] whose bands are described by tags, as in a folder of labelled images."""
    # All is said before the pixels, so that the file's beginning tells where everything is.
    with _new_geotiff(path, dn, grid, no_data) as file:
        file.update_tags(**tags)
        file.scales = [band.scale for band in bands]
        file.offsets = [band.offset for band in bands]
        for i, band in enumerate(bands, start=1):
            file.set_band_description(i, band.name)
            wavelength, bandwidth = str(band.wavelength_nm), str(band.bandwidth_nm)
            file.update_tags(i, wavelength_nm=wavelength, bandwidth_nm=bandwidth, unit=band.unit)
        file.write(dn)
    return path


def labelled_image(
    folder: Path,
    name: str,
    codes: np.ndarray | None,
    *,
    bands: Sequence[FakeBand] = BANDS,
    shape: tuple[int, int] = (40, 50),
    seed: int = 0,
    **tags: str,
) -> Path:
    """An image of random numbers and, where `codes` are given, its label file."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    high = [30_000 if band.unit == "K" else 9_000 for band in bands]
    dn = np.stack([rng.integers(high[i] // 2, high[i], shape) for i in range(len(bands))])
    path = folder / f"{name}.tif"
    tagged_geotiff(path, dn.astype(np.uint16), bands, tags={**TAGS, **tags})
    if codes is not None:
        write_geotiff(folder / f"{name}_label.tif", codes.astype(np.uint8)[None])
    return path


def write_geotiff(
    path: Path,
    image: np.ndarray,
    grid: Grid | None = None,
    no_data: float | None = None,
) -> None:
    """Writes [N, H, W] as it is; `grid` is a transform and its coordinate reference system."""
    with _new_geotiff(path, image, grid, no_data) as file:
        file.write(image)


def _new_geotiff(
    path: Path, image: np.ndarray, grid: Grid | None, no_data: float | None
) -> DatasetWriter:
    transform, crs = grid or (None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=image.shape[0],
            height=image.shape[1],
            width=image.shape[2],
            dtype=image.dtype,
            transform=transform,
            crs=crs,
            nodata=no_data,
        )


def whole(scene: Scene) -> np.ndarray:
    """All of a scene in one window."""
    return scene.read((slice(0, scene.height), slice(0, scene.width)))
