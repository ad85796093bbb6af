"""What a run tells people: the metrics table, and a page of examples."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from permjax.bands import BandDescription, Kind
from permjax.checkpoints import load_model
from permjax.classes import COLOURS, NO_DATA, CloudClass
from permjax.data import Dataset, Split
from permjax.evaluation import Example, evaluate, predictor
from permjax.logs import progress
from permjax.metrics import MaskCounts


def report_run(
    workdir: Path, datasets: Sequence[Dataset], split: Split, selection: Sequence[str] = ()
) -> dict[str, dict[str, float | None]]:
    """Evaluate the newest checkpoint of a run: table and JSON of metrics, and a page of examples.

    Writes `metrics_<split>.json` and `examples_<split>.png` into the work directory, with the words
    of `selection` in their names where not all records of the run are meant. Records of several
    builders (simulated, real) each have a row that sums them up; they never share one.

    Returns:
        the scores as the JSON has them.
    """
    predict = predictor(load_model(workdir))
    counts: dict[str, MaskCounts] = {}
    examples: list[Example] = []
    datasets = [dataset for dataset in datasets if len(dataset.records(split))]
    if not datasets:
        raise FileNotFoundError(f"none of the records has a {split} split: prepare more scenes")
    with progress() as bars:
        for dataset in bars.track(datasets, description=f"evaluating on {split}"):
            evaluation = evaluate(predict, dataset, split)
            counts[dataset.name] = evaluation.counts
            examples += evaluation.examples
    for builder in dict.fromkeys(dataset.builder for dataset in datasets):
        parts = [counts[dataset.name] for dataset in datasets if dataset.builder == builder]
        counts[f"all of {builder}"] = sum(parts, start=MaskCounts())
    print_metrics(f"{workdir}: {split} scenes", counts)
    name = "_".join([split, *selection])
    draw_examples(workdir / f"examples_{name}.png", examples)
    return write_metrics(workdir / f"metrics_{name}.json", counts)


def print_metrics(title: str, counts: Mapping[str, MaskCounts]) -> None:
    """Print a row of scores for each dataset, in per cent; "-" where a score is undefined."""
    caption = "per cent of pixels; f1, precision, recall and iou of cloud, thick or thin"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("records", no_wrap=True)
    for name in MaskCounts().scores():
        table.add_column(name.replace("_", " "), justify="right")
    for dataset, count in counts.items():
        figures = (f"{100 * x:.1f}" if math.isfinite(x) else "-" for x in count.scores().values())
        table.add_row(dataset, *figures)
    Console(width=max(Console().width, NARROWEST_TABLE)).print(table)


def write_metrics(
    path: Path, counts: Mapping[str, MaskCounts]
) -> dict[str, dict[str, float | None]]:
    """Write the scores of each dataset as JSON, null where undefined, and return them."""
    scores = {
        name: {key: x if math.isfinite(x) else None for key, x in count.scores().items()}
        for name, count in counts.items()
    }
    path.write_text(json.dumps(scores, indent=2) + "\n")
    return scores


def draw_examples(path: Path, examples: Sequence[Example]) -> None:
    """Draw a page with two examples a row: image, truth, prediction, in fixed colours.

    Where a label allows several classes, the first of them is drawn as the truth.
    """
    columns = 2
    rows = math.ceil(len(examples) / columns)
    figure = Figure(figsize=(6.6 * columns, 2.2 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, 3 * columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for index, example in enumerate(examples):
        row, column = divmod(index, columns)
        image_axis, truth_axis, predicted_axis = axes[row, 3 * column : 3 * column + 3]
        image_axis.imshow(composite(example.image, example.bands), interpolation="nearest")
        image_axis.set_title(f"{example.sensor}\n{example.scene_id}", fontsize=7)
        truth_axis.imshow(paint(label_classes(example.label)), interpolation="nearest")
        truth_axis.set_title("truth", fontsize=7)
        nothing = np.isnan(example.image).all(axis=-1)
        predicted = np.where(nothing, NO_DATA, example.predicted)
        predicted_axis.imshow(paint(predicted), interpolation="nearest")
        predicted_axis.set_title("prediction", fontsize=7)
    handles = [
        Patch(facecolor=hex_colour(COLOURS[c]), edgecolor="grey", label=c.title) for c in CloudClass
    ]
    handles.append(Patch(facecolor=hex_colour(UNKNOWN_COLOUR), label="not labelled, no data"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    note = "truth: where a label allows several classes (cloud, thick or thin), the first of them"
    figure.supxlabel(note, fontsize=7)
    figure.savefig(path, dpi=110)


UNKNOWN_COLOUR = (70, 70, 70)
"""sRGB, as dark as it must be where colour blindness takes the green of clear ground for grey."""
NARROWEST_TABLE = 115
"""Characters that the longest names of records need; narrower terminals wrap lines."""


def composite(image: np.ndarray, bands: BandDescription) -> np.ndarray:
    """An image for people, `[H, W, 3]` in 0..1: near true colour from the nearest bands.

    Reflectance 0 to 1 with a square root, the same for all images, so that dark ground shows and
    clouds do not saturate. Without a visible band the first reflectance bands stand in; an image
    of temperatures alone is grey, cold bright.
    """
    reflective = np.flatnonzero(np.asarray(bands.kind) != Kind.BRIGHTNESS_TEMPERATURE)
    if not len(reflective):
        kelvin = image[..., :1].repeat(3, axis=-1)
        return np.nan_to_num(np.clip((310 - kelvin) / 100, 0, 1))
    wavelength_nm = np.asarray(bands.wavelength_nm)[reflective]
    nearest = [int(np.argmin(np.abs(wavelength_nm - colour))) for colour in (660, 560, 480)]
    return np.nan_to_num(np.sqrt(np.clip(image[..., reflective[nearest]], 0, 1)))


def label_classes(label: np.ndarray) -> np.ndarray:
    """Label bits as class codes: the first of the allowed classes, NO_DATA if unlabelled."""
    codes = np.full(label.shape, NO_DATA, np.uint8)
    for cloud_class in reversed(CloudClass):
        codes[label & cloud_class.bit != 0] = cloud_class
    return codes


def paint(codes: np.ndarray) -> np.ndarray:
    """Class codes `[H, W]` in the fixed colours: sRGB uint8 `[H, W, 3]`, dark grey for no data."""
    palette = np.full((256, 3), UNKNOWN_COLOUR, np.uint8)
    for cloud_class, colour in COLOURS.items():
        palette[cloud_class] = colour
    return palette[codes]


def hex_colour(colour: tuple[int, int, int]) -> str:
    """An sRGB colour as HTML and matplotlib know it: `#56b4e9`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
