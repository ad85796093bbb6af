"""The scenes of 38-Cloud and 95-Cloud: found and read, packed or not.

Axes: h and w height and width of a window, N bands.
"""

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from math import nan
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, find_files, on_disk
from data_prep.cloud38.mosaic import SIDE, Place, grid_of, read_patches, read_truth, whole_grid
from data_prep.landsat_scenes import GSD_M, LANDSAT8_REFLECTANCE, NO_MTL
from data_prep.sources import Found, OpenScene, SourceScene
from permjax import classes
from permjax.mtl import Mtl, toa_values
from permjax.rasters import PhysicalValues, Window, open_raster
from permjax.sensors import SENSORS

SENSOR: Final = "landsat8_oli_tirs"
BANDS: Final = {"blue": "B2", "green": "B3", "red": "B4", "nir": "B5"}

HOLES: Final = "patches are missing: there is no data in their places"

# Level, path and row, days of acquisition and of processing, collection, tier.
_SCENE: Final = r"LC08_L1[A-Z]{2}_\d{6}_\d{8}_\d{8}_\d{2}_(?:T1|T2|RT)"
_PATCH: Final = re.compile(
    rf"(red|green|blue|nir|gt)_patch_(\d+)_(\d+)_by_(\d+)_({_SCENE})\.TIF", re.I
)
_TRUTH: Final = re.compile(rf"edited_corrected_gts_({_SCENE})\.TIF", re.I)
_MTL: Final = re.compile(rf"({_SCENE})_MTL\.txt", re.I)
_ALMOST: Final = re.compile(
    r"(?:(?:red|green|blue|nir|gt)_patch|edited_corrected_gts)_.*\.TIF", re.I
)


@dataclass
class SceneFiles:
    """The files of a scene.

    Args:
        patches: of each band, and of "gt", the truth, those of each place.
        numbers: of the patches.
        truth: of the whole scene.
        mtl: of the product.
    """

    patches: dict[str, dict[Place, SourceFile]] = field(default_factory=dict)
    numbers: dict[Place, int] = field(default_factory=dict)
    truth: SourceFile | None = None
    mtl: SourceFile | None = None

    def read(self) -> list[SourceFile]:
        """Those that are read: of the truth, patches where there are any."""
        files = [file for patches in self.patches.values() for file in patches.values()]
        truth = None if "gt" in self.patches else self.truth
        return files + [file for file in (truth, self.mtl) if file]


# --- Finding --------------------------------------------------------------------------------


def find(source: Path) -> Found:
    """The scenes below a folder, or in an archive, by the names of files, whatever their folders.

    A file that lies there twice is read once; an unpacked one is preferred.
    """
    files, faults = find_files(source)
    scenes: dict[str, SceneFiles] = {}
    for file in sorted(files, key=lambda file: file.archive is not None):
        if not _sorted_in(file, scenes) and _ALMOST.fullmatch(file.basename):
            faults.append(
                f"{file}: the name is out of convention: a patch is called "
                "red_patch_<number>_<row>_by_<column>_<SCENE>.TIF, and a scene such as "
                "LC08_L1TP_002053_20160520_20170324_01_T1"
            )
    # An MTL alone is of a scene of something else.
    found = {name: of for name, of in scenes.items() if of.patches or of.truth}
    if not found and not faults:
        raise FileNotFoundError(
            f"{source}: holds no patch of 38-Cloud, such as "
            "red_patch_192_10_by_12_LC08_L1TP_002053_20160520_20170324_01_T1.TIF"
        )
    return Found([_source_scene(name, of) for name, of in found.items()], faults)


def _sorted_in(file: SourceFile, scenes: dict[str, SceneFiles]) -> bool:
    """Adds a file to its scene; False = it is of none."""
    if match := _PATCH.fullmatch(file.basename):
        scene = scenes.setdefault(match[5].upper(), SceneFiles())
        place = Place(int(match[3]), int(match[4]))
        scene.numbers.setdefault(place, int(match[2]))
        scene.patches.setdefault(match[1].lower(), {}).setdefault(place, file)
    elif match := _TRUTH.fullmatch(file.basename):
        scene = scenes.setdefault(match[1].upper(), SceneFiles())
        scene.truth = scene.truth or file
    elif match := _MTL.fullmatch(file.basename):
        scene = scenes.setdefault(match[1].upper(), SceneFiles())
        scene.mtl = scene.mtl or file
    return match is not None


def _source_scene(name: str, files: SceneFiles) -> SourceScene:
    read = files.read()
    return SourceScene(
        name=name,
        scene_id=name,
        sensor=SENSOR,
        size_bytes=sum(file.size_bytes for file in read),
        open=partial(_open, name, files),
        split="test" if name in published_test() else "train",
        packed=any(file.archive for file in read),
    )


