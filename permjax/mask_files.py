"""Cloud masks and their probabilities as cloud optimised GeoTIFFs."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning
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


@contextmanager
def new_files(destination: Path, scene: Scene, names: tuple[str, ...]) -> Iterator[Path]:
    """A hidden folder beside `destination`, for files that come to their places when all went well.

    Those that are named come to stand beside each other, over older ones; whatever else is in the
    folder goes. An interrupted run leaves no file, and older ones as they were.

    Raises:
        FileNotFoundError: the folder of `destination` is not there.
        ValueError: `destination` is a file of the scene itself, or a folder.
    """
    parent = destination.parent
    if not parent.is_dir():
        raise FileNotFoundError(f"{parent}: there is no such folder for the mask")
    if destination.is_dir():
        raise ValueError(f"{destination}: is a folder; name the file that the mask shall be")
    sources = {Path(file).resolve() for file in scene.files}
    for name in names:
        if (parent / name).resolve() in sources:
            raise ValueError(f"{parent / name}: is the scene itself; choose another destination")
    with TemporaryDirectory(
        prefix=f".{destination.name}.", suffix=".partial", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
        for name in names:
            (Path(folder) / name).replace(parent / name)


def beside(destination: Path, what: str, ending: str) -> str:
    """The name of another file of the same mask: `cloud_quicklook.png` beside `cloud.tif`."""
    return f"{destination.stem}_{what}{ending}"


@contextmanager
def mask_file(
    path: Path, scene: Scene, style: Style, tags: Mapping[str, str]
) -> Iterator[DatasetWriter]:
    """A file for the codes of a scene's mask, uint8, on its grid; `tags` may grow meanwhile."""
    with _optimised(path, scene, 1, "mode") as file:
        colours = {code: (*colour, 255) for code, colour in COLOUR_OF_CODE[style].items()}
        file.write_colormap(1, colours | {NO_DATA: (0, 0, 0, 0)})
        file.set_band_description(1, "cloud mask")
        yield file
        codes = f"{MEANING_OF_CODE[style]}, {NO_DATA} no data"
        file.update_tags(scene=scene.name, classes=codes, **tags)


@contextmanager
def probabilities_file(path: Path, scene: Scene) -> Iterator[DatasetWriter]:
    """A file of a band a class: its probability in whole percent, uint8, 255 = no data.

    Half a percent is finer than any model's calibration, and a quarter of the size of float32.
    """
    with _optimised(path, scene, CLASS_COUNT, "average") as file:
        for code in CloudClass:
            file.set_band_description(code + 1, code.title)
            file.update_tags(code + 1, unit="percent")
        file.update_tags(scene=scene.name)
        yield file


@contextmanager
def _optimised(path: Path, scene: Scene, count: int, overviews: str) -> Iterator[DatasetWriter]:
    """A GeoTIFF that is written from the top down, and then again as a cloud optimised one.

    Args:
        path: of the second; the first is beside it and goes.
        scene: gives the grid.
        count: of bands.
        overviews: how they are resampled.
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
            yield file
        rasterio.shutil.copy(
            raw,
            path,
            driver="COG",
            compress="deflate",
            overview_resampling=overviews,
            bigtiff="if_safer",
        )
    raw.unlink()
