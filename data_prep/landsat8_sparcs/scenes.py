"""The sub-scenes of Landsat 8 SPARCS: found and read, packed or not."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, find_files, on_disk
from data_prep.codes import bits_of, check_size, scan_codes
from data_prep.landsat_scenes import Channel, open_scene, read_landsat8_mtl
from data_prep.patches import assign_splits
from data_prep.sources import Found, OpenScene, SourceScene
from permjax import classes
from permjax.mtl import toa_values
from permjax.rasters import open_raster

SENSOR: Final = "landsat8_oli_tirs"
BANDS: Final = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9", "B10", "B11")

CODES: Final = {
    0: classes.CLOUD_SHADOW,
    1: classes.CLOUD_SHADOW,  # over water
    2: classes.CLEAR,  # water
    3: classes.CLEAR,  # snow or ice
    4: classes.CLEAR,  # land
    5: classes.CLOUD,
    6: classes.CLEAR,  # flooded
}
PALETTE: Final = {
    0: (0, 0, 0),
    1: (0, 0, 128),
    2: (0, 0, 255),
    3: (0, 255, 255),
    4: (128, 128, 128),
    5: (255, 255, 255),
    6: (128, 128, 0),
}
"""The colour of each code, red, green and blue."""

FROM_LABELS: Final = "codes of _labels.tif"
FROM_MASK: Final = "codes are the palette indices of _mask.png"

# LC8, path, row, year, day of the year, ground station, version; number of the sub-scene.
_ACQUISITION: Final = r"LC8\d{13}[A-Z]{3}\d{2}"
_FILE: Final = re.compile(
    rf"(?P<stem>{_ACQUISITION}_\d+)_(?P<part>data\.tif|labels\.tif|mask\.png|mtl\.txt)", re.I
)
# In some copies the metadata file, which is of the whole scene, is named by the scene alone.
_SCENE_MTL: Final = re.compile(rf"(?P<stem>{_ACQUISITION})_mtl\.txt", re.I)
_OF_SPARCS: Final = re.compile(r"_(data|labels)\.tif$|_mask\.png$", re.I)

DATA, LABELS, MASK, MTL = "data.tif", "labels.tif", "mask.png", "mtl.txt"

Parts = dict[str, SourceFile]
"""The files of a sub-scene, by what follows its stem."""


# --- Finding --------------------------------------------------------------------------------


def find(source: Path) -> Found:
    """The sub-scenes below a folder, or in an archive; one that lies there twice is read once.

    An unpacked sub-scene is preferred to a packed one.
    """
    files, faults = find_files(source)
    parts: dict[str, Parts] = {}
    whole_scene: dict[str, SourceFile] = {}
    for file in sorted(files, key=lambda file: file.archive is not None):
        if match := _FILE.fullmatch(file.basename):
            stem = match["stem"].upper()
            parts.setdefault(stem, {}).setdefault(match["part"].lower(), file)
        elif match := _SCENE_MTL.fullmatch(file.basename):
            whole_scene.setdefault(match["stem"].upper(), file)
        elif _OF_SPARCS.search(file.basename):
            faults.append(
                f"{file}: the name is out of convention: files are called by scene and number, "
                "such as LC80010812013365LGN00_18_data.tif"
            )
    for stem, own in parts.items():
        if _acquisition(stem) in whole_scene:
            own.setdefault(MTL, whole_scene[_acquisition(stem)])
    # Two sub-scenes of one acquisition go to one split, though each has its own id.
    splits = assign_splits(map(_acquisition, parts))
    scenes = [_scene(stem, own, splits[_acquisition(stem)]) for stem, own in parts.items()]
    if not scenes and not faults:
        raise FileNotFoundError(
            f"{source}: holds no sub-scene of Landsat 8 SPARCS: give l8cloudmasks.zip, or a folder "
            "with files such as LC80010812013365LGN00_18_data.tif"
        )
    return Found(scenes, faults)


def _acquisition(stem: str) -> str:
    return stem.partition("_")[0]


def _scene(stem: str, parts: Parts, split: str) -> SourceScene:
    read = {part: file for part, file in parts.items() if part != MASK or LABELS not in parts}
    return SourceScene(
        name=stem,
        scene_id=stem,
        sensor=SENSOR,
        size_bytes=sum(file.size_bytes for file in read.values()),
        open=partial(_open, stem, read),
        split=split,
        packed=any(file.archive for file in read.values()),
    )


# --- Reading --------------------------------------------------------------------------------


@contextmanager
def _open(stem: str, parts: Mapping[str, SourceFile]) -> Iterator[OpenScene]:
    label_part = LABELS if LABELS in parts else MASK
    for part in (DATA, label_part, MTL):
        if part not in parts:
            beside = next(iter(parts.values()))
            also = f" or {stem}_{LABELS}" if part == MASK else ""
            raise FileNotFoundError(f"{beside}: {stem}_{part}{also} is missing beside it")
    with on_disk([parts[part] for part in (DATA, label_part, MTL)]) as (data, label_path, mtl_path):
        mtl = read_landsat8_mtl(mtl_path, stem)
        with open_raster(data) as image, open_raster(label_path) as label:
            _check_image(image)
            check_size(label, image)
            used = scan_codes(label, CODES)
            if label_part == MASK:
                _check_palette(label, used)
            yield open_scene(
                SENSOR,
                BANDS,
                [Channel(image, i, toa_values(mtl, band)) for i, band in enumerate(BANDS, start=1)],
                label,
                bits_of(CODES),
                mtl=mtl,
                notes={FROM_LABELS: label_part == LABELS, FROM_MASK: label_part == MASK},
            )


def _check_image(image: DatasetReader) -> None:
    if image.count != len(BANDS) or set(image.dtypes) != {"uint16"}:
        raise ValueError(
            f"{image.name}: has {image.count} bands of {image.dtypes[0]}, not the {len(BANDS)} of "
            f"uint16 that are {', '.join(BANDS)}"
        )


def _check_palette(label: DatasetReader, used: set[int]) -> None:
    """Refuses a palette in another order: its indices are then not the codes."""
    try:
        palette = label.colormap(1)
    except ValueError:  # It has none.
        return
    for code in sorted(used):
        if palette[code][:3] != PALETTE[code]:
            raise ValueError(
                f"{label.name}: colour {code} of its palette is {palette[code][:3]}, but code "
                f"{code} is {PALETTE[code]}: the palette was changed; fetch the file again"
            )
