"""Writes tiny sub-scenes of the Sentinel-2 Cloud Mask Catalogue in its real layout."""

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

TRAIN = "S2A_MSIL1C_20180102T084341_N0206_R064_T36TVP_20180102T110333"
VALIDATION = "S2B_MSIL1C_20180125T162539_N0206_R040_T17TNL_20180125T182031"
TEST = "S2A_MSIL1C_20180101T010721_N0206_R045_T53HLD_20180101T041600"
"""Products of the published split."""

SHAPE = (40, 36)


def reflectance(seed: int = 0) -> np.ndarray:
    """Float32 [H, W, 13]; the upper left 3 x 3 pixels hold no data."""
    values = np.random.default_rng(seed).uniform(0.01, 1.2, (*SHAPE, 13)).astype(np.float32)
    values[:3, :3] = 0
    return values


def planes(*, shadow: bool = True) -> np.ndarray:
    """A mask bool [H, W, 3] in stripes: clear, cloud, shadow (or clear) and none of them."""
    stripes = np.array([[1, 0, 0], [0, 1, 0], [not shadow, 0, shadow], [0, 0, 0]], bool)
    stripe = np.arange(SHAPE[1]) * 4 // SHAPE[1]
    return np.broadcast_to(stripes[stripe], (*SHAPE, 3)).copy()


def write_scene(
    folder: Path, product: str = TRAIN, *, mask: np.ndarray | None = None, seed: int = 0
) -> None:
    """`subscenes/<PRODUCT>.npy` and `masks/<PRODUCT>.npy`, and another mask in `alt_masks`."""
    label = planes() if mask is None else mask
    for kind, array in (
        ("subscenes", reflectance(seed)),
        ("masks", label),
        ("alt_masks", label[..., ::-1]),
    ):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        np.save(folder / kind / f"{product}.npy", array)


def write_tags(folder: Path, shadows_marked: Mapping[str, object]) -> Path:
    """`classification_tags.csv`, with a few of its columns."""
    path = folder / "classification_tags.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["index", "scene", "dataset", "difficulty", "forest", "shadows_marked"])
        for index, (product, marked) in enumerate(shadows_marked.items()):
            table.writerow([index, product, "MAIN", 2, 0, marked])
    return path


def write_zips(folder: Path, target: Path) -> Path:
    """What Zenodo offers: a zip of each folder, and the table beside them."""
    target.mkdir(parents=True)
    for kind in ("subscenes", "masks", "alt_masks"):
        with zipfile.ZipFile(target / f"{kind}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((folder / kind).iterdir()):
                archive.write(path, f"{kind}/{path.name}")
    tags = folder / "classification_tags.csv"
    if tags.exists():
        (target / tags.name).write_bytes(tags.read_bytes())
    return target
