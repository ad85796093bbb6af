"""The images of CloudSEN12: found in the tree of files and in memory maps.

Axes: h and w height and width of a window, N bands.
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from data_prep.archives import SourceFile, find_files, on_disk
from data_prep.cloudsen12.metadata import SPLITS, Row, read_metadata
from data_prep.cloudsen12.reading import BANDS, MAP_SIDE, open_files, open_maps
from data_prep.sources import Found, SourceScene

IMAGE: Final = "S2L1C.tif"
LABEL_TYPES: Final = {"hq": "high", "sc": "scribble"}
"""What the names of label files mean: by hand throughout, or scribbles."""

_TREE_FILE: Final = re.compile(
    r"(?:^|/)(?P<roi>ROI_\d+)/(?P<product>\d{8}T\d{6}_\d{8}T\d{6}_T\d{2}[A-Z]{3})/"
    r"(?P<part>S2L1C\.tif|labels/manual_(?P<label>hq|sc)\.tif)$"
)
_OF_THE_TREE: Final = re.compile(r"(?:^|/)(S2L1C|manual_hq|manual_sc)\.tif$")
_MAP_FILE: Final = re.compile(r"L1C_B\d+A?\.dat|LABEL_manual_(hq|sc)\.dat")
_TABLE: Final = "cloudsen12_metadata.csv"
_MAPS_TABLE: Final = "metadata.csv"

Parts = dict[str, SourceFile]
"""The files of an image by the end of their names, of a folder of maps by name."""


def find(source: Path) -> Found:
    """The labelled images below a folder, or in an archive; one that is there twice is read once.

    An unpacked image is preferred to a packed one, a file of its own to a memory map.
    """
    files, faults = find_files(source)
    files.sort(key=lambda file: file.archive is not None)
    scenes: dict[str, SourceScene] = {}
    for scene in (*_tree(files, faults), *_maps(files, faults)):
        scenes.setdefault(scene.name, scene)
    if not scenes and not faults:
        raise FileNotFoundError(
            f"{source}: holds no labelled image of CloudSEN12, such as high/ROI_0001/"
            "20190807T174909_20190807T175617_T13UCS/S2L1C.tif or train/LABEL_manual_hq.dat"
        )
    return Found(list(scenes.values()), faults)


# --- The tree of files ----------------------------------------------------------------------


def _tree(files: Iterable[SourceFile], faults: list[str]) -> Iterator[SourceScene]:
    """Images of files of their own; what is wrong is added to `faults`."""
    images: dict[tuple[str, str], Parts] = {}
    table = None
    for file in files:
        path = Path(str(file)).as_posix()
        if match := _TREE_FILE.search(path):
            parts = images.setdefault((match["roi"], match["product"]), {})
            parts.setdefault(match["part"], file)
        elif _OF_THE_TREE.search(path):
            faults.append(
                f"{file}: the name is out of convention: an image lies in folders such as "
                "ROI_0001/20190807T174909_20190807T175617_T13UCS"
            )
        elif file.basename == _TABLE:
            table = table or file
    if not images:
        return
    try:
        rows = _rows(table, next(iter(next(iter(images.values())).values())))
    except (OSError, ValueError) as error:
        faults.append(str(error))
        return
    for key, parts in images.items():
        yield from _image(key, parts, rows.get(key), faults)


def _rows(table: SourceFile | None, beside: SourceFile) -> dict[tuple[str, str], Row]:
    if table is None:
        raise FileNotFoundError(
            f"{beside}: {_TABLE} is missing; it tells the published split: put it beside the images"
        )
    rows: dict[tuple[str, str], Row] = {}
    with on_disk([table]) as [path]:
        for row in read_metadata(path):
            if rows.setdefault((row.roi, row.product), row) != row:
                raise ValueError(f"{path}: two rows tell different things of {row.name}")
    return rows


def _image(
    key: tuple[str, str], parts: Parts, row: Row | None, faults: list[str]
) -> Iterator[SourceScene]:
    """The scene of an image, unless it is one without a label; its fault is added to `faults`."""
    folder = "/".join(key)
    beside = next(iter(parts.values()))
    if row is None:
        faults.append(f"{beside}: {_TABLE} has no row of {folder}: is it of another release?")
        return
    wanted = [f"labels/manual_{k}.tif" for k, name in LABEL_TYPES.items() if name == row.label_type]
    labels = [part for part in parts if part != IMAGE]
    if not wanted and not labels:
        return
    if labels and not set(wanted) & set(labels):
        faults.append(
            f"{parts[labels[0]]}: {_TABLE} says that the label of {folder} is of another type, "
            f"{row.label_type}"
        )
        return
    for part in (IMAGE, *wanted):
        if part not in parts:
            faults.append(f"{beside}: {folder}/{part} is missing beside it")
            return
    image, label = parts[IMAGE], parts[wanted[0]]
    yield SourceScene(
        name=row.name,
        scene_id=row.name,
        sensor=row.sensor,
        size_bytes=image.size_bytes + label.size_bytes,
        open=partial(open_files, image, label, row),
        split=row.split,
        packed=image.archive is not None or label.archive is not None,
    )


# --- Memory maps ----------------------------------------------------------------------------


def _maps(files: Iterable[SourceFile], faults: list[str]) -> Iterator[SourceScene]:
    """Images in memory maps, a folder for each split; what is wrong is added to `faults`."""
    folders: dict[Path, Parts] = {}
    packed: set[Path] = set()
    for file in files:
        is_map = bool(_MAP_FILE.fullmatch(file.basename))
        if is_map and file.archive:
            packed.add(file.path)
        elif is_map or (file.basename == _MAPS_TABLE and not file.archive):
            folders.setdefault(file.path.parent, {})[file.basename] = file
    faults += [f"{path}: holds memory maps, which are read unpacked: unpack it" for path in packed]
    for folder, parts in folders.items():
        if parts.keys() == {_MAPS_TABLE}:
            continue
        try:
            yield from _map_scenes(folder, parts)
        except (OSError, ValueError) as error:
            faults.append(str(error))


def _map_scenes(folder: Path, parts: Parts) -> list[SourceScene]:
    bands = [f"L1C_{band}.dat" for band in BANDS]
    labels = [name for k in LABEL_TYPES if (name := f"LABEL_manual_{k}.dat") in parts]
    missing = [name for name in (*bands, _MAPS_TABLE) if name not in parts]
    if missing or not labels:
        missing += [] if labels else ["LABEL_manual_hq.dat or LABEL_manual_sc.dat"]
        raise FileNotFoundError(f"{folder}: {', '.join(missing)} is missing")
    with on_disk([parts[_MAPS_TABLE]]) as [path]:
        rows = read_metadata(path)
    label_type = LABEL_TYPES[labels[0].removesuffix(".dat")[-2:]]
    _check_rows(rows, folder, label_type, path)
    size = len(rows) * MAP_SIDE**2
    for name, expected in (*((band, 2 * size) for band in bands), (labels[0], size)):
        found = parts[name].size_bytes
        if found != expected:
            raise ValueError(
                f"{parts[name]}: has {found} bytes, but the {len(rows)} rows of {path.name} need "
                f"{expected}: it is cut short, or of another split; fetch it again"
            )
    paths = [parts[name].path for name in (*bands, labels[0])]
    return [
        SourceScene(
            name=row.name,
            scene_id=row.name,
            sensor=row.sensor,
            size_bytes=(2 * len(bands) + 1) * MAP_SIDE**2,
            open=partial(open_maps, paths, index, row),
            split=row.split,
        )
        for index, row in enumerate(rows)
    ]


def _check_rows(rows: Iterable[Row], folder: Path, label_type: str, path: Path) -> None:
    """Refuses a table that is of other labels, or of another split than its folder."""
    split = SPLITS.get(folder.name.lower())
    for row in rows:
        if row.label_type != label_type:
            raise ValueError(
                f"{path}: says that the label of {row.name} is {row.label_type}, but the labels "
                f"beside it are {label_type}"
            )
        if split and row.split != split:
            raise ValueError(f"{path}: says that {row.name} is for {row.split}, not {split}")
