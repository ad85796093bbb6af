"""How right masks are on real images labelled by hand, beside ukis-csmask 1.0.0.

`python -m benchmarks.accuracy --samples=SAMPLES [--dir=local/pretrained]` after `python -m
recipes.pretrained folds`: each image is masked by the weights of the fold in which it was held
out. `--workdir=RUN` tests one run on all images instead, honest where it saw none of them;
`--pretrained` the weights that come with permjax, which saw them all. The figures of folds and of
a run are written beside them, into `accuracy.json`.

Cloud is thick or thin. A set's figures are those of all its pixels; the mean is over sets.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rich.console import Console
from rich.table import Table

from benchmarks.csmask import Image, probabilities
from data_prep.geotiff_folder.images import find_images, open_pair
from data_prep.geotiff_folder.packing import all_label_bits
from data_prep.geotiff_folder.table import read_table
from permjax.augmentation import PRIMARIES_NM
from permjax.averaging import halfway
from permjax.bands import BandDescription, Kind
from permjax.checkpoints import load_model
from permjax.classes import CLOUD_SHADOW, CloudClass
from permjax.cli import report_errors
from permjax.experiments.calibration import Calibration
from permjax.inference import CloudMask, Masker
from permjax.metrics import Counts, MaskCounts, count_mask
from permjax.rasters import read_dn
from permjax.report import write_metrics
from permjax.weights import load_pretrained
from recipes.runs import finished
from recipes.samples import LABELLED, check_held_out, folds

LIMITS: Final = {"all bands": 0.0, "one band missing": 0.02, "BGRN": 0.03, "RGB": 0.08}
"""Sets of bands, and how much less cloud IoU each may have than all bands."""
DRAWS: Final = 3
"""How many bands, drawn at random, are left out in turn."""
BINS: Final = 15
PEER_LIMITS: Final = "mean cloud IoU .82 and above the peer in each set, shadow F1 .75, ECE .05"


class Truth(NamedTuple):
    """An image labelled by hand: its set, its file, what it shows and its label bits [H, W]."""

    folder: str
    path: Path
    image: Image
    label: NDArray[np.uint8]


@report_errors
def main() -> None:
    """Mask, count, print, and write the numbers beside the runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("local/pretrained"), help="the recipe's")
    parser.add_argument("--samples", type=Path, required=True, help="the folder of samples")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--workdir", type=Path, help="one run for all images, not those of folds")
    one.add_argument("--pretrained", action="store_true", help="the weights of the package")
    parser.add_argument("--no_peer", action="store_true", help="leave ukis-csmask out")
    options = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    fold_of = folds(options.samples)
    truths = [truth for folder in LABELLED for truth in read_truths(options.samples / folder)]
    masker_of = _masker_of(options, fold_of)
    # First, since it may have to be installed, which may fail.
    peer = {} if options.no_peer else score_peer(truths)
    counts, calibrations, of_folds = score(truths, masker_of, fold_of)
    report(counts, calibrations, peer)
    if not (options.workdir or options.pretrained):
        report_folds(of_folds)
    if not options.pretrained:
        named = {f"{name}, {bands}": c for (name, bands), c in counts.items()}
        write_metrics((options.workdir or options.dir) / "accuracy.json", named)


def masker_of_folds(folder: Path, fold_of: Mapping[Path, int]) -> Callable[[Path], Masker]:
    """Of an image labelled by hand, the masker of the fold that held it out; each loaded once.

    It raises FileNotFoundError or ValueError where that fold is not there, is not trained to its
    end, or held other images out.
    """

    @cache
    def of_fold(fold: int) -> Masker:
        name, test = f"fold{fold}", [path for path, own in fold_of.items() if own == fold]
        check_held_out(folder / "tables" / name, folder / f"records_{name}", test)
        return Masker(halfway(finished(folder / name)))

    return lambda path: of_fold(fold_of[path])


def _masker_of(options: argparse.Namespace, fold_of: Mapping[Path, int]) -> Callable:
    if not (options.pretrained or options.workdir):
        return masker_of_folds(options.dir, fold_of)
    one = load_pretrained() if options.pretrained else Masker(load_model(options.workdir))
    return lambda _: one


def predict(masker: Masker, image: Image) -> CloudMask:
    """The mask of an image."""
    wavelength_nm, bandwidth_nm, kinds = image.bands
    return masker.predict(
        image.values,
        wavelength_nm=wavelength_nm,
        bandwidth_nm=bandwidth_nm,
        kind=[Kind(kind).word for kind in kinds],
    )


def read_truths(folder: Path) -> Iterator[Truth]:
    """The labelled images of a folder, with the label bits that the default table gives."""
    paths = find_images(folder)[0]
    for image, bits in all_label_bits(paths, read_table(), nullcontext()).items():
        with open_pair(image.path, image.surface) as (scene, label):
            window = slice(0, scene.height), slice(0, scene.width)
            codes = read_dn(label, 1, window)
            read = Image(scene.read(window), scene.bands)
        yield Truth(folder.name, image.path, read, bits[codes])


