"""Cloud masks as GeoTIFF files."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter

from permjax.classes import COLOURS, NO_DATA, CloudClass
from permjax.rasters import Scene


@contextmanager
def mask_file(destination: Path, scene: Scene) -> Iterator[DatasetWriter]:
    """A GeoTIFF for the classes of a scene, on its grid, with a colour table.

    It is written beside its place and put there, over an older file, only when all went well: an
    interrupted run leaves no file, and an older one as it was.

    Raises:
        FileNotFoundError: the folder of `destination` is not there.
        ValueError: `destination` is a file of the scene itself.
    """
    if destination.resolve() in {Path(c.dataset.name).resolve() for c in scene.channels}:
        raise ValueError(f"{destination}: is the scene itself; choose another destination")
    if not destination.parent.is_dir():
        raise FileNotFoundError(f"{destination.parent}: there is no such folder for the mask")
    partial = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    try:
        with _create(partial, scene) as file:
            _explain(file, scene)
            yield file
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)


def _create(path: Path, scene: Scene) -> DatasetWriter:
    with warnings.catch_warnings():
        # A scene without coordinates has a mask without coordinates.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=scene.height,
            width=scene.width,
            count=1,
            dtype="uint8",
            nodata=NO_DATA,
            crs=scene.crs,
            transform=scene.transform,
            compress="deflate",
            bigtiff="if_safer",
        )


def _explain(file: DatasetWriter, scene: Scene) -> None:
    colours = {int(code): (*colour, 255) for code, colour in COLOURS.items()}
    file.write_colormap(1, colours | {NO_DATA: (0, 0, 0, 0)})
    file.set_band_description(1, "cloud mask")
    classes = ", ".join(f"{code.value} {code.title}" for code in CloudClass)
    file.update_tags(scene=scene.name, classes=f"{classes}, {NO_DATA} no data")
