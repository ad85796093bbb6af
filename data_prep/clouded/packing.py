"""The clear images of a folder of labelled GeoTIFFs under simulated clouds, by all processors."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from data_prep.clouded.clouded_dataset_builder import Builder
from data_prep.directories import writable
from data_prep.geotiff_folder import DEFAULT_TABLE
from data_prep.geotiff_folder.images import LabelledImage, find_images, open_pair
from data_prep.geotiff_folder.packing import LabelBits, all_label_bits, data_sets
from data_prep.geotiff_folder.table import Table, read_table
from data_prep.patches import prepare, quiet_tfds, record
from data_prep.simulated.building import all_processors, patch_progress
from data_prep.simulated.over_ground import cloud_over, draw_square
from data_prep.simulated.scene import MARGIN
from data_prep.simulated.simulated_dataset_builder import Records, SimulatedConfig
from permjax.classes import CLEAR
from permjax.rasters import read_dn

# Images of which a smaller part is surely clear would give few labels.
CLEAR_PART: Final = 0.6


class Copy(NamedTuple):
    """An image to be put under the clouds of a seed; `label_bits` [256] of every code."""

    image: LabelledImage
    label_bits: NDArray[np.uint8]
    seed: int


def build(
    data_dir: Path,
    source: Path,
    *,
    table: Path = DEFAULT_TABLE,
    copies: int = 20,
    seed: int = 0,
    patch_size: int = 128,
) -> list[Path]:
    """Puts clouds over a folder's images into `<data_dir>/clouded/<folder>-<sensor>/<version>`.

    Only scenes that `geotiff_folder` would train on are used, so that the folder's own validation
    and test scenes stay unseen; there is only the split `train`. Images that are too small or too
    cloudy are left out and counted. The same folder and settings give the same records.

    Args:
        data_dir: where data sets lie.
        source: the folder.
        table: what codes and tags mean, in the form of geotiff_folder's `default.toml`.
        copies: patches of each image.
        seed: other seed, other clouds.
        patch_size: side of a patch in pixels.

    Returns:
        the directory of each data set, one for each sensor and set of bands.

    Raises:
        FileNotFoundError: there is no such folder, or it has no labelled images.
        FileExistsError: a data set of that name is there already.
        OSError: `data_dir` cannot be written.
        OSError, ValueError: a file cannot be used, or no image can; the message names it.
    """
    meanings = read_table(table)
    paths, _ = find_images(source)
    with writable(data_dir, Builder.name):
        label_bits = all_label_bits(paths, meanings, nullcontext())
        usable, left_out = _usable(label_bits, meanings, patch_size)
        if not usable:
            raise ValueError(f"{source}: no image can be put under clouds: {left_out}")
        if left_out:
            Console(stderr=True).print(f"left out: {left_out}", markup=False, soft_wrap=True)
        settings = {"copies": copies, "seed": seed, "patch_size": patch_size}
        total = copies * len(usable)
        with patch_progress("clouding patches", total) as advance, all_processors() as pool:
            write = partial(_write, pool, advance, data_dir, label_bits, settings)
            named = data_sets(source.resolve().name, dict.fromkeys(usable, 1))
            return [write(name, images) for name, images in named.items()]


def _write(
    pool: Pool,
    advance: Callable[[], None],
    data_dir: Path,
    label_bits: LabelBits,
    settings: Mapping[str, int],
    name: str,
    images: Sequence[LabelledImage],
) -> Path:
    """Writes the data set of one sensor and set of bands."""
    todo = [
        Copy(image, label_bits[image], copy_seed(settings["seed"], image.path.stem, number))
        for image in images
        for number in range(settings["copies"])
    ]
    config = SimulatedConfig(
        name=name,
        sensor=images[0].sensor.name,
        settings=settings,
        splits={"train": partial(_records, pool, advance, todo, settings["patch_size"])},
    )
    with quiet_tfds():
        builder = Builder(data_dir=data_dir, config=config)
    return prepare(builder)


def copy_seed(seed: int, image: str, number: int) -> int:
    """The seed of a copy of an image, whatever else lies in its folder."""
    digest = hashlib.sha256(f"{seed} {number} {image}".encode()).digest()
    return int.from_bytes(digest[:5])


def _usable(
    label_bits: LabelBits, table: Table, patch_size: int
) -> tuple[list[LabelledImage], str]:
    """The images that can be used, and how many are left out and why."""
    # As geotiff_folder deals scenes: images without a labelled pixel do not count.
    labelled = [i for i, bits in label_bits.items() if any(bits[code] for code in i.codes)]
    splits = table.assign_splits(image.scene_id for image in labelled)
    faults = {
        image: _fault(image, bits, splits.get(image.scene_id, "train"), patch_size)
        for image, bits in label_bits.items()
    }
    counts = Counter(fault for fault in faults.values() if fault)
    reasons = ", ".join(f"{count} {fault}" for fault, count in counts.items())
    return [image for image, fault in faults.items() if not fault], reasons


def _fault(
    image: LabelledImage, label_bits: NDArray[np.uint8], split: str, patch_size: int
) -> str | None:
    """Why an image cannot be used, after its count; None if it can."""
    if split != "train":
        return "of scenes that validate or test"
    side = patch_size + 2 * MARGIN
    with open_pair(image.path, image.surface) as (scene, label):
        if min(scene.height, scene.width) < side:
            return f"smaller than the {side} x {side} pixels of a patch and its surroundings"
        codes = read_dn(label, 1, (slice(0, scene.height), slice(0, scene.width)))
    clear = (label_bits == CLEAR)[codes].mean()
    return None if clear >= CLEAR_PART else f"less than {CLEAR_PART:.0%} surely clear"


def _records(
    pool: Pool, advance: Callable[[], None], todo: Sequence[Copy], patch_size: int
) -> Records:
    done = pool.imap(partial(_record, patch_size=patch_size), todo, chunksize=2)
    for copy, example in zip(todo, done, strict=True):
        yield copy.seed, example
        advance()


def _record(copy: Copy, patch_size: int) -> dict[str, Any]:
    image = copy.image
    with open_pair(image.path, image.surface) as (scene, label):
        # Of a whole scene no more is read than the patch needs.
        square = draw_square(copy.seed, scene.height, scene.width, patch_size)
        patch = cloud_over(
            copy.seed,
            scene.read(square),
            copy.label_bits[read_dn(label, 1, square)],
            scene.bands,
            image.sensor,
            image.gsd_m,
            scene.sun_elevation_deg,
            image.scene_id,
            patch_size,
        )
    return record(patch)
