"""Labels of images that nobody labelled: where ukis-csmask (Apache-2.0) is sure of a class."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.csmask import Image, probabilities
from data_prep.geotiff_folder.table import read_table
from permjax.rasters import open_raster
from permjax.scenes import open_scene

SURE: Final = {0: 0.8, 1: 0.7, 3: 0.6}
"""The code of clear, cloud and shadow, and the probability above which the teacher is sure."""
UNKNOWN: Final = 255


def label_folders(folders: Sequence[Path], destination: Path) -> None:
    """Makes a folder of links to the images of several and of a label file beside each.

    Images without blue, green, red and near infrared are left out, and so are those that have a
    label file already.

    Args:
        folders: of GeoTIFFs in the form of `data_prep/geotiff_folder`; their names go before those
            of their images.
        destination: the folder, with codes as in the default table: 0 clear, 1 cloud, 3 shadow.
    """
    destination.mkdir(parents=True, exist_ok=True)
    paths = list(_unlabelled(folders))
    for path, label in zip(paths, _labels(paths), strict=True):
        if label is None:
            print(f"{path}: has not the bands that the teacher takes", file=sys.stderr)
            continue
        link = destination / f"{path.parent.name}_{path.name}"
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.abspath(path))
        profile = {"height": label.shape[0], "width": label.shape[1], "count": 1, "dtype": "uint8"}
        written = link.with_name(f"{link.stem}_label.tif")
        with rasterio.open(written, "w", driver="GTiff", compress="deflate", **profile) as file:
            file.write(label, 1)


def _unlabelled(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        for path in sorted(folder.glob("*.tif")):
            own = path.stem.endswith(("_label", "_surface"))
            if not own and not path.with_name(f"{path.stem}_label.tif").exists():
                yield path


def _labels(paths: Sequence[Path]) -> list[NDArray[np.uint8] | None]:
    return [None if p is None else sure_codes(p) for p in probabilities([*map(_read, paths)])]


def _read(path: Path) -> Image:
    with open_raster(path) as file:
        surface = read_table().is_surface(file.tags().get("level", ""))
    with open_scene(path, surface=surface) as scene:
        return Image(scene.read((slice(0, scene.height), slice(0, scene.width))), scene.bands)


def sure_codes(probable: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The code [H, W] of the class whose probability [H, W, 3] is sure, else `UNKNOWN`."""
    codes = np.full(probable.shape[:2], UNKNOWN, np.uint8)
    for k, (code, least) in enumerate(SURE.items()):
        codes[probable[..., k] > least] = code
    return codes
