"""Writes tiny sub-scenes of Landsat 8 SPARCS as they lie: names, formats, codes, palette."""

import warnings
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from fake_biome import write_mtl
from fake_scenes import write_geotiff
from rasterio.errors import NotGeoreferencedWarning

STEMS = (
    "LC80010812013365LGN00_18",
    "LC80020622013244LGN00_32",
    "LC80150242014146LGN00_23",
    "LC82290562014157LGN00_24",
)
SHAPE = (40, 35)
PALETTE = (
    (0, 0, 0),
    (0, 0, 128),
    (0, 0, 255),
    (0, 255, 255),
    (128, 128, 128),
    (255, 255, 255),
    (128, 128, 0),
)


def digital_numbers(seed: int = 0) -> np.ndarray:
    """Digital numbers uint16 [10, H, W] of B1 to B7, B9, B10, B11."""
    return np.random.default_rng(seed).integers(8_000, 40_000, (10, *SHAPE)).astype(np.uint16)


def codes() -> np.ndarray:
    """A mask uint8 [H, W] of stripes of the seven codes."""
    return np.broadcast_to(np.arange(SHAPE[1]) // 5, SHAPE).astype(np.uint8)


def write_part(
    parent: Path,
    stem: str = STEMS[0],
    *,
    mask: bool = True,
    labels: bool = False,
    seed: int = 0,
) -> Path:
    """The files of a sub-scene in `sending/`, with those beside them that are not read."""
    folder = parent / "sending"
    folder.mkdir(parents=True, exist_ok=True)
    write_geotiff(folder / f"{stem}_data.tif", digital_numbers(seed))
    write_mtl(folder / f"{stem}_mtl.txt", stem.partition("_")[0])
    if mask:
        write_png(folder / f"{stem}_mask.png", codes()[None], PALETTE)
    if labels:
        write_geotiff(folder / f"{stem}_labels.tif", codes()[None])
    write_png(folder / f"{stem}_photo.png", np.full((3, *SHAPE), 90, np.uint8))
    write_geotiff(folder / f"{stem}_qmask.tif", np.full((1, *SHAPE), 20480, np.uint16))
    write_geotiff(folder / f"{stem}_c1bqa.tif", np.full((1, *SHAPE), 2720, np.uint16))
    (folder / f"{stem}_data.tif.aux.xml").write_text("<PAMDataset/>\n")
    return folder


def write_png(
    path: Path, image: np.ndarray, palette: tuple[tuple[int, int, int], ...] = ()
) -> None:
    """A PNG of uint8 [N, H, W]; with a palette, of indices into it."""
    count, height, width = image.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="PNG", count=count, height=height, width=width, dtype="uint8"
        ) as file:
            file.write(image)
            if palette:
                file.write_colormap(1, {i: (*colour, 255) for i, colour in enumerate(palette)})


def write_zip(path: Path, folder: Path) -> Path:
    """`l8cloudmasks.zip` of a folder `sending/`, which stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"sending/{file.name}")
    return path
