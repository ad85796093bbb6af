"""The scenes of Landsat 7 Irish: found and read in both forms, packed or not.

Axes: h and w height and width of a window, N bands.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from functools import partial
from math import nan
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, find_files, on_disk, unpacked
from data_prep.codes import check_size, scan_codes
from data_prep.landsat7_irish.calibration import BANDS, physical_values
from data_prep.landsat7_irish.conventions import KNOWN, cloud_is_darker, convention_of
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
DARK_CLOUD: Final = "what the mask calls cloud is darker than what it calls clear: snow, or wrong"
TWO_MASKS: Final = "masks of 2015 and 2019 are there: that of 2019 is read"

# Path, row and, of several scenes of one path and row, a number.
_SCENE: Final = re.compile(r"p(\d{1,3})_r(\d{1,3})(?:_\d+)?", re.I)
# L71 or L72, path, row, row, year, month, day.
_FILE: Final = re.compile(
    r"L7[12](\d{3})(\d{3})_(\d{3})(\d{8})(?:_(B[1-578]0|B6[12]|MTL))?\.(?:TIF|txt)", re.I
)
_LABEL: Final = re.compile(r".*(newmask2015|mask2019)\.TIF", re.I)
# As the files of those years call it, L71..., or since, LE7... or LE07...
_MTL: Final = re.compile(r"LE?0?7.*_MTL\.txt", re.I)
_ALMOST: Final = re.compile(r"L7.*_B\d+\.TIF|L7\d+_\d+\.TIF", re.I)
_SCENE_ARCHIVE: Final = re.compile(r"^(p\d+_.*)\.(tar\.gz|tgz|tar)$", re.I)

Files = dict[str, Path]
"""The files of a scene by part: "B10", "MTL", "MASK2019", and "" for the file of all bands."""


class Channel(NamedTuple):
    """A band: open file, index in it, and what its digital numbers mean."""

    dataset: DatasetReader
    number: int
    physical: PhysicalValues


# --- Finding --------------------------------------------------------------------------------


def find(source: Path) -> Found:
    """The scenes below a folder, or in an archive; one that lies there twice is read once.

    An unpacked scene is preferred to a packed one. Archives of one scene are not opened here.
    """
    files, faults = find_files(source, closed=_SCENE_ARCHIVE)
    packed: dict[str, SourceFile] = {}
    loose: dict[str, dict[tuple[Path | None, str], list[SourceFile]]] = {}
    for file in files:
        archive = _SCENE_ARCHIVE.match(file.basename)
        folder = _scene_folder(file, source)
        if archive and _SCENE.fullmatch(archive[1]):
            packed.setdefault(archive[1].lower(), file)
        elif _part(file.basename) is not None and _SCENE.fullmatch(folder):
            where = (file.path if file.archive else None, file.folder)
            loose.setdefault(folder.lower(), {}).setdefault(where, []).append(file)
        elif archive or _part(file.basename) is not None or _ALMOST.fullmatch(file.basename):
            faults.append(
                f"{file}: the name is out of convention: files such as L71226098_09820011112_B10"
                ".TIF lie in a folder or archive called pPPP_rRRR, such as p226_r98"
            )
    scenes = [_loose_scene(name, places) for name, places in loose.items()]
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


def _part(basename: str) -> str | None:
    """What part of a scene a file is: "B10", "MTL", "MASK2019", ...; None = of none."""
    if match := _FILE.fullmatch(basename):
        return (match[5] or "").upper()
    if match := _LABEL.fullmatch(basename):
        return match[1].upper()
    return "MTL" if _MTL.fullmatch(basename) else None


def _is_read(file: SourceFile) -> bool:
    """Neither the thermal band at high gain nor the panchromatic band."""
    return _part(file.basename) not in (None, "B62", "B80")


def _loose_scene(
    name: str, places: Mapping[tuple[Path | None, str], list[SourceFile]]
) -> SourceScene:
    # None, no archive, first; of several places the first with a label.
    in_order = sorted(places.items(), key=lambda place: (place[0][0] is not None, str(place[0])))
    labelled = [f for _, f in in_order if any(_LABEL.fullmatch(file.basename) for file in f)]
    files = [file for file in (labelled or [in_order[0][1]])[0] if _is_read(file)]
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
        parts = {_part(path.name) or "": path for path in sorted(paths, reverse=True)}
        with _open(parts, _acquired(name, paths)) as opened:
            yield opened


@contextmanager
def _open_packed(name: str, archive: Path) -> Iterator[OpenScene]:
    with unpacked(archive) as files:
        own = [file for file in files if _is_read(file)]
        if not own:
            raise ValueError(f"{archive}: holds no file of a scene of Landsat 7 Irish")
        with _open_loose(name, own) as opened:
            yield opened


def _acquired(name: str, paths: list[Path]) -> date:
    """The day that names of files tell, after a look that all are of one scene, the named one."""
    scene = _SCENE.fullmatch(name)
    assert scene is not None, name
    place = int(scene[1]), int(scene[2])
    days: dict[str, Path] = {}
    for path in paths:
        match = _FILE.fullmatch(path.name)
        label = _SCENE.search(path.name)
        if match:
            days[match[4]] = path
            places = {(int(match[1]), int(match[2])), (int(match[1]), int(match[3]))}
        else:
            places = {(int(label[1]), int(label[2]))} if label else {place}
        if places != {place}:
            raise ValueError(f"{path}: is of another path and row than the scene {name}")
    if len(days) != 1:
        folder = paths[0].parent
        if not days:
            raise FileNotFoundError(f"{folder}: has a mask and no band, such as L71..._B10.TIF")
        listed = " and ".join(sorted(days))
        raise ValueError(f"{folder}: holds files of several days, {listed}: take some away")
    [(digits, path)] = days.items()
    try:
        return datetime.strptime(digits, "%Y%m%d").date()
    except ValueError:
        raise ValueError(f"{path}: the name is out of convention: {digits} is no day") from None


@contextmanager
def _open(files: Files, acquired: date) -> Iterator[OpenScene]:
    with ExitStack() as opening:
        mtl = _mtl(files, acquired)
        channels = _channels(files, mtl, acquired, opening)
        label = _label(files, channels[0].dataset, opening)
        codes = scan_codes(label, KNOWN)
        convention = convention_of(label, codes)
        red = channels[BANDS.index("B3")]
        notes = {
            convention.note: True,
            NO_MTL: mtl is None,
            NO_SHADOW: convention.shadow not in codes,
            DARK_CLOUD: cloud_is_darker(convention, label, red.dataset, red.number),
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


def _mtl(files: Files, acquired: date) -> Mtl | None:
    if "MTL" not in files:
        return None
    mtl = Mtl(files["MTL"])
    if mtl["SPACECRAFT_ID"] not in ("Landsat7", "LANDSAT_7"):
        raise ValueError(f"{mtl.path}: is of {mtl['SPACECRAFT_ID']}, not of Landsat 7")
    # The names of before 2012 and those since.
    day = mtl["ACQUISITION_DATE" if "ACQUISITION_DATE" in mtl else "DATE_ACQUIRED"]
    if day != acquired.isoformat():
        raise ValueError(f"{mtl.path}: is of {day}, but the files of the scene are of {acquired}")
    return mtl


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