@cache
def published_test() -> frozenset[str]:
    """The 20 scenes of the published test; all others are published for training."""
    with Path(__file__).with_name("test_scenes.csv").open(encoding="utf-8") as file:
        return frozenset(row["scene_id"] for row in csv.DictReader(file))


def missing(scene_ids: Collection[str]) -> list[str]:
    """Which of the 20 scenes of the published test are not among these; others are not listed."""
    return sorted(published_test() - set(scene_ids))


# --- Reading --------------------------------------------------------------------------------


@contextmanager
def _open(name: str, files: SceneFiles) -> Iterator[OpenScene]:
    _check_whole(name, files)
    with ExitStack() as opening:
        read = files.read()
        path_of = dict(zip(read, opening.enter_context(on_disk(read)), strict=True))
        patches = {
            band: {place: path_of[file] for place, file in of_band.items()}
            for band, of_band in files.patches.items()
        }
        mtl = None if files.mtl is None else _mtl(name, path_of[files.mtl])
        rows, columns = grid_of(files.numbers)
        truth = None
        if "gt" not in patches and files.truth:
            truth = opening.enter_context(_open_truth(path_of[files.truth]))
            rows, columns = whole_grid(truth, rows, columns)
        physical = {
            band: toa_values(mtl, number) if mtl else LANDSAT8_REFLECTANCE
            for band, number in BANDS.items()
        }

        def read_window(
            rows_read: slice, columns_read: slice
        ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
            window = rows_read, columns_read
            label = _label(patches, truth, (rows, columns), window)
            return _image(patches, physical, window), label

        yield OpenScene(
            height=rows * SIDE,
            width=columns * SIDE,
            bands=SENSORS[SENSOR].describe(list(BANDS.values())),
            gsd_m=GSD_M,
            sun_elevation_deg=nan if mtl is None else mtl.sun_elevation_deg(),
            read=read_window,
            notes=(
                *([] if mtl else [NO_MTL]),
                *([HOLES] if len(files.numbers) < rows * columns else []),
            ),
        )


def _check_whole(name: str, files: SceneFiles) -> None:
    """Refuses a scene without truth, or a patch of which not all bands are there."""
    if not files.numbers:
        raise FileNotFoundError(f"{files.truth}: the patches of its scene {name} are missing")
    kinds = [*BANDS, *(["gt"] if "gt" in files.patches else [])]
    for place, number in files.numbers.items():
        missing = [kind for kind in kinds if place not in files.patches.get(kind, {})]
        if missing:
            there = next(of[place] for of in files.patches.values() if place in of)
            patch = f"{missing[0]}_patch_{number}_{place.row}_by_{place.column}_{name}.TIF"
            raise FileNotFoundError(
                f"{there}: {patch} of the same place is missing"
                + (f", and so is that of {', '.join(missing[1:])}" if missing[1:] else "")
            )
    if "gt" not in kinds and files.truth is None:
        there = next(iter(files.patches["red"].values()))
        raise FileNotFoundError(
            f"{there}: the truth of its scene is missing, neither gt_patch_*_{name}.TIF nor "
            f"edited_corrected_gts_{name}.TIF is there"
        )


def _mtl(name: str, path: Path) -> Mtl:
    mtl = Mtl(path)
    other = mtl["LANDSAT_PRODUCT_ID"]
    if other != name:
        raise ValueError(f"{path}: is of another scene, {other}")
    return mtl


def _open_truth(path: Path) -> DatasetReader:
    truth = open_raster(path)
    if truth.count != 1:
        count = truth.count
        truth.close()
        raise ValueError(f"{path}: has {count} bands, not the one of a truth")
    return truth


def _image(
    patches: Mapping[str, Mapping[Place, Path]],
    physical: Mapping[str, PhysicalValues],
    window: Window,
) -> NDArray[np.float32]:
    bands = []
    for band in BANDS:
        dn = read_patches(patches[band], window, "uint16")
        bands.append(np.where(dn == 0, np.float32(nan), physical[band](dn)))
    return np.stack(bands, axis=-1)


def _label(
    patches: Mapping[str, Mapping[Place, Path]],
    truth: DatasetReader | None,
    grid: tuple[int, int],
    window: Window,
) -> NDArray[np.uint8]:
    """Haze is cloud here as thick cloud is, and shadow is not labelled."""
    if truth is None:
        cloud = read_patches(patches["gt"], window, None).astype(np.int8)
    else:
        cloud = read_truth(truth, grid, window)
    # By 0, 1 and, from the end, -1.
    bits = np.array([classes.CLEAR_OR_SHADOW, classes.CLOUD, classes.UNLABELLED], np.uint8)
    return bits[cloud]
