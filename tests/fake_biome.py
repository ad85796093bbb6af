"""Writes tiny scenes of Landsat 8 Biome in its real layouts: names, formats, codes, MTL."""

import tarfile
from pathlib import Path

import numpy as np
from fake_scenes import write_geotiff

TRAIN, TEST, CLEAR = "LC80420082013220LGN00", "LC80530022014156LGN00", "LC81640502013179LGN01"
"""Scenes of the published halves: the first and last train, the second tests."""

SHAPE = (40, 36)
SUN_ELEVATION_DEG = 30.0
BAND_NUMBERS = range(1, 12)

_MTL = """GROUP = L1_METADATA_FILE
  GROUP = METADATA_FILE_INFO
    LANDSAT_SCENE_ID = "{scene}"
  END_GROUP = METADATA_FILE_INFO
  GROUP = PRODUCT_METADATA
    SPACECRAFT_ID = "LANDSAT_8"
    SENSOR_ID = "OLI_TIRS"
  END_GROUP = PRODUCT_METADATA
  GROUP = IMAGE_ATTRIBUTES
    SUN_AZIMUTH = 150.00000000
    SUN_ELEVATION = {sun_elevation_deg}
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = RADIOMETRIC_RESCALING
    RADIANCE_MULT_BAND_10 = 3.3420E-04
    RADIANCE_MULT_BAND_11 = 3.3420E-04
    RADIANCE_ADD_BAND_10 = 0.10000
    RADIANCE_ADD_BAND_11 = 0.10000
{reflectance}
  END_GROUP = RADIOMETRIC_RESCALING
  GROUP = TIRS_THERMAL_CONSTANTS
    K1_CONSTANT_BAND_10 = 774.89
    K1_CONSTANT_BAND_11 = 480.89
    K2_CONSTANT_BAND_10 = 1321.08
    K2_CONSTANT_BAND_11 = 1201.14
  END_GROUP = TIRS_THERMAL_CONSTANTS
END_GROUP = L1_METADATA_FILE
END
"""

_ENVI_HEADER = """ENVI
description = {{{scene}_fixedmask}}
samples = {width}
lines   = {height}
bands   = 1
header offset = 0
file type = ENVI Standard
data type = 1
interleave = bsq
byte order = 0
"""


def digital_numbers(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Digital numbers uint16 [H, W, 11] of B1 to B11; the upper left 3 x 3 pixels are fill."""
    rng = np.random.default_rng(seed)
    dn = rng.integers(8_000, 40_000, (*shape, len(BAND_NUMBERS))).astype(np.uint16)
    dn[:3, :3] = 0
    return dn


def codes(*, shadow: bool = True, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A mask uint8 [H, W] of stripes of every code: fill, shadow, clear, thin cloud, cloud."""
    stripes = np.array([0, 64 if shadow else 128, 128, 192, 255], np.uint8)
    return np.broadcast_to(stripes[np.arange(shape[1]) * 5 // shape[1]], shape).copy()


def write_original(
    parent: Path,
    scene: str = TRAIN,
    *,
    mask: np.ndarray | None = None,
    seed: int = 0,
    shape: tuple[int, int] = SHAPE,
) -> Path:
    """The folder `BC/<SCENE>/` as an archive of USGS unpacks it."""
    folder = parent / "BC" / scene
    folder.mkdir(parents=True)
    dn = digital_numbers(seed, shape)
    for number in BAND_NUMBERS:
        band = dn[..., number - 1]
        if number == 8:  # The panchromatic band is twice the size.
            band = band.repeat(2, axis=0).repeat(2, axis=1)
        write_geotiff(folder / f"{scene}_B{number}.TIF", band[None])
    write_geotiff(folder / f"{scene}_BQA.TIF", np.full((1, *shape), 20480, np.uint16))
    write_mtl(folder / f"{scene}_MTL.txt", scene)
    write_envi(folder, scene, codes(shape=shape) if mask is None else mask)
    return folder


def write_envi(folder: Path, scene: str, mask: np.ndarray) -> None:
    """The mask as an ENVI pair."""
    height, width = mask.shape
    (folder / f"{scene}_fixedmask.img").write_bytes(mask.tobytes())
    header = _ENVI_HEADER.format(scene=scene, height=height, width=width)
    (folder / f"{scene}_fixedmask.hdr").write_text(header)


def write_mtl(path: Path, scene: str, sun_elevation_deg: float = SUN_ELEVATION_DEG) -> None:
    """An MTL of before the collections."""
    reflectance = "\n".join(
        f"    REFLECTANCE_MULT_BAND_{n} = 2.0000E-05\n    REFLECTANCE_ADD_BAND_{n} = -0.100000"
        for n in range(1, 10)
    )
    path.write_text(
        _MTL.format(scene=scene, sun_elevation_deg=sun_elevation_deg, reflectance=reflectance)
    )


def write_repacked(
    parent: Path,
    scene: str = TRAIN,
    *,
    mask: np.ndarray | None = None,
    biome: str = "barren",
    mtl: bool = False,
    seed: int = 0,
) -> Path:
    """The folder `l8biome/<biome>/<SCENE>/` of the repacked form."""
    folder = parent / "l8biome" / biome / scene
    folder.mkdir(parents=True)
    dn = digital_numbers(seed)
    write_geotiff(folder / f"{scene}.TIF", dn.transpose(2, 0, 1))
    label = codes() if mask is None else mask
    write_geotiff(folder / f"{scene}_fixedmask.TIF", label[None])
    if mtl:
        write_mtl(folder / f"{scene}_MTL.txt", scene)
    return folder


def write_archive(path: Path, *folders: Path) -> Path:
    """A tar.gz of folders, by the last two parts of their names; the folders stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for folder in folders:
            archive.add(folder, "/".join(folder.parts[-2:]))
    return path
