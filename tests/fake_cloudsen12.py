"""Writes tiny parts of CloudSEN12 in its real layouts: the tree of files and the memory maps."""

import csv
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from fake_scenes import write_geotiff

BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
SIDE = 512
"""Pixels of an image in a memory map along each side; 509 hold data."""

ROWS: tuple[Mapping[str, str], ...] = tuple(
    MappingProxyType(
        {
            "index": str(7 * i),
            "annotator_name": "JHOMIRA",
            "roi_id": roi,
            "s2_id_gee": product,
            "s2_id": f"{satellite}_MSIL1C_{product[:15]}_N0208_R055_{product[32:]}_20190807T212913",
            "s2_view_sun_elevation": elevation,
            "label_type": "high",
            "test": str(i % 3),
        }
    )
    for i, (roi, product, satellite, elevation) in enumerate(
        [
            ("ROI_0530", "20200727T191919_20200727T192203_T10VFJ", "S2A", "45.5"),
            ("ROI_0533", "20190426T190921_20190426T191644_T10UEC", "S2A", "50.25"),
            ("ROI_1005", "20190807T174909_20190807T175617_T13UCS", "S2A", "60.75"),
            ("ROI_10051", "20190807T174909_20190807T175617_T13UCS", "S2B", "30"),
        ]
    )
)
"""Rows of the table: to train, validate, test and train. The last two are of one product."""


def name(row: Mapping[str, str]) -> str:
    """The scene that a row is of."""
    return f"{row['roi_id']}__{row['s2_id_gee']}"


def digital_numbers(seed: int = 0, side: int = 40) -> np.ndarray:
    """Digital numbers uint16 [13, side, side] in steps of a ten-thousandth."""
    return np.random.default_rng(seed).integers(1, 12_000, (13, side, side)).astype(np.uint16)


def codes(label_type: str = "high", side: int = 40) -> np.ndarray:
    """A label uint8 [side, side] of stripes of every code."""
    known = {"high": [0, 1, 2, 3], "scribble": [0, 1, 2, 3, 4, 5, 6, 99]}[label_type]
    return np.broadcast_to(np.resize(known, side), (side, side)).astype(np.uint8)


def padded(image: np.ndarray, side: int, top: int, left: int) -> np.ndarray:
    """An image [..., h, w] in a square of zeros [..., side, side]."""
    below, right = side - top - image.shape[-2], side - left - image.shape[-1]
    return np.pad(image, [(0, 0)] * (image.ndim - 2) + [(top, below), (left, right)])


def write_image(
    parent: Path, row: Mapping[str, str], dn: np.ndarray, label: np.ndarray | None
) -> Path:
    """An image of the tree, with the level 2A beside it; its label is of the row's type."""
    folder = parent / row["label_type"] / row["roi_id"] / row["s2_id_gee"]
    folder.mkdir(parents=True)
    write_geotiff(folder / "S2L1C.tif", dn)
    write_geotiff(folder / "S2L2A.tif", dn[:12])
    (folder / "labels").mkdir()
    write_geotiff(folder / "labels" / "fmask.tif", np.zeros((1, 8, 8), np.uint8))
    if label is not None:
        kind = {"high": "hq", "scribble": "sc"}[row["label_type"]]
        write_geotiff(folder / "labels" / f"manual_{kind}.tif", label[None])
    return folder


def write_tree(parent: Path, rows: Sequence[Mapping[str, str]] = ROWS) -> Path:
    """A tree of images, each with numbers of its own, and its table."""
    for seed, row in enumerate(rows):
        write_image(parent, row, digital_numbers(seed), codes(row["label_type"]))
    write_table(parent / "cloudsen12_metadata.csv", rows)
    return parent


def write_table(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """`cloudsen12_metadata.csv`, or the `metadata.csv` of memory maps."""
    rows = list(rows)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_maps(
    folder: Path,
    rows: Sequence[Mapping[str, str]],
    *,
    top: int = 0,
    left: int = 0,
) -> Path:
    """The memory maps of a split: images of 509 x 509 pixels with a margin of zeros."""
    folder.mkdir(parents=True)
    label_type = rows[0]["label_type"]
    images = [padded(digital_numbers(i, 509), SIDE, top, left) for i in range(len(rows))]
    for i, band in enumerate(BANDS):
        dn = np.stack([image[i] for image in images]).astype(np.int16)
        (folder / f"L1C_{band}.dat").write_bytes(dn.tobytes())
    label = np.stack([padded(codes(label_type, 509), SIDE, top, left)] * len(rows))
    kind = {"high": "hq", "scribble": "sc"}[label_type]
    (folder / f"LABEL_manual_{kind}.dat").write_bytes(label.astype(np.int8).tobytes())
    (folder / "LABEL_fmask.dat").write_bytes(b"")
    write_table(folder / "metadata.csv", rows)
    return folder


def write_zip(path: Path, folder: Path) -> Path:
    """An archive of a folder, which stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path
