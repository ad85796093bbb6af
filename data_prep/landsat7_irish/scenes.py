"""The scenes of Landsat 7 Irish: found and read in both forms, packed or not."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, find_files
from data_prep.codes import check_size, scan_codes
from data_prep.landsat7_irish.calibration import BANDS, physical_values, read_mtl
from data_prep.landsat7_irish.conventions import KNOWN, convention_of
from data_prep.landsat7_irish.names import (
    LABEL,
    SCENE,
    acquired_on,
    days_of,
    part_of,
    path_and_row,
)
from data_prep.landsat_scenes import (
    NO_SHADOW,
    Files,
    Layout,
    Places,
    add_file,
    in_order,
    loose_scene,
    open_channels,
    open_scene,
    packed_scene,
    preferred,
)
from data_prep.sources import Found, OpenScene
from permjax.rasters import open_raster

SENSOR: Final = "landsat7_etm"
FILES: Final = ("B10", "B20", "B30", "B40", "B50", "B61", "B70")
"""The files of `BANDS`."""
STACK: Final = ("B10", "B20", "B30", "B40", "B50", "B61", "B62", "B70", "B80")
"""The bands of the one file of the repacked form."""

NO_MTL: Final = (
    "no MTL: sun elevation unknown, reflectance without the sun-angle term; gains taken as high in "
    "bands 1, 2, 3, 5 and 7 and low in band 4"
)
DARK_CLOUD: Final = "what the mask calls cloud is darker than what it calls clear, as over snow"
TWO_MASKS: Final = "masks of 2015 and 2019 are there: that of 2019 is read"

_ALMOST: Final = re.compile(r"L7.*_B\d+\.TIF|L7\d+_\d+\.TIF", re.I)
_SCENE_ARCHIVE: Final = re.compile(r"^(p\d+_.*)\.(tar\.gz|tgz|tar)$", re.I)


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
        folder = _scene_folder(file, source)
        if archive and SCENE.fullmatch(archive[1]):
            packed.setdefault(archive[1].lower(), file)
        elif part_of(file.basename) is not None and SCENE.fullmatch(folder):
            add_file(loose, folder.lower(), file)
        elif archive or part_of(file.basename) is not None or _ALMOST.fullmatch(file.basename):
            faults.append(
                f"{file}: the name is out of convention: files such as L71226098_09820011112_B10"
                ".TIF lie in a folder or archive called pPPP_rRRR, such as p226_r98"
            )
    loose, packed = preferred(loose, packed, LAYOUT)
    unclear = {name: fault for name, of in loose.items() if (fault := _contradiction(name, of))}
    faults += unclear.values()
    scenes = [loose_scene(LAYOUT, name, of) for name, of in loose.items() if name not in unclear]
    scenes += [packed_scene(LAYOUT, name, file) for name, file in packed.items()]
    if not scenes and not faults:
        raise FileNotFoundError(
            f"{source}: holds no scene of Landsat 7 Irish, such as p226_r98.tar.gz or "
            "p226_r98/L71226098_09820011112_B10.TIF"
        )
    return Found(scenes, faults)


def _scene_folder(file: SourceFile, source: Path) -> str:
    """The name of the folder that a file lies in; at the top, of the archive or the source."""
    if file.folder != ".":
        return file.folder.rsplit("/", 1)[-1]
    return file.path.name.split(".")[0] if file.archive else source.name


def _is_read(_: str, basename: str) -> bool:
    """Neither the thermal band at high gain nor the panchromatic band."""
    return part_of(basename) not in (None, "B62", "B80")


def _contradiction(name: str, places: Places) -> str | None:
    """The fault of a scene whose places hold images of different days."""
    images: dict[frozenset[str], SourceFile] = {}
    for files in in_order(places):
        if days := days_of(file.basename for file in files):
            images.setdefault(frozenset(days), files[0])
    if len(images) < 2:
        return None
    said = " and ".join(f"{file} ({', '.join(sorted(days))})" for days, file in images.items())
    return f"scene {name} lies in places of different days: {said}: take some away"


# --- Reading --------------------------------------------------------------------------------


@contextmanager
def _open(name: str, paths: Sequence[Path]) -> Iterator[OpenScene]:
    # Of two MTLs that of the older name, L71..., as the bands have it.
    files = {part_of(path.name) or "": path for path in sorted(paths, reverse=True)}
    acquired = acquired_on(name, paths)
    with ExitStack() as opening:
        mtl = None
        if "MTL" in files:
            mtl = read_mtl(files["MTL"], path_and_row(name), acquired)
        physical = {
            part: physical_values(band, mtl, acquired)
            for part, band in zip(FILES, BANDS, strict=True)
        }
        channels = open_channels(files, physical, STACK, "uint8", "L7...", opening)
        label = _label(files, channels[0].dataset, opening)
        codes = scan_codes(label, KNOWN)
        red, infrared = (channels[BANDS.index(band)] for band in ("B3", "B5"))
        convention, dark_cloud = convention_of(label, codes, red[:2], infrared[:2])
        yield open_scene(
            SENSOR,
            BANDS,
            channels,
            label,
            convention.label_bits(codes),
            mtl=mtl,
            notes={
                convention.note: True,
                NO_MTL: mtl is None,
                NO_SHADOW: convention.shadow not in codes,
                DARK_CLOUD: dark_cloud,
                TWO_MASKS: {"MASK2019", "NEWMASK2015"} <= files.keys(),
            },
            zero_is_unlabelled=not convention.names_fill,
        )


def _label(files: Files, image: DatasetReader, opening: ExitStack) -> DatasetReader:
    path = files.get("MASK2019", files.get("NEWMASK2015"))
    if path is None:
        folder = next(iter(files.values())).parent
        raise FileNotFoundError(
            f"{folder}: the mask *_newmask2015.TIF or *_mask2019.TIF is missing"
        )
    label = opening.enter_context(open_raster(path))
    check_size(label, image)
    return label


LAYOUT: Final = Layout(SENSOR, LABEL, _is_read, _open)
