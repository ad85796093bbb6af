"""The scenes of Landsat 8 Biome: found and read in both forms, packed or not."""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Final

from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, find_files
from data_prep.codes import bits_of, check_size, scan_codes
from data_prep.landsat_scenes import (
    LANDSAT8_REFLECTANCE,
    NO_MTL,
    NO_SHADOW,
    Files,
    Layout,
    Places,
    add_file,
    loose_scene,
    open_channels,
    open_scene,
    packed_scene,
    preferred,
    read_landsat8_mtl,
)
from data_prep.sources import Found, OpenScene
from permjax import classes
from permjax.mtl import Mtl, toa_values
from permjax.radiometry import brightness_temperature
from permjax.rasters import PhysicalValues, open_raster

SENSOR: Final = "landsat8_oli_tirs"
BANDS: Final = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9", "B10", "B11")
STACK: Final = tuple(f"B{number}" for number in range(1, 12))
"""The bands of the one file of the repacked form."""

CODES: Final = {
    0: classes.UNLABELLED,  # fill
    64: classes.CLOUD_SHADOW,
    128: classes.CLEAR,
    192: classes.THIN_CLOUD,
    255: classes.THICK_CLOUD,
}
SHADOW, CLEAR = 64, 128

# LC8, path, row, year, day of the year, ground station, version.
_SCENE: Final = r"LC8\d{3}\d{3}\d{4}\d{3}[A-Z]{3}\d{2}"
_FILE: Final = re.compile(rf"({_SCENE})(?:_(B\d+|BQA|MTL|fixedmask))?\.(TIF|txt|img|hdr)", re.I)
_SCENE_ARCHIVE: Final = re.compile(r"^(LC8.*)\.(tar\.gz|tgz|tar)$", re.I)
_LABEL_FILE: Final = re.compile(r".*_fixedmask\.(tif|img)", re.I)

# The factors of thermal radiance are the same in every product too (Landsat 8 Data Users
# Handbook, section 5).
_THERMAL: Final = {
    "B10": partial(brightness_temperature, mult=3.342e-4, add=0.1, k1=774.89, k2=1321.08),
    "B11": partial(brightness_temperature, mult=3.342e-4, add=0.1, k1=480.89, k2=1201.14),
}


# --- Finding --------------------------------------------------------------------------------


def find(source: Path) -> Found:
    """The scenes below a folder, or in an archive; one that lies there twice is read once.

    An unpacked scene with a label is preferred to a packed one. Archives of one scene are not
    opened here.
    """
    files, faults = find_files(source, closed=_SCENE_ARCHIVE)
    packed: dict[str, SourceFile] = {}
    loose: dict[str, Places] = {}
    for file in files:
        archive = _SCENE_ARCHIVE.match(file.basename)
        if archive and re.fullmatch(_SCENE, archive[1]):
            packed.setdefault(archive[1], file)
        elif match := _FILE.fullmatch(file.basename):
            add_file(loose, match[1].upper(), file)
        elif archive or _LABEL_FILE.fullmatch(file.basename):
            faults.append(
                f"{file}: the name is out of convention: a scene is called "
                "LC8PPPRRRYYYYDDDGSIVV, such as LC80420082013220LGN00"
            )
    loose, packed = preferred(loose, packed, LAYOUT)
    split = published_splits().get
    scenes = [loose_scene(LAYOUT, name, of, split(name)) for name, of in loose.items()]
    scenes += [packed_scene(LAYOUT, name, file, split(name)) for name, file in packed.items()]
    if not scenes and not faults:
        raise FileNotFoundError(
            f"{source}: holds no scene of Landsat 8 Biome, such as LC80420082013220LGN00.tar.gz or "
            "LC80420082013220LGN00_fixedmask.img"
        )
    return Found(scenes, faults)


@cache
def published_splits() -> dict[str, str]:
    """The split of each of the 96 scenes."""
    with Path(__file__).with_name("scenes.csv").open(encoding="utf-8") as file:
        return {row["scene_id"]: row["split"] for row in csv.DictReader(file)}


def missing(scene_ids: Collection[str]) -> list[str]:
    """Which of the 96 scenes are not among these."""
    return sorted(published_splits().keys() - set(scene_ids))


def _is_read(scene_id: str, basename: str) -> bool:
    """Whether it is a file of the scene, but neither the panchromatic nor the quality band."""
    match = _FILE.fullmatch(basename)
    if match is None or match[1].upper() != scene_id:
        return False
    return (match[2] or "").upper() not in ("B8", "BQA")


# --- Reading --------------------------------------------------------------------------------


@contextmanager
def _open(scene_id: str, paths: Sequence[Path]) -> Iterator[OpenScene]:
    files = _parts(paths)
    with ExitStack() as opening:
        mtl = read_landsat8_mtl(files["MTL"], scene_id) if "MTL" in files else None
        physical = {band: _physical(band, mtl) for band in BANDS}
        channels = open_channels(files, physical, STACK, "uint16", scene_id, opening)
        label = _label(scene_id, files, channels[0].dataset, opening)
        codes = scan_codes(label, CODES)
        clear = classes.CLEAR if SHADOW in codes else classes.CLEAR_OR_SHADOW
        yield open_scene(
            SENSOR,
            BANDS,
            channels,
            label,
            bits_of({**CODES, CLEAR: clear}),
            mtl=mtl,
            notes={NO_MTL: mtl is None, NO_SHADOW: SHADOW not in codes},
        )


def _parts(paths: Sequence[Path]) -> Files:
    """Files by part; the header of the mask, which GDAL reads by itself, apart from the mask."""
    files = {}
    for path in paths:
        match = _FILE.fullmatch(path.name)
        if match:
            part = (match[2] or "").upper()
            files["HDR" if path.suffix.lower() == ".hdr" else part] = path
    return files


def _physical(band: str, mtl: Mtl | None) -> PhysicalValues:
    if mtl is not None:
        return toa_values(mtl, band)
    return _THERMAL.get(band, LANDSAT8_REFLECTANCE)


def _label(scene_id: str, files: Files, image: DatasetReader, opening: ExitStack) -> DatasetReader:
    path = files.get("FIXEDMASK")
    if path is None:
        folder = next(iter(files.values())).parent
        raise FileNotFoundError(f"{folder}: the mask {scene_id}_fixedmask.img or .TIF is missing")
    if path.suffix.lower() == ".img" and "HDR" not in files:
        raise FileNotFoundError(f"{path}: its header {scene_id}_fixedmask.hdr is missing")
    label = opening.enter_context(open_raster(path))
    check_size(label, image)
    # GDAL takes what is missing at the end of an ENVI file for zeros.
    if label.driver == "ENVI" and path.stat().st_size < label.height * label.width:
        raise OSError(f"{path}: is cut short; fetch it again")
    return label


LAYOUT: Final = Layout(SENSOR, _LABEL_FILE, _is_read, _open)