def band_sets(bands: BandDescription, seed: int) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """The sets of bands that an image is masked with: name and indices."""
    every = np.arange(len(bands.kind))
    yield "all bands", every
    reflected = every[np.asarray(bands.kind) != Kind.BRIGHTNESS_TEMPERATURE]
    near = [np.abs(bands.wavelength_nm[reflected] / nm - 1).argmin() for nm in PRIMARIES_NM]
    yield "BGRN", reflected[near]
    yield "RGB", reflected[near[:3]]
    for left_out in np.random.default_rng(seed).choice(every, DRAWS, replace=False):
        yield "one band missing", np.delete(every, left_out)


def count(classes: NDArray[np.uint8], label: NDArray[np.uint8]) -> MaskCounts:
    """The counts of one image; of shadow only where its shadow is labelled."""
    counts = count_mask(classes, label)
    return counts if (label == CLOUD_SHADOW).any() else replace(counts, shadow=Counts())


Scores = dict[tuple[str, str], MaskCounts]
"""Counts of each set of images and set of bands."""


def score(
    truths: list[Truth], masker_of: Callable[[Path], Masker], fold_of: Mapping[Path, int]
) -> tuple[Scores, dict[tuple[str, str], Calibration], dict[int, Scores]]:
    """Counts and calibrations of sets of images and bands; and counts of each fold, all bands."""
    counts: Scores = {}
    calibrations: dict[tuple[str, str], Calibration] = {}
    of_folds: dict[int, Scores] = {}
    for seed, (folder, path, image, label) in enumerate(truths):
        for name, chosen in band_sets(image.bands, seed):
            bands = BandDescription(*(trait[chosen] for trait in image.bands))
            mask = predict(masker_of(path), Image(image.values[..., chosen], bands))
            key, own = (folder, name), count(mask.classes, label)
            counts[key] = counts.get(key, MaskCounts()) + own
            calibrations.setdefault(key, Calibration(BINS)).add(mask.probabilities, label)
            if name == "all bands":
                fold = of_folds.setdefault(fold_of[path], {})
                fold[key] = fold.get(key, MaskCounts()) + own
    return counts, calibrations, of_folds


def score_peer(truths: list[Truth]) -> Mapping[str, MaskCounts]:
    """Counts of ukis-csmask in each set of images, with the bands that it takes."""
    codes = np.array([CloudClass.CLEAR, CloudClass.THICK_CLOUD, CloudClass.CLOUD_SHADOW], np.uint8)
    counts: dict[str, MaskCounts] = {}
    for truth, probable in zip(truths, probabilities([t.image for t in truths]), strict=True):
        if probable is not None:
            own = count(codes[probable.argmax(-1)], truth.label)
            counts[truth.folder] = counts.get(truth.folder, MaskCounts()) + own
    return counts


def report(
    counts: Scores,
    calibrations: Mapping[tuple[str, str], Calibration],
    peer: Mapping[str, MaskCounts],
) -> None:
    """Prints a row for each set of images and bands, and the means over sets of images."""
    columns = ("set", "bands", "cloud IoU", "peer", "shadow F1", "peer", "precision", "recall")
    table = Table(*columns, "ECE", title=f"limits: {PEER_LIMITS}")
    for (folder, bands), count in counts.items():
        scores = count.scores()
        other = peer[folder].scores() if bands == "all bands" and folder in peer else {}
        figures = (scores["iou"], other.get("iou"), scores["shadow_f1"], other.get("shadow_f1"))
        figures = (*figures, scores["precision"], scores["recall"])
        table.add_row(folder, bands, *map(_text, figures), _text(calibrations[folder, bands].error))
    table.add_section()
    whole = _mean(counts, "all bands", "iou")
    for bands, limit in LIMITS.items():
        mean = _mean(counts, bands, "iou")
        less = f"{whole - mean:+.3f} less (limit {limit:.2f})" if limit else ""
        others = [c.scores()["iou"] for c in peer.values()] if not limit else []
        peer_mean = float(np.mean(others)) if others else None
        shadow = _mean(counts, bands, "shadow_f1")
        table.add_row("mean", bands, _text(mean), _text(peer_mean), _text(shadow), less)
    Console(width=max(Console().width, 120)).print(table)


def report_folds(of_folds: Mapping[int, Scores]) -> None:
    """Prints the cloud IoU and shadow F1 of each fold, over the images that it held out."""
    table = Table("fold", *LABELLED, title="cloud IoU / shadow F1 of each fold, all bands")
    for fold, counts in sorted(of_folds.items()):
        row = []
        for name in LABELLED:
            scores = counts.get((name, "all bands"), MaskCounts()).scores()
            row.append(f"{_text(scores['iou'])} / {_text(scores['shadow_f1'])}")
        table.add_row(str(fold), *row)
    Console().print(table)


def _mean(counts: Scores, bands: str, name: str) -> float:
    return float(np.nanmean([c.scores()[name] for (_, b), c in counts.items() if b == bands]))


def _text(figure: float | None) -> str:
    return "-" if figure is None or np.isnan(figure) else f"{figure:.3f}"


if __name__ == "__main__":
    main()
