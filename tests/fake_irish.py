"""Writes tiny scenes of Landsat 7 Irish in its real layouts: names, formats, codes, MTLs."""

import tarfile
from pathlib import Path

import numpy as np
from fake_scenes import write_geotiff

FIRST, SECOND, THIRD = "p226_r98", "p2_r27", "p231_r93_2"
"""Scenes; of their files, path and row are padded with zeros, those of folder and mask are not."""

_STEMS = {
    FIRST: "226098_09820011112",
    SECOND: "002027_02720010604",
    THIRD: "231093_09320010507",
}
_ZONES = {FIRST: "austral", SECOND: "boreal", THIRD: "austral"}
_DAYS = {FIRST: "2001-11-12", SECOND: "2001-06-04", THIRD: "2001-05-07"}

SHAPE = (72, 60)
SUN_ELEVATION_DEG = 30.0
BANDS = ("B10", "B20", "B30", "B40", "B50", "B61", "B62", "B70", "B80")
SHADOW, CLEAR, THIN, CLOUD = range(4)
FILL_IS_ZERO = (64, 128, 192, 255)
"""Codes of shadow, clear, thin cloud and cloud where 0 is fill."""
SHADOW_IS_ZERO = (0, 255, 192, 128)
"""The same where 0 is shadow and fill has the code of clear."""

# As an MTL of LPGS 11.4 has them (of 2011).
RANGES = {
    "1": (-6.2, 191.6),
    "2": (-6.4, 196.5),
    "3": (-5.0, 152.9),
    "4": (-5.1, 241.1),
    "5": (-1.0, 31.06),
    "61": (0.0, 17.04),
    "62": (3.2, 12.65),
    "7": (-0.35, 10.8),
    "8": (-4.7, 243.1),
}
_MTL = """GROUP = L1_METADATA_FILE
  GROUP = PRODUCT_METADATA
    PRODUCT_TYPE = "L1T"
    PROCESSING_SOFTWARE = "LPGS_11.4.0"
    SPACECRAFT_ID = "Landsat7"
    SENSOR_ID = "ETM+"
    ACQUISITION_DATE = {day}
    WRS_PATH = {path}
    STARTING_ROW = {row}
    ENDING_ROW = {row}
    BAND_COMBINATION = "123456678"
  END_GROUP = PRODUCT_METADATA
  GROUP = MIN_MAX_RADIANCE
{radiance}
  END_GROUP = MIN_MAX_RADIANCE
  GROUP = MIN_MAX_PIXEL_VALUE
{numbers}
  END_GROUP = MIN_MAX_PIXEL_VALUE
  GROUP = PRODUCT_PARAMETERS
    SUN_AZIMUTH = 53.7730377
    SUN_ELEVATION = {sun_elevation_deg}
    OUTPUT_FORMAT = "GEOTIFF"
  END_GROUP = PRODUCT_PARAMETERS
END_GROUP = L1_METADATA_FILE
END
"""


