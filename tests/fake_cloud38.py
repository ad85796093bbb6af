"""Writes tiny scenes of 38-Cloud in its real layout: names, folders, patches of 384 pixels."""

import zipfile
from collections.abc import Iterable
from math import ceil
from pathlib import Path

import numpy as np
from fake_scenes import write_geotiff

TRAIN = "LC08_L1TP_002053_20160520_20170324_01_T1"
ADDED = "LC08_L1TP_006248_20160820_20170322_01_T1"
"""A scene of 95-Cloud, whose folders have other names."""
TEST = "LC08_L1TP_003052_20160120_20170405_01_T1"

SIDE = 384
SHAPE = (400, 701)
"""Of a scene without padding: two rows of two patches."""
PADDED = (768, 768)
BEFORE = (184, 33)
"""Rows and columns of padding before the scene; after it there are as many or one more."""
COLOURS = ("blue", "green", "red", "nir")
SUN_ELEVATION_DEG = 30.0

_MTL = """GROUP = L1_METADATA_FILE
  GROUP = METADATA_FILE_INFO
    LANDSAT_PRODUCT_ID = "{scene}"
  END_GROUP = METADATA_FILE_INFO
  GROUP = IMAGE_ATTRIBUTES
    SUN_ELEVATION = {sun_elevation_deg}
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = RADIOMETRIC_RESCALING
{reflectance}
  END_GROUP = RADIOMETRIC_RESCALING
END_GROUP = L1_METADATA_FILE
END
"""


def padded(array: np.ndarray) -> np.ndarray:
    """A scene with zeros around it, so that patches divide it."""
    missing = [
        (before, size - before - length)
        for before, size, length in zip(BEFORE, PADDED, array.shape, strict=False)
    ]
    return np.pad(array, [*missing, *[(0, 0)] * (array.ndim - 2)])


def digital_numbers(seed: int = 0) -> np.ndarray:
    """Digital numbers uint16 [H, W, 4] of a scene; the upper left 50 x 50 pixels are fill."""
    rng = np.random.default_rng(seed)
    dn = rng.integers(6_000, 40_000, (*SHAPE, len(COLOURS))).astype(np.uint16)
    dn[:50, :50] = 0
    return dn


def cloud(seed: int = 0) -> np.ndarray:
    """Bool [H, W]: where there is cloud, in blocks of 10 pixels."""
    blocks = np.random.default_rng(seed).random([ceil(n / 10) for n in SHAPE]) < 0.4
    return blocks.repeat(10, axis=0).repeat(10, axis=1)[: SHAPE[0], : SHAPE[1]]


def places() -> Iterable[tuple[str, slice, slice]]:
    """Number, row and column as names of patches have them, and their pixels."""
    for row in (1, 2):
        for column in (1, 2):
            rows, columns = (slice((n - 1) * SIDE, n * SIDE) for n in (row, column))
            yield f"{(row - 1) * 2 + column}_{row}_by_{column}", rows, columns


def write_training(parent: Path, scene: str = TRAIN, *, seed: int = 0) -> Path:
    """The folder `38-Cloud_training`, or that of 95-Cloud, with a truth for each patch."""
    if scene == ADDED:
        folder = parent / "95-cloud_training_only_additional_to38-cloud"
        folders = {kind: f"train_{kind}_additional_to38cloud" for kind in (*COLOURS, "gt")}
    else:
        folder = parent / "38-Cloud_training"
        folders = {kind: f"train_{kind}" for kind in (*COLOURS, "gt")}
    _write_patches(folder, folders, scene, seed)
    truth, truths = padded(cloud(seed)).astype(np.uint8) * 255, folder / folders["gt"]
    truths.mkdir(parents=True, exist_ok=True)
    for name, rows, columns in places():
        write_geotiff(truths / f"gt_patch_{name}_{scene}.TIF", truth[None, rows, columns])
    _write_whole_truth(folder, scene, seed)
    (folder / "training_sceneids_38-Cloud.csv").write_text(f"name\n{scene}\n")
    return folder


def write_test(parent: Path, scene: str = TEST, *, seed: int = 0) -> Path:
    """The folder `38-Cloud_test`, with the truth of whole scenes, 1 for cloud."""
    folder = parent / "38-Cloud_test"
    _write_patches(folder, {colour: f"test_{colour}" for colour in COLOURS}, scene, seed)
    _write_whole_truth(folder, scene, seed)
    return folder


def _write_patches(folder: Path, folders: dict[str, str], scene: str, seed: int) -> None:
    dn = padded(digital_numbers(seed))
    for index, colour in enumerate(COLOURS):
        (folder / folders[colour]).mkdir(parents=True, exist_ok=True)
        for name, rows, columns in places():
            path = folder / folders[colour] / f"{colour}_patch_{name}_{scene}.TIF"
            write_geotiff(path, dn[None, rows, columns, index])
    false_colour = folder / "Natural_False_Color"
    false_colour.mkdir(exist_ok=True)
    write_geotiff(false_colour / f"natural_{scene}.TIF", np.ones((3, 8, 8), np.uint8))


def _write_whole_truth(folder: Path, scene: str, seed: int) -> None:
    (folder / "Entire_scene_gts").mkdir(exist_ok=True)
    path = folder / "Entire_scene_gts" / f"edited_corrected_gts_{scene}.TIF"
    write_geotiff(path, cloud(seed).astype(np.uint8)[None])


def write_mtl(folder: Path, scene: str, sun_elevation_deg: float = SUN_ELEVATION_DEG) -> Path:
    """The MTL of a product of Collection 1, which the user may add."""
    reflectance = "\n".join(
        f"    REFLECTANCE_MULT_BAND_{n} = 2.0000E-05\n    REFLECTANCE_ADD_BAND_{n} = -0.100000"
        for n in range(1, 10)
    )
    path = folder / f"{scene}_MTL.txt"
    path.write_text(
        _MTL.format(scene=scene, sun_elevation_deg=sun_elevation_deg, reflectance=reflectance)
    )
    return path


def write_zip(path: Path, source: Path) -> Path:
    """All files below a folder, in a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(source))
    return path
