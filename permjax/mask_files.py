"""The files of a scene's cloud mask: cloud optimised GeoTIFFs and a picture, marked as ours."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.io import DatasetWriter

from permjax.classes import CLASS_COUNT, COLOURS, NO_DATA, CloudClass
from permjax.rasters import Scene
from permjax.styles import Style

COLOUR_OF_CODE: Final[dict[Style, dict[int, tuple[int, int, int]]]] = {
    "classes": {int(code): colour for code, colour in COLOURS.items()},
    "cloud": {0: COLOURS[CloudClass.CLEAR], 1: COLOURS[CloudClass.THICK_CLOUD]},
    "valid": {0: COLOURS[CloudClass.THICK_CLOUD], 1: COLOURS[CloudClass.CLEAR]},
}
"""The colour table of each style, sRGB."""

MEANING_OF_CODE: Final[dict[Style, str]] = {
    "classes": ", ".join(f"{code.value} {code.title}" for code in CloudClass),
    "cloud": "0 no cloud, 1 cloud",
    "valid": "0 cloud or cloud shadow, 1 clear",
}

_SOFTWARE: Final = f"permjax {version('permjax')}"
"""The tag `software` of all files that are written here; PNG has a text of that name."""


@contextmanager
def new_files(destination: Path, scene: Scene, names: Sequence[str]) -> Iterator[Path]:
    """A hidden folder beside `destination`, for files that come to their places when all went well.

    Those that are named come to stand beside each other, over older ones; whatever else is in the
    folder goes. An interrupted run leaves no file, and older ones as they were.

    Raises:
        FileNotFoundError: the folder of `destination` is not there.
        ValueError: one of them is a file of the scene itself, or a folder, or a mask is no .tif.
        OSError: nothing can be written there.
    """
    parent = destination.parent
    if not parent.is_dir():
        raise FileNotFoundError(f"{parent}: there is no such folder for the mask")
    sources = {Path(file).resolve() for file in scene.files}
    for path in (parent / name for name in names):
        if path.is_dir():
            raise ValueError(f"{path}: is a folder; name another file that the mask shall be")
        if path.resolve() in sources:
            raise ValueError(f"{path}: is the scene itself; choose another destination")
    check_ending(destination)
    with _hidden_folder(destination) as folder:
        try:
            yield Path(folder)
        except Exception as error:
            # Some errors of GDAL's come as they are, of a class that has no public name.
            if not type(error).__module__.startswith("rasterio"):
                raise
            raise OSError(
                f"{destination}: cannot be written, is the disk full? ({error})"
            ) from None
        for name in names:
            (Path(folder) / name).replace(parent / name)


def _hidden_folder(destination: Path) -> "TemporaryDirectory[str]":
    try:
        return TemporaryDirectory(
            prefix=f".{destination.name}.",
            suffix=".partial",
            dir=destination.parent,
            ignore_cleanup_errors=True,
        )
    except OSError as error:
        raise OSError(
            f"{destination.parent}: nothing can be written there: {error.strerror}; "
            "choose another folder for the mask"
        ) from None


def check_ending(destination: Path) -> None:
    """Refuses a mask that is not called a GeoTIFF, which it is.

    Raises:
        ValueError: the name ends otherwise.
    """
    if destination.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"{destination}: a mask is a GeoTIFF: name a file that ends in .tif")


def file_names(destination: Path, probabilities: bool, quicklook: bool) -> list[str]:
    """The names of all files of a mask, its own first; they stand beside each other."""
    others = [beside(destination, "probabilities", ".tif")] * probabilities
    others += [beside(destination, "quicklook", ".png")] * quicklook
    return [destination.name, *others]


def beside(destination: Path, what: str, ending: str) -> str:
    """The name of another file of the same mask: `cloud_quicklook.png` beside `cloud.tif`."""
    return f"{destination.stem}_{what}{ending}"


@contextmanager
def mask_file(path: Path, scene: Scene, style: Style, weights: str) -> Iterator[DatasetWriter]:
    """A file for the codes of a scene's mask, uint8, on its grid.

    Args:
        path: of the file.
        scene: gives the grid.
        style: of the codes.
        weights: the name of the model's parameters.
    """
    with _optimised(path, scene, 1, "mode", weights) as file:
        colours = {code: (*colour, 255) for code, colour in COLOUR_OF_CODE[style].items()}
        file.write_colormap(1, colours | {NO_DATA: (0, 0, 0, 0)})
        file.set_band_description(1, "cloud mask")
        file.update_tags(classes=f"{MEANING_OF_CODE[style]}, {NO_DATA} no data")
        yield file


@contextmanager
def probabilities_file(path: Path, scene: Scene, weights: str) -> Iterator[DatasetWriter]:
    """A file of a band a class: its probability in whole percent, uint8, 255 = no data.

    Half a percent is finer than any model's calibration, and a quarter of the size of float32.

    Args:
        path: of the file.
        scene: gives the grid.
        weights: the name of the model's parameters.
    """
    with _optimised(path, scene, CLASS_COUNT, "average", weights) as file:
        for code in CloudClass:
            file.set_band_description(code + 1, code.title)
            file.update_tags(code + 1, unit="percent")
        yield file


@contextmanager
def _optimised(
    path: Path, scene: Scene, count: int, overviews: str, weights: str
) -> Iterator[DatasetWriter]:
    """A GeoTIFF that is written from the top down, and then again as a cloud optimised one.

    Args:
        path: of the second; the first is beside it and goes.
        scene: gives the grid.
        count: of bands.
        overviews: how they are resampled.
        weights: the name of the model's parameters.
    """
    raw = path.with_suffix(".raw")
    with warnings.catch_warnings():
        # A scene without coordinates has a mask without coordinates.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            raw,
            "w",
            driver="GTiff",
            height=scene.height,
            width=scene.width,
            count=count,
            dtype="uint8",
            nodata=NO_DATA,
            crs=scene.crs,
            transform=scene.transform,
            compress="lzw",
            bigtiff="if_safer",
        ) as file:
            file.update_tags(scene=scene.name, weights=weights, software=_SOFTWARE)
            yield file
        rasterio.shutil.copy(
            raw,
            path,
            driver="COG",
            compress="deflate",
            overview_resampling=overviews,
            bigtiff="if_safer",
        )
        _check_copy(raw, path)
    raw.unlink()


def _check_copy(raw: Path, path: Path) -> None:
    """Reads a copy again: what GDAL cannot write when it closes a file, it does not tell."""
    with rasterio.open(raw) as one, rasterio.open(path) as other:
        if any(one.checksum(band) != other.checksum(band) for band in one.indexes):
            raise RasterioIOError("what was written does not come back")


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a picture [y, x, 3] as PNG."""
    height, width, count = picture.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="PNG",
            height=height,
            width=width,
            count=count,
            dtype="uint8",
            software=_SOFTWARE,
        ) as file:
            file.write(np.moveaxis(picture, -1, 0))


def is_ours(path: Path) -> bool:
    """Whether a file is a mask, or the probabilities or picture of one, that permjax wrote."""
    if not path.is_file():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as file:
                tags = {name.lower(): value for name, value in file.tags().items()}
        except RasterioError:
            return False
    return tags.get("software", "").startswith("permjax")
