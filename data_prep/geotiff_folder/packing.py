"""A folder of labelled GeoTIFFs into data sets: checked first, then written whole."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from data_prep.directories import writable
from data_prep.geotiff_folder.geotiff_folder_dataset_builder import Builder, FolderConfig
from data_prep.geotiff_folder.images import LabelledImage, find_images, inspect, patches
from data_prep.geotiff_folder.table import DEFAULT_TABLE, Table, read_table
from data_prep.patches import SPLITS, prepare, quiet_tfds

LabelBits = dict[LabelledImage, NDArray[np.uint8]]
"""For each image, uint8 [256], the label bits of every code."""


def build(
    data_dir: Path,
    source: Path,
    *,
    table: Path = DEFAULT_TABLE,
    patch_size: int = 128,
    keep_going: bool = False,
) -> list[Path]:
    """Packs a folder into `<data_dir>/geotiff_folder/<folder>-<sensor>/<version>`.

    Every file is read once before anything is written. Images with different bands of one sensor
    become data sets of their own, `-2` and so on added to the name, the largest first. Images
    without a labelled pixel are left out.

    Args:
        data_dir: where data sets lie.
        source: the folder.
        table: what codes and tags mean, in the form of `default.toml`.
        patch_size: side of a patch in pixels.
        keep_going: leave files out that cannot be used, and list them at the end, instead of
            stopping at the first.

    Returns:
        the directory of each data set.

    Raises:
        FileNotFoundError: there is no such folder, or it has no labelled images.
        FileExistsError: a data set of that name is there already.
        OSError: `data_dir` cannot be written, which is found out before files are read.
        OSError, ValueError: a file cannot be used; the message names it.
    """
    console, refused = Console(stderr=True), _Refused(keep_going)
    meanings = read_table(table)
    paths, without_label = find_images(source)
    if without_label:
        console.print(f"{without_label} images without a label file are left out")
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with writable(data_dir, Builder.name), Progress(*columns, console=console) as bar:
        label_bits = all_label_bits(paths, meanings, refused)
        counts = _count_patches(label_bits, patch_size, refused, bar)
        if not counts:
            reason = refused.messages[0] if refused.messages else "no pixel is labelled"
            raise ValueError(f"{source}: no image can be used: {reason}")
        splits = meanings.assign_splits(image.scene_id for image in counts)
        builders = _builders(data_dir, source, counts, splits, label_bits, patch_size, bar)
        built = [prepare(builder) for builder in builders]
    for message in refused.messages:
        console.print(f"left out: {message}", style="red", markup=False)
    return built


class _Refused:
    """Files that cannot be used: the first ends the build, or all are kept in mind."""

    def __init__(self, keep_going: bool) -> None:
        self._keep_going = keep_going
        self.messages: list[str] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> bool:
        keep = self._keep_going and isinstance(error, OSError | ValueError)
        if keep:
            self.messages.append(str(error))
        return keep


def all_label_bits(paths: list[Path], table: Table, refused: AbstractContextManager) -> LabelBits:
    """What the label of each image means; an image's codes bear on those of the others.

    Args:
        paths: of the images.
        table: what codes and tags mean.
        refused: entered for each image; it may keep the fault of one that cannot be used.

    Raises:
        OSError, ValueError: an image cannot be used; the message names it.
    """
    images = []
    for path in paths:
        with refused:
            images.append(inspect(path, table))
    thin_labelled = table.uses_thin({code for image in images for code in image.codes})
    return {
        image: table.label_bits(shadow_labelled=image.shadow_labelled, thin_labelled=thin_labelled)
        for image in images
    }


def _count_patches(
    label_bits: LabelBits, patch_size: int, refused: _Refused, bar: Progress
) -> dict[LabelledImage, int]:
    """The images that can be read to the end and give patches, and how many."""
    task = bar.add_task("checking images", total=len(label_bits))
    counts = {}
    for image, bits in label_bits.items():
        with refused:
            counts[image] = sum(1 for _ in patches(image, bits, patch_size))
            if not counts[image]:
                bar.console.print(f"{image.path}: no pixel is labelled, left out", markup=False)
                del counts[image]
        bar.advance(task)
    return counts


def _builders(
    data_dir: Path,
    source: Path,
    counts: Mapping[LabelledImage, int],
    splits: Mapping[str, str],
    label_bits: LabelBits,
    patch_size: int,
    bar: Progress,
) -> list[Builder]:
    """A builder for each sensor and set of bands."""
    task = bar.add_task("packing patches", total=sum(counts.values()))
    builders = []
    for name, images in data_sets(source.resolve().name, counts).items():
        by_split = {
            split: [
                (image, label_bits[image]) for image in images if splits[image.scene_id] == split
            ]
            for split in SPLITS
        }
        config = FolderConfig(
            name=name,
            sensor=images[0].sensor.name,
            images={split: members for split, members in by_split.items() if members},
            patch_size=patch_size,
            advance=lambda: bar.advance(task),
        )
        with quiet_tfds():
            builders.append(Builder(data_dir=data_dir, config=config))
    return builders


def data_sets(folder: str, counts: Mapping[LabelledImage, int]) -> dict[str, list[LabelledImage]]:
    """The images of each data set, by its name."""
    groups: dict[tuple[str, tuple], list[LabelledImage]] = {}
    for image in counts:
        groups.setdefault((image.sensor.name, image.bands), []).append(image)
    by_size = sorted(groups.items(), key=lambda item: (-sum(counts[i] for i in item[1]), item[0]))
    named: dict[str, list[LabelledImage]] = {}
    for (sensor, _), images in by_size:
        earlier = sum(members[0].sensor.name == sensor for members in named.values())
        suffix = f"-{earlier + 1}" if earlier else ""
        named[f"{folder}-{sensor}{suffix}"] = images
    return named
