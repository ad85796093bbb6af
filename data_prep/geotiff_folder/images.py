"""Labelled images of a folder: found, inspected, and cut into patches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from data_prep.geotiff_folder.table import Table
from data_prep.patches import Patch, cut_patches
from permjax.rasters import Scene, open_raster, read_dn
from permjax.scenes import open_scene
from permjax.sensors import Sensor

_LABEL = "_label"


@dataclass(frozen=True)
class LabelledImage:
    """An image and its label file, with what their tags say.

    Args:
        path: the image.
        scene_id: its scene, by the table's pattern.
        sensor: by the table.
        surface: its reflectance is that of the surface.
        shadow_labelled: a clear label means that there is no shadow either.
        gsd_m: size of a pixel in metres.
        bands: wavelength_nm, bandwidth_nm and kind of each band.
        codes: the codes that the label uses.
    """

    path: Path
    scene_id: str
    sensor: Sensor
    surface: bool
    shadow_labelled: bool
    gsd_m: float
    bands: tuple[tuple[float, float, int], ...]
    codes: frozenset[int]


def find_images(folder: Path) -> tuple[list[Path], int]:
    """The images of a folder that have a label file, by name, and how many have none.

    Raises:
        FileNotFoundError: there is no such folder, no GeoTIFF in it, or none has a label file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".tif", ".tiff"))
    images = [path for path in files if not path.stem.endswith(_LABEL)]
    if not images:
        raise FileNotFoundError(f"{folder}: holds no GeoTIFF images (*.tif)")
    labelled = [path for path in images if _label_path(path).is_file()]
    if not labelled:
        raise FileNotFoundError(
            f"{folder}: no labels found: none of its {len(images)} images has a label file beside "
            f"it, such as {_label_path(images[0]).name}"
        )
    return labelled, len(images) - len(labelled)


def inspect(path: Path, table: Table) -> LabelledImage:
    """What the tags of an image say and which codes its label uses.

    Raises:
        OSError, ValueError: image or label cannot be used; the message names the file.
    """
    with open_raster(path) as image:
        tags = image.tags()
    level = tags.get("level", "")
    try:
        sensor, surface = table.sensor(tags.get("sensor")), table.is_surface(level)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    with open_pair(path, surface) as (scene, label):
        codes = _codes(label)
        unknown = codes - set(table.codes)
        if unknown:
            raise ValueError(
                f"{label.name}: holds the codes {sorted(unknown)}, which [codes] of {table.path} "
                "does not name"
            )
        in_level = table.gsd_m.search(level)
        return LabelledImage(
            path=path,
            scene_id=table.scene_id(path.stem),
            sensor=sensor,
            surface=surface,
            shadow_labelled=tags.get("shadow_labelled") != "False",
            gsd_m=float(in_level[1]) if in_level else _gsd_m(scene, sensor),
            bands=tuple(zip(*(part.tolist() for part in scene.bands), strict=True)),
            codes=frozenset(codes),
        )


def patches(
    image: LabelledImage, label_bits: NDArray[np.uint8], patch_size: int
) -> Iterator[tuple[str, Patch]]:
    """The patches of an image, each with a name of its own; read one at a time.

    Args:
        image: the labelled image.
        label_bits: uint8 [256], label bits of every code.
        patch_size: side of a patch in pixels.

    Raises:
        OSError, ValueError: image or label is damaged; the message names the file.
    """
    with open_pair(image.path, image.surface) as (scene, label):

        def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
            codes = read_dn(label, 1, (rows, columns))
            return scene.read((rows, columns)), label_bits[codes]

        for square in cut_patches(read, scene.height, scene.width, patch_size):
            yield (
                f"{image.path.stem}_{square.row}_{square.column}",
                Patch(
                    image=square.image,
                    label=square.label,
                    bands=scene.bands,
                    scene_id=image.scene_id,
                    sensor=image.sensor.name,
                    gsd_m=image.gsd_m,
                    sun_elevation_deg=scene.sun_elevation_deg,
                ),
            )


def _label_path(image: Path) -> Path:
    return image.with_name(f"{image.stem}{_LABEL}{image.suffix}")


@contextmanager
def open_pair(path: Path, surface: bool) -> Iterator[tuple[Scene, DatasetReader]]:
    """An image and its label, of one size."""
    with open_scene(path, surface=surface) as scene, open_raster(_label_path(path)) as label:
        if label.shape != (scene.height, scene.width):
            raise ValueError(
                f"{label.name}: has {label.height} x {label.width} pixels, but the image has "
                f"{scene.height} x {scene.width}"
            )
        if label.count != 1 or label.dtypes[0] != "uint8":
            raise ValueError(
                f"{label.name}: must be one uint8 band of codes, not {label.count} of "
                f"{label.dtypes[0]}"
            )
        yield scene, label


def _gsd_m(scene: Scene, sensor: Sensor) -> float:
    return sensor.gsd_m if np.isnan(scene.gsd_m) else scene.gsd_m


def _codes(label: DatasetReader) -> set[int]:
    codes: set[int] = set()
    for _, window in label.block_windows(1):
        codes |= set(np.unique(read_dn(label, 1, window.toslices())).tolist())
    return codes
