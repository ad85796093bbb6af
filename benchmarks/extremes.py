"""Where masks go wrong most: under an overcast, and over bright ground without a cloud.

`python -m benchmarks.extremes --samples=SAMPLES [--dir=local/pretrained]` after `python -m
recipes.pretrained folds`. Squares of 128 x 128 of images labelled by hand count that are cloud, or
clear, in every labelled pixel, masked by the weights of the fold that held the image out. Real
bright ground is `recipes.samples.HELD_OUT`, which no fold saw; simulated patches are held-out
scenes of all sensors; both are masked by the weights of fold 0.
"""

import argparse
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy import Truth, masker_of_folds, predict, read_truths
from benchmarks.csmask import Image
from data_prep.patches import cut_patches
from permjax.augmentation import PRIMARIES_NM
from permjax.bands import BandDescription, Kind
from permjax.classes import CLEAR_OR_SHADOW, CLOUD, UNLABELLED, is_cloud
from permjax.cli import report_errors
from permjax.data import evaluation_batches, find_datasets
from permjax.sensors import select_sensors
from recipes.samples import HELD_OUT, LABELLED, NAMED, folds, source_of

SQUARE: Final = 128
BRIGHT: Final = 0.25
"""Mean red reflectance from which clear ground counts as bright."""
LIMITS: Final = {"overcast": "at least .97", "clear": "", "clear and bright": "at most .05"}


class Square(NamedTuple):
    """A square of an image: what it is, the mask's classes there."""

    what: str
    classes: NDArray[np.uint8]


@report_errors
def main() -> None:
    """Mask, count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("local/pretrained"), help="the recipe's")
    parser.add_argument("--samples", type=Path, required=True, help="the folder of samples")
    options = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    fold_of = folds(options.samples)
    masker_of = masker_of_folds(options.dir, fold_of)
    first = masker_of(next(iter(fold_of)))
    found: dict[str, dict[str, list[NDArray[np.bool_]]]] = defaultdict(lambda: defaultdict(list))
    for groups, truth in cases(options.samples, options.dir):
        masker = masker_of(truth.path) if truth.path in fold_of else first
        for square in squares(truth, predict(masker, truth.image).classes):
            for group in groups:
                found[group][square.what].append(is_cloud(square.classes))
    table = Table("", "squares are", "number", "part called cloud", "limit")
    for group, kinds in found.items():
        for what, parts in sorted(kinds.items()):
            mean = f"{np.concatenate(parts).mean():.3f}"
            table.add_row(group, what, str(len(parts)), mean, LIMITS[what])
    Console().print(table)


def cases(samples: Path, folder: Path) -> Iterator[tuple[tuple[str, ...], Truth]]:
    """What is masked, each with the rows of the table that it counts in."""
    for name in LABELLED:
        for truth in read_truths(samples / name):
            yield ("real, labelled by hand",), truth
    for truth in held_out(samples, folder):
        yield ("real, bright, held out", f"of these, {truth.path.stem}"), truth
    for truth in simulated(folder / "records"):
        yield ("simulated, held out",), truth


def squares(truth: Truth, classes: NDArray[np.uint8]) -> Iterator[Square]:
    """The squares of a mask [H, W] whose labelled pixels, a tenth at least, are all alike.

    They are whole: at the lower and right edge the last is moved inwards, and what an earlier one
    held does not count in it; an image smaller than a square has none.
    """

    def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        return truth.image.values[rows, columns], truth.label[rows, columns]

    height, width = classes.shape
    if min(height, width) < SQUARE:
        return
    red = red_of(truth.image)
    for row, column, _, label in cut_patches(read, height, width, SQUARE):
        window = slice(row, row + SQUARE), slice(column, column + SQUARE)
        told = label != UNLABELLED
        if told.mean() < 0.1:
            continue
        if not (label[told] & ~np.uint8(CLOUD)).any():
            yield Square("overcast", classes[window][told])
        elif not (label[told] & ~np.uint8(CLEAR_OR_SHADOW)).any():
            bright = np.nanmean(red[window]) > BRIGHT
            yield Square("clear and bright" if bright else "clear", classes[window][told])


def red_of(image: Image) -> NDArray[np.float32]:
    """The reflectance [H, W] of the band nearest to red."""
    away = np.abs(image.bands.wavelength_nm - PRIMARIES_NM[2])
    away[np.asarray(image.bands.kind) == Kind.BRIGHTNESS_TEMPERATURE] = np.inf
    return image.values[..., away.argmin()]


def held_out(samples: Path, folder: Path) -> Iterator[Truth]:
    """The bright and clear scenes that only the final weights are trained on."""
    for name, stems in HELD_OUT.items():
        for truth in read_truths(source_of(name, samples, folder)):
            if truth.path.stem.startswith(stems):
                yield truth


def simulated(records: Path) -> Iterator[Truth]:
    """The held-out simulated patches of the sensors that have some."""
    for dataset in find_datasets(records, select_sensors((*NAMED, "landsat5_mss")), "simulated"):
        for batch in evaluation_batches(dataset, "test", 1):
            bands = BandDescription(*(part[0] for part in batch.bands))
            yield Truth(dataset.name, dataset.path, Image(batch.image[0], bands), batch.label[0])


if __name__ == "__main__":
    main()
