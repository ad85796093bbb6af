"""The sub-scenes of the Sentinel-2 Cloud Mask Catalogue: found and read, packed or not.

Axes: h and w height and width of a window, H and W of a sub-scene, N bands.
"""

import csv
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from math import nan
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.archives import SourceFile, find_files, on_disk
from data_prep.sources import Found, OpenScene, SourceScene
from permjax import classes
from permjax.sensors import SENSORS

BANDS: Final = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
SUBSCENES, MASKS, TAGS = "subscenes", "masks", "classification_tags.csv"
GSD_M: Final = 20.0

CLASSES: Final = (classes.CLEAR, classes.CLOUD, classes.CLOUD_SHADOW)
"""The label of each plane of a mask, in their order; a pixel in none of them is unlabelled."""
SHADOW: Final = 2

NO_SHADOW: Final = "shadow not marked: clear means clear or cloud shadow"
NO_TAGS: Final = (
    f"not in {TAGS}: shadow is taken as marked only if the mask has some; "
    "if not, clear means clear or cloud shadow"
)
UNEXPECTED_SHADOW: Final = f"the mask has shadow although {TAGS} says that it is not marked"

_PRODUCT: Final = re.compile(
    r"S2([AB])_MSIL1C_(\d{8}T\d{6})_N\d{4}_R\d{3}_(T\d{2}[A-Z]{3})_\d{8}T\d{6}"
)
_NOT_READ: Final = re.compile(r"^(alt_masks|shapefiles|thumbnails)\.zip$", re.I)
_ROWS: Final = 256


# --- Finding --------------------------------------------------------------------------------


def find(source: Path) -> Found:
    """The sub-scenes below a folder, or in archives; one that lies there twice is read once.

    Unpacked files are preferred to packed ones.
    """
    files, faults = find_files(source, closed=_NOT_READ)
    files = sorted(files, key=lambda file: file.archive is not None)
    found: dict[str, dict[str, SourceFile]] = {SUBSCENES: {}, MASKS: {}}
    for file in files:
        kind = Path(file.folder if file.archive else file.path.parent).name
        if kind not in found or not file.basename.endswith(".npy"):
            continue
        product = file.basename[: -len(".npy")]
        if _PRODUCT.fullmatch(product):
            found[kind].setdefault(product, file)
        else:
            faults.append(
                f"{file}: the name is out of convention: a sub-scene is called as its product, "
                "S2A_MSIL1C_..._N0206_R045_T53HLD_... with dates"
            )
    products = list(found[SUBSCENES] | found[MASKS])
    if not products and not faults:
        raise FileNotFoundError(
            f"{source}: holds no sub-scene of the Sentinel-2 Cloud Mask Catalogue, such as "
            f"{SUBSCENES}.zip and {MASKS}.zip, or {SUBSCENES}/<PRODUCT>.npy"
        )
    shadow_marked = _shadow_marked(files, faults)
    scenes = [
        _scene(product, found[SUBSCENES].get(product), found[MASKS].get(product), shadow_marked)
        for product in products
    ]
    return Found(scenes, faults)


def published_split(product: str) -> str:
    """The split of a product in the publisher's lists; what is in none of them tests."""
    match = _PRODUCT.fullmatch(product)
    assert match is not None, product
    return _published_splits().get(f"{match[2]}_{match[3]}", "test")


@cache
def _published_splits() -> dict[str, str]:
    """Of the scenes that do not test, by time and tile of the acquisition."""
    with Path(__file__).with_name("splits.csv").open(encoding="utf-8") as file:
        return {row["scene"]: row["split"] for row in csv.DictReader(file)}


def missing(products: Collection[str]) -> list[str]:
    """Which of the publisher's scenes to train and validate on, by time and tile, are not there."""
    there = {f"{m[2]}_{m[3]}" for product in products if (m := _PRODUCT.fullmatch(product))}
    return sorted(_published_splits().keys() - there)


def _scene(
    product: str,
    subscene: SourceFile | None,
    mask: SourceFile | None,
    shadow_marked: Mapping[str, bool],
) -> SourceScene:
    files = [file for file in (subscene, mask) if file]
    sensor = f"sentinel2{product[2].lower()}_msi"
    return SourceScene(
        name=product,
        scene_id=product,
        sensor=sensor,
        size_bytes=sum(file.size_bytes for file in files),
        open=partial(_open, product, sensor, subscene, mask, shadow_marked.get(product)),
        split=published_split(product),
        packed=any(file.archive for file in files),
    )


