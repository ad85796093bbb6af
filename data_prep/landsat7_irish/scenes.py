"""The scenes of Landsat 7 Irish: found and read in both forms, packed or not.

Axes: h and w height and width of a window, N bands.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from math import nan
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, find_files, on_disk, unpacked
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
from data_prep.sources import Found, OpenScene, SourceScene
from permjax import classes
from permjax.mtl import Mtl
from permjax.rasters import PhysicalValues, open_raster, read_dn
from permjax.sensors import SENSORS

SENSOR: Final = "landsat7_etm"
GSD_M: Final = 30.0

FILES: Final = ("B10", "B20", "B30", "B40", "B50", "B61", "B70")
"""The files of `BANDS`."""
STACK: Final = ("B10", "B20", "B30", "B40", "B50", "B61", "B62", "B70", "B80")
"""The bands of the one file of the repacked form."""

NO_MTL: Final = (
    "no MTL: sun elevation unknown, reflectance without the sun-angle term; gains taken as high in "
    "bands 1, 2, 3, 5 and 7 and low in band 4"
)
NO_SHADOW: Final = "no shadow labelled: clear means clear or cloud shadow"
DARK_CLOUD: Final = "what the mask calls cloud is darker than what it calls clear, as over snow"
TWO_MASKS: Final = "masks of 2015 and 2019 are there: that of 2019 is read"

_ALMOST: Final = re.compile(r"L7.*_B\d+\.TIF|L7\d+_\d+\.TIF", re.I)
_SCENE_ARCHIVE: Final = re.compile(r"^(p\d+_.*)\.(tar\.gz|tgz|tar)$", re.I)

Files = dict[str, Path]
"""The files of a scene by part: "B10", "MTL", "MASK2019", and "" for the file of all bands."""

Places = dict[tuple[Path | None, str], list[SourceFile]]
"""The files of a scene by where they lie: archive, if any, and folder."""


class Channel(NamedTuple):
    """A band: open file, index in it, and what its digital numbers mean."""

    dataset: DatasetReader
    number: int
    physical: PhysicalValues


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
            where = (file.path if file.archive else None, file.folder)
            loose.setdefault(folder.lower(), {}).setdefault(where, []).append(file)
        elif archive or part_of(file.basename) is not None or _ALMOST.fullmatch(file.basename):
            faults.append(
                f"{file}: the name is out of convention: files such as L71226098_09820011112_B10"
                ".TIF lie in a folder or archive called pPPP_rRRR, such as p226_r98"
            )
    loose = {name: of for name, of in loose.items() if name not in packed or _labelled(of)}
    unclear = {name: fault for name, of in loose.items() if (fault := _contradiction(name, of))}
    faults += unclear.values()
    scenes = [_loose_scene(name, of) for name, of in loose.items() if name not in unclear]
    scenes += [_packed_scene(name, file) for name, file in packed.items() if name not in loose]
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


def _is_read(file: SourceFile) -> bool:
    """Neither the thermal band at high gain nor the panchromatic band."""
    return part_of(file.basename) not in (None, "B62", "B80")


def _in_order(places: Places) -> list[list[SourceFile]]:
    """The files of each place; None, no archive, first."""
    return [places[p] for p in sorted(places, key=lambda place: (place[0] is not None, str(place)))]


def _labelled(places: Places) -> list[list[SourceFile]]:
    """The files of each place that has a label."""
    return [f for f in _in_order(places) if any(LABEL.fullmatch(x.basename) for x in f)]


def _contradiction(name: str, places: Places) -> str | None:
    """The fault of a scene whose places hold images of different days."""
    images: dict[frozenset[str], SourceFile] = {}
    for files in _in_order(places):
        if days := days_of(file.basename for file in files):
            images.setdefault(frozenset(days), files[0])
    if len(images) < 2:
        return None
    said = " and ".join(f"{file} ({', '.join(sorted(days))})" for days, file in images.items())
    return f"scene {name} lies in places of different days: {said}: take some away"


def _loose_scene(name: str, places: Places) -> SourceScene:
    of_first = (_labelled(places) or _in_order(places))[0]
    files = [file for file in of_first if _is_read(file)]
    return SourceScene(
        name=name,
        scene_id=name,
        sensor=SENSOR,
        size_bytes=sum(file.size_bytes for file in files),
        open=partial(_open_loose, name, files),
        packed=any(file.archive for file in files),
    )


def _packed_scene(name: str, archive: SourceFile) -> SourceScene:
    return SourceScene(
        name=name,
        scene_id=name,
        sensor=SENSOR,
        size_bytes=archive.size_bytes,
        open=partial(_open_packed, name, archive.path),
        packed=True,
    )


# --- Reading --------------------------------------------------------------------------------


@contextmanager
def _open_loose(name: str, files: list[SourceFile]) -> Iterator[OpenScene]:
    with on_disk(files) as paths:
        # Of two MTLs that of the older name, L71..., as the bands have it.
        parts = {part_of(path.name) or "": path for path in sorted(paths, reverse=True)}
        with _open(name, parts, acquired_on(name, paths)) as opened:
            yield opened


@contextmanager
def _open_packed(name: str, archive: Path) -> Iterator[OpenScene]:
    with unpacked(archive) as files:
        own = [file for file in files if _is_read(file)]
        if not own:
            raise ValueError(f"{archive}: holds no file of a scene of Landsat 7 Irish")
        with _open_loose(name, own) as opened:
            yield opened


@contextmanager
def _open(name: str, files: Files, acquired: date) -> Iterator[OpenScene]:
    with ExitStack() as opening:
        mtl = None
        if "MTL" in files:
            mtl = read_mtl(files["MTL"], path_and_row(name), acquired)
        channels = _channels(files, mtl, acquired, opening)
        label = _label(files, channels[0].dataset, opening)
        codes = scan_codes(label, KNOWN)
        red, infrared = (channels[BANDS.index(band)] for band in ("B3", "B5"))
        convention, dark_cloud = convention_of(label, codes, red[:2], infrared[:2])
        notes = {
            convention.note: True,
            NO_MTL: mtl is None,
            NO_SHADOW: convention.shadow not in codes,
            DARK_CLOUD: dark_cloud,
            TWO_MASKS: {"MASK2019", "NEWMASK2015"} <= files.keys(),
        }
        bits = convention.label_bits(codes)

        def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
            label_bits = bits[read_dn(label, 1, (rows, columns))]
            image = np.empty((*label_bits.shape, len(channels)), np.float32)
            for i, channel in enumerate(channels):
                dn = read_dn(channel.dataset, channel.number, (rows, columns))
                image[..., i] = np.where(dn == 0, np.float32(nan), channel.physical(dn))
                if not convention.names_fill:
                    label_bits[dn == 0] = classes.UNLABELLED
            return image, label_bits

        yield OpenScene(
            height=label.height,
            width=label.width,
            bands=SENSORS[SENSOR].describe(BANDS),
            gsd_m=GSD_M,
            sun_elevation_deg=nan if mtl is None else mtl.sun_elevation_deg(),
            read=read,
            notes=tuple(note for note, holds in notes.items() if holds),
        )


def _channels(files: Files, mtl: Mtl | None, acquired: date, opening: ExitStack) -> list[Channel]:
    """The bands, from a file each or from the file of all nine."""
    physical = [physical_values(band, mtl, acquired) for band in BANDS]
    if "" in files:
        stack = opening.enter_context(_open_uint8(files[""]))
        if stack.count != len(STACK):
            raise ValueError(f"{files['']}: has {stack.count} bands, not the 9 from B10 to B80")
        numbers = [STACK.index(file) + 1 for file in FILES]
        return [Channel(stack, n, p) for n, p in zip(numbers, physical, strict=True)]
    missing = [file for file in FILES if file not in files]
    if missing:
        folder = next(iter(files.values())).parent
        raise FileNotFoundError(
            f"{folder}: the band {missing[0]} (L7..._{missing[0]}.TIF) is missing"
            + (f", and so are {', '.join(missing[1:])}" if missing[1:] else "")
        )
    datasets = [opening.enter_context(_open_uint8(files[file])) for file in FILES]
    for dataset in datasets:
        check_size(dataset, datasets[0])
    return [Channel(d, 1, p) for d, p in zip(datasets, physical, strict=True)]


def _open_uint8(path: Path) -> DatasetReader:
    dataset = open_raster(path)
    if set(dataset.dtypes) != {"uint8"}:
        dataset.close()
        raise ValueError(f"{path}: holds {dataset.dtypes[0]}, not uint8 digital numbers of ETM+")
    return dataset


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
