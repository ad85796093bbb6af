"""The scenes of Landsat 8 Biome: found and read in both forms, packed or not.

Axes: h and w height and width of a window, N bands.
"""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from math import nan
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, find_files, on_disk, unpacked
from data_prep.codes import check_size, scan_codes
from data_prep.sources import Found, OpenScene, SourceScene
from permjax import classes
from permjax.mtl import Mtl, toa_values
from permjax.radiometry import brightness_temperature, linear
from permjax.rasters import PhysicalValues, open_raster, read_dn
from permjax.sensors import SENSORS

SENSOR: Final = "landsat8_oli_tirs"
BANDS: Final = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9", "B10", "B11")
GSD_M: Final = 30.0

CODES: Final = {
    0: classes.UNLABELLED,  # fill
    64: classes.CLOUD_SHADOW,
    128: classes.CLEAR,
    192: classes.THIN_CLOUD,
    255: classes.THICK_CLOUD,
}
SHADOW, CLEAR = 64, 128

NO_MTL: Final = "no MTL: sun elevation unknown, reflectance without the sun-angle term"
NO_SHADOW: Final = "no shadow labelled: clear means clear or cloud shadow"

# LC8, path, row, year, day of the year, ground station, version.
_SCENE: Final = r"LC8\d{3}\d{3}\d{4}\d{3}[A-Z]{3}\d{2}"
_FILE: Final = re.compile(rf"({_SCENE})(?:_(B\d+|BQA|MTL|fixedmask))?\.(TIF|txt|img|hdr)", re.I)
_SCENE_ARCHIVE: Final = re.compile(r"^(LC8.*)\.(tar\.gz|tgz|tar)$", re.I)
_LABEL_FILE: Final = re.compile(r"_fixedmask\.(tif|img)$", re.I)

# Landsat 8's factors without a product's MTL: those of reflectance are the same in every product
# (Landsat 8 Data Users Handbook, section 5), as those of thermal radiance are.
_REFLECTANCE: Final = partial(linear, mult=2e-5, add=-0.1)
_WITHOUT_MTL: Final[Mapping[str, PhysicalValues]] = {
    "B10": partial(brightness_temperature, mult=3.342e-4, add=0.1, k1=774.89, k2=1321.08),
    "B11": partial(brightness_temperature, mult=3.342e-4, add=0.1, k1=480.89, k2=1201.14),
}

Files = dict[str, Path]
"""The files of a scene by part: "B1", "MTL", "FIXEDMASK", and "" for the file of all bands."""

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
        if archive and re.fullmatch(_SCENE, archive[1]):
            packed.setdefault(archive[1], file)
        elif match := _FILE.fullmatch(file.basename):
            where = (file.path if file.archive else None, file.folder)
            loose.setdefault(match[1].upper(), {}).setdefault(where, []).append(file)
        elif archive or _LABEL_FILE.search(file.basename):
            faults.append(
                f"{file}: the name is out of convention: a scene is called "
                "LC8PPPRRRYYYYDDDGSIVV, such as LC80420082013220LGN00"
            )
    loose = {name: of for name, of in loose.items() if name not in packed or _labelled(of)}
    scenes = [_loose_scene(scene_id, places) for scene_id, places in loose.items()]
    scenes += [_packed_scene(name, file) for name, file in packed.items() if name not in loose]
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


def _in_order(places: Places) -> list[list[SourceFile]]:
    """The files of each place; None, no archive, first."""
    return [places[p] for p in sorted(places, key=lambda place: (place[0] is not None, str(place)))]


def _labelled(places: Places) -> list[list[SourceFile]]:
    """The files of each place that has a label."""
    return [f for f in _in_order(places) if any(_LABEL_FILE.search(x.basename) for x in f)]


def _loose_scene(scene_id: str, places: Places) -> SourceScene:
    of_first = (_labelled(places) or _in_order(places))[0]
    files = [file for file in of_first if _is_read(file)]
    return SourceScene(
        name=scene_id,
        scene_id=scene_id,
        sensor=SENSOR,
        size_bytes=sum(file.size_bytes for file in files),
        open=partial(_open_loose, scene_id, files),
        split=published_splits().get(scene_id),
        packed=any(file.archive for file in files),
    )


def _packed_scene(scene_id: str, archive: SourceFile) -> SourceScene:
    return SourceScene(
        name=scene_id,
        scene_id=scene_id,
        sensor=SENSOR,
        size_bytes=archive.size_bytes,
        open=partial(_open_packed, scene_id, archive.path),
        split=published_splits().get(scene_id),
        packed=True,
    )