def _shadow_marked(files: Sequence[SourceFile], faults: list[str]) -> dict[str, bool]:
    """Whether shadow is marked in each product of the table; its fault, if any, is added."""
    table = next((file for file in files if file.basename == TAGS), None)
    if table is None:
        return {}
    try:
        with on_disk([table]) as [path], path.open(encoding="utf-8-sig", newline="") as file:
            return _read_tags(csv.DictReader(file))
    except OSError as error:
        faults.append(str(error))
    except (ValueError, csv.Error) as error:
        faults.append(f"{table}: {error}")
    return {}


def _read_tags(rows: csv.DictReader) -> dict[str, bool]:
    if not {"scene", "shadows_marked"} <= set(rows.fieldnames or ()):
        raise ValueError("has no columns scene and shadows_marked")
    marked: dict[str, bool] = {}
    for row in rows:
        scene, value = row["scene"], row["shadows_marked"]
        if value not in ("0", "1"):
            raise ValueError(f"shadows_marked of {scene} is {value!r}, neither 0 nor 1")
        if marked.setdefault(scene, value == "1") != (value == "1"):
            raise ValueError(f"shadows_marked of {scene} is both 0 and 1")
    return marked


# --- Reading --------------------------------------------------------------------------------


@contextmanager
def _open(
    product: str,
    sensor: str,
    subscene: SourceFile | None,
    mask: SourceFile | None,
    shadow_marked: bool | None,
) -> Iterator[OpenScene]:
    if subscene is None:
        raise FileNotFoundError(f"{mask}: its image {SUBSCENES}/{product}.npy is missing")
    if mask is None:
        raise FileNotFoundError(f"{subscene}: its mask {MASKS}/{product}.npy is missing")
    with on_disk([subscene, mask]) as [image_path, mask_path]:
        values = _mapped(image_path, np.float32, len(BANDS))
        planes = _mapped(mask_path, np.bool_, len(CLASSES))
        if planes.shape[:2] != values.shape[:2]:
            raise ValueError(
                f"{mask_path}: has {planes.shape[0]} x {planes.shape[1]} pixels, but {image_path} "
                f"has {values.shape[0]} x {values.shape[1]}"
            )
        has_shadow = _scan(mask_path, planes)
        notes = _notes(shadow_marked, has_shadow)
        bits = np.array(CLASSES, np.uint8)
        if not (has_shadow if shadow_marked is None else shadow_marked):
            bits[0] = classes.CLEAR_OR_SHADOW

        def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
            image = np.array(values[rows, columns])
            image[(image == 0).all(axis=2)] = nan  # Sentinel-2 writes 0 where there is no data.
            return image, planes[rows, columns] @ bits

        yield OpenScene(
            height=values.shape[0],
            width=values.shape[1],
            bands=SENSORS[sensor].describe(BANDS),
            gsd_m=GSD_M,
            sun_elevation_deg=nan,
            read=read,
            notes=notes,
        )


def _mapped(path: Path, dtype: type[np.generic], planes: int) -> NDArray:
    """The array [H, W, planes] of a file, read from disk only where it is used."""
    try:
        array = np.load(path, mmap_mode="r")
    except (ValueError, EOFError):
        raise OSError(
            f"{path}: is not a whole NumPy file: it is damaged or cut short; fetch it again"
        ) from None
    if array.ndim != 3 or array.shape[2] != planes or array.dtype != dtype:
        raise ValueError(
            f"{path}: holds {array.dtype} {list(array.shape)}, not {np.dtype(dtype)} "
            f"[height, width, {planes}]"
        )
    return array


def _scan(path: Path, planes: NDArray[np.bool_]) -> bool:
    """Whether a mask has shadow, read in strips.

    Raises:
        ValueError: a pixel is of two classes.
    """
    has_shadow = False
    for row in range(0, len(planes), _ROWS):
        strip = planes[row : row + _ROWS]
        if (strip.sum(axis=2) > 1).any():
            raise ValueError(f"{path}: has pixels of more than one class")
        has_shadow |= bool(strip[..., SHADOW].any())
    return has_shadow


def _notes(shadow_marked: bool | None, has_shadow: bool) -> tuple[str, ...]:
    if shadow_marked is None:
        return (NO_TAGS,)
    if shadow_marked:
        return ()
    return (NO_SHADOW, UNEXPECTED_SHADOW) if has_shadow else (NO_SHADOW,)