def stripes(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """What is there, int [H, W]: stripes of shadow, clear, thin cloud and cloud."""
    return np.broadcast_to(np.arange(shape[1]) * 4 // shape[1], shape).copy()


def corners(size: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Bool [H, W]: the four corners, which are fill in a scene that stands askew."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) < size for n in shape)
    return rows[:, None] & columns[None]


def digital_numbers(seed: int = 0) -> np.ndarray:
    """Digital numbers uint8 [H, W, 9]: clouds are bright, corners of 3 x 3 fill, one is dead."""
    rng = np.random.default_rng(seed)
    dn = rng.integers(40, 120, (*SHAPE, len(BANDS))).astype(np.uint8)
    dn[stripes() == CLOUD] += 100
    dn[corners(3)] = 0
    dn[10, 20, BANDS.index("B50")] = 0
    return dn


def codes(convention: tuple[int, ...] = FILL_IS_ZERO, *, shadow: bool = True) -> np.ndarray:
    """A mask uint8 [H, W] of every code, with fill at the corners of 4 x 4 pixels."""
    there = stripes()
    if not shadow:
        there[there == SHADOW] = CLEAR
    mask = np.array(convention, np.uint8)[there]
    mask[corners(4)] = convention[CLEAR] if convention == SHADOW_IS_ZERO else 0
    return mask


def stem(scene: str) -> str:
    """What the files of most bands begin with."""
    return f"L71{_STEMS[scene]}"


def write_original(
    parent: Path,
    scene: str = FIRST,
    *,
    mask: np.ndarray | None = None,
    release: str = "newmask2015",
    seed: int = 0,
) -> Path:
    """The folder `<zone>/<scene>/` as it comes from USGS."""
    folder = parent / _ZONES[scene] / scene
    folder.mkdir(parents=True)
    dn = digital_numbers(seed)
    for index, band in enumerate(BANDS):
        number = dn[..., index]
        if band == "B80":  # The panchromatic band is twice the size.
            number = number.repeat(2, axis=0).repeat(2, axis=1)
        prefix = "L72" if band in ("B62", "B70", "B80") else "L71"
        write_geotiff(folder / f"{prefix}{_STEMS[scene]}_{band}.TIF", number[None])
    write_mtl(folder, scene)
    write_mask(folder, scene, codes() if mask is None else mask, release)
    return folder


def write_mask(folder: Path, scene: str, mask: np.ndarray, release: str = "newmask2015") -> Path:
    """The mask as the release of a year calls it: that of 2015 leaves the number out."""
    path, row = scene.split("_")[:2]
    names = {
        "newmask2015": f"L7_{path}_{row}_newmask2015.TIF",
        "mask2019": f"{scene}_mask2019.TIF",
    }
    write_geotiff(folder / names[release], mask[None])
    return folder / names[release]


def write_mtl(folder: Path, scene: str, sun_elevation_deg: float = SUN_ELEVATION_DEG) -> Path:
    """An MTL of 2011."""
    radiance = [
        f"    LMAX_BAND{band} = {most:.3f}\n    LMIN_BAND{band} = {least:.3f}"
        for band, (least, most) in RANGES.items()
    ]
    numbers = [f"    QCALMAX_BAND{band} = 255.0\n    QCALMIN_BAND{band} = 1.0" for band in RANGES]
    path = folder / f"{stem(scene)}_MTL.txt"
    path.write_text(
        _MTL.format(
            day=_DAYS[scene],
            path=_STEMS[scene][:3],
            row=_STEMS[scene][3:6],
            radiance="\n".join(radiance),
            numbers="\n".join(numbers),
            sun_elevation_deg=sun_elevation_deg,
        )
    )
    return path


def write_new_mtl(folder: Path, scene: str, *, reflectance: bool) -> Path:
    """An MTL since 2012, or with `reflectance`, of a collection: round factors."""
    lines = [
        '    SPACECRAFT_ID = "LANDSAT_7"',
        f"    DATE_ACQUIRED = {_DAYS[scene]}",
        f"    WRS_PATH = {_STEMS[scene][:3]}",
        f"    WRS_ROW = {_STEMS[scene][3:6]}",
        f"    SUN_ELEVATION = {SUN_ELEVATION_DEG}",
        "    EARTH_SUN_DISTANCE = 0.9900000",
    ]
    for band in ("1", "2", "3", "4", "5", "6_VCID_1", "6_VCID_2", "7", "8"):
        lines.append(f"    RADIANCE_MULT_BAND_{band} = 6.7000E-02")
        lines.append(f"    RADIANCE_ADD_BAND_{band} = -0.50000")
        if reflectance and band.startswith("6"):
            lines.append(f"    K1_CONSTANT_BAND_{band} = 666.09")
            lines.append(f"    K2_CONSTANT_BAND_{band} = 1282.71")
        elif reflectance:
            lines.append(f"    REFLECTANCE_MULT_BAND_{band} = 2.0000E-03")
            lines.append(f"    REFLECTANCE_ADD_BAND_{band} = -0.010000")
    path = folder / f"{stem(scene)}_MTL.txt"
    path.write_text("GROUP = L1_METADATA_FILE\n" + "\n".join(lines) + "\nEND\n")
    return path


def write_repacked(
    parent: Path,
    scene: str = FIRST,
    *,
    mask: np.ndarray | None = None,
    mtl: bool = False,
    seed: int = 0,
) -> Path:
    """The folder `l7irish/<zone>/<scene>/` of the repacked form."""
    folder = parent / "l7irish" / _ZONES[scene] / scene
    folder.mkdir(parents=True)
    write_geotiff(folder / f"{stem(scene)}.TIF", digital_numbers(seed).transpose(2, 0, 1))
    write_mask(folder, scene, codes() if mask is None else mask)
    if mtl:
        write_mtl(folder, scene)
    return folder


def write_archive(path: Path, *folders: Path) -> Path:
    """A tar.gz of folders, by the last two parts of their names; the folders stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for folder in folders:
            archive.add(folder, "/".join(folder.parts[-2:]))
    return path