def _is_read(file: SourceFile) -> bool:
    """Whether a file of a scene is needed: neither the panchromatic band nor the quality band."""
    match = _FILE.fullmatch(file.basename)
    return bool(match) and (match[2] or "").upper() not in ("B8", "BQA")


# --- Reading --------------------------------------------------------------------------------


@contextmanager
def _open_loose(scene_id: str, files: list[SourceFile]) -> Iterator[OpenScene]:
    with on_disk(files) as paths, _open(scene_id, _parts(paths)) as opened:
        yield opened


@contextmanager
def _open_packed(scene_id: str, archive: Path) -> Iterator[OpenScene]:
    with unpacked(archive) as files:
        own = [f for f in files if _is_read(f) and f.basename.upper().startswith(scene_id)]
        if not own:
            raise ValueError(f"{archive}: holds no file of the scene {scene_id}")
        with _open_loose(scene_id, own) as opened:
            yield opened


def _parts(paths: Iterable[Path]) -> Files:
    """Files by part; the header of the mask, which GDAL reads by itself, apart from the mask."""
    files = {}
    for path in paths:
        match = _FILE.fullmatch(path.name)
        if match:
            part = (match[2] or "").upper()
            files["HDR" if path.suffix.lower() == ".hdr" else part] = path
    return files


@contextmanager
def _open(scene_id: str, files: Files) -> Iterator[OpenScene]:
    with ExitStack() as opening:
        mtl = _mtl(scene_id, files)
        channels = _channels(scene_id, files, mtl, opening)
        label = _label(scene_id, files, channels[0].dataset, opening)
        codes = scan_codes(label, CODES)
        bits = np.zeros(256, np.uint8)
        bits[list(CODES)] = list(CODES.values())
        if SHADOW not in codes:
            bits[CLEAR] = classes.CLEAR_OR_SHADOW

        def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
            label_bits = bits[read_dn(label, 1, (rows, columns))]
            image = np.empty((*label_bits.shape, len(channels)), np.float32)
            for i, channel in enumerate(channels):
                dn = read_dn(channel.dataset, channel.number, (rows, columns))
                image[..., i] = np.where(dn == 0, np.float32(nan), channel.physical(dn))
            return image, label_bits

        yield OpenScene(
            height=label.height,
            width=label.width,
            bands=SENSORS[SENSOR].describe(BANDS),
            gsd_m=GSD_M,
            sun_elevation_deg=nan if mtl is None else mtl.sun_elevation_deg(),
            read=read,
            notes=(
                *([] if mtl else [NO_MTL]),
                *([] if SHADOW in codes else [NO_SHADOW]),
            ),
        )


def _mtl(scene_id: str, files: Files) -> Mtl | None:
    if "MTL" not in files:
        return None
    mtl = Mtl(files["MTL"])
    if mtl["SPACECRAFT_ID"] != "LANDSAT_8":
        raise ValueError(f"{mtl.path}: is of {mtl['SPACECRAFT_ID']}, not of LANDSAT_8")
    # The station and version at the end change when a product is made anew.
    other = mtl.get("LANDSAT_SCENE_ID", scene_id)
    if other[:16] != scene_id[:16]:
        raise ValueError(f"{mtl.path}: is of another scene, {other}")
    return mtl


def _channels(scene_id: str, files: Files, mtl: Mtl | None, opening: ExitStack) -> list[Channel]:
    """The bands, from a file each or from the file of all eleven."""
    physical = {b: toa_values(mtl, b) if mtl else _WITHOUT_MTL.get(b, _REFLECTANCE) for b in BANDS}
    if "" in files:
        stack = opening.enter_context(_open_uint16(files[""]))
        if stack.count != 11:
            raise ValueError(f"{files['']}: has {stack.count} bands, not the 11 from B1 to B11")
        return [Channel(stack, int(band[1:]), physical[band]) for band in BANDS]
    missing = [band for band in BANDS if band not in files]
    if missing:
        folder = next(iter(files.values())).parent
        raise FileNotFoundError(
            f"{folder}: {scene_id}_{missing[0]}.TIF is missing"
            + (f", and so are {', '.join(missing[1:])}" if missing[1:] else "")
        )
    datasets = [opening.enter_context(_open_uint16(files[band])) for band in BANDS]
    for dataset in datasets:
        check_size(dataset, datasets[0])
    return [Channel(d, 1, physical[band]) for d, band in zip(datasets, BANDS, strict=True)]


def _open_uint16(path: Path) -> DatasetReader:
    dataset = open_raster(path)
    if set(dataset.dtypes) != {"uint16"}:
        dataset.close()
        raise ValueError(f"{path}: holds {dataset.dtypes[0]}, not uint16 digital numbers")
    return dataset


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
