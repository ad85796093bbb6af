"""Draws the images labelled by hand that the weights of the folds get wrong most.

`python -m benchmarks.worst_cases --samples=SAMPLES [--dir=local/pretrained]
[--picture=docs/worst_cases.png] [--number=6]` after `python -m recipes.pretrained folds`.
"""

import argparse
import warnings
from pathlib import Path

from rasterio.errors import NotGeoreferencedWarning

from benchmarks.accuracy import Truth, count, masker_of_folds, predict, read_truths
from permjax.cli import report_errors
from permjax.evaluation import Example
from permjax.inference import Masker
from permjax.report import draw_examples
from recipes.samples import LABELLED, folds


@report_errors
def main() -> None:
    """Mask all, and draw those with the least accuracy of cloud."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("local/pretrained"), help="the recipe's")
    parser.add_argument("--samples", type=Path, required=True, help="the folder of samples")
    parser.add_argument("--picture", type=Path, default=Path("docs/worst_cases.png"))
    parser.add_argument("--number", type=int, default=6)
    options = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    masker_of = masker_of_folds(options.dir, folds(options.samples))
    truths = (truth for name in LABELLED for truth in read_truths(options.samples / name))
    cases = sorted((case(truth, masker_of(truth.path)) for truth in truths), key=lambda c: c[0])
    draw_examples(options.picture, [example for _, example in cases[: options.number]])


def case(truth: Truth, masker: Masker) -> tuple[float, Example]:
    """How much of an image is right as to cloud, and the image with its truth and mask."""
    classes = predict(masker, truth.image).classes
    accuracy = count(classes, truth.label).cloud.accuracy
    name = f"{truth.path.stem}: {accuracy:.0%} right"
    return accuracy, Example(truth.folder, name, *truth.image, truth.label, classes)


if __name__ == "__main__":
    main()
