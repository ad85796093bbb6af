"""The report of a single model, as `eval.py` writes it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from permjax.checkpoints import load_model
from permjax.data import Dataset, Split
from permjax.experiments.bands_used import measure_bands
from permjax.experiments.calibration import measure_calibration
from permjax.experiments.html_report import Report
from permjax.experiments.measuring import each_probe
from permjax.experiments.pictures import choose_scenes, draw_scenes
from permjax.experiments.predicting import see_with
from permjax.experiments.probes import stream, take_probes
from permjax.experiments.sections import (
    METHOD,
    tell_bands,
    tell_calibration,
    tell_pictures,
    tell_windows,
)
from permjax.experiments.windows import measure_windows, window_curves
from permjax.models import CloudMasker
from permjax.report import report_run
from permjax.sensors import Sensor

TITLES: Final = {"f1": "F1", "iou": "IoU", "shadow_f1": "F1 of shadow"}
MODEL: Final = "prediction"
"""What the model is called beside the truth."""
KINDS: Final = {
    "simulated": "simulated",
    "clouded": "simulated clouds over real ground",
    "real": "real",
}
"""What records are, by the builder's name but for real ones, which have many: the title."""


def report_model(
    workdir: Path,
    datasets: Sequence[Dataset],
    sensors: Sequence[Sensor],
    split: Split,
    selection: Sequence[str] = (),
) -> list[Path]:
    """Evaluate the newest checkpoint of a run as `report_run` does, and tell it as a paper.

    What is simulated and what is real never share a figure: where there are several of `KINDS`,
    each has a paper of its own.

    Args:
        workdir: of the run; a paper is written into its folder `report_<split>`, with the words
            of `selection` in its name as in those of the other files, and with its kind if there
            are several.
        datasets: to evaluate on.
        sensors: whose records they are.
        split: which records.
        selection: how they were selected, if they are not all of the run.

    Returns:
        the path of each page.
    """
    metrics = report_run(workdir, datasets, split, selection)
    model = load_model(workdir)
    kinds: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        if len(dataset.records(split)):
            kinds.setdefault(kind_of(dataset), []).append(dataset)
    pages = []
    for kind, of_kind in kinds.items():
        words = [*selection, *([kind] if len(kinds) > 1 else [])]
        directory = workdir / "_".join(["report", split, *words])
        rows = {name for d in of_kind for name in (d.name, f"all of {d.builder}")}
        results = {
            "run": {"workdir": str(workdir), "split": split, "kind": kind},
            "metrics": {name: scores for name, scores in metrics.items() if name in rows},
        }
        results |= _measure(model, of_kind, sensors, split, directory)
        pages.append(_write(Report(results, directory)))
    return pages


def kind_of(dataset: Dataset) -> str:
    """Which of `KINDS` a dataset is."""
    return dataset.builder if dataset.builder in KINDS else "real"


def _measure(
    model: CloudMasker,
    datasets: Sequence[Dataset],
    sensors: Sequence[Sensor],
    split: Split,
    directory: Path,
) -> dict[str, Any]:
    """All figures of datasets of one kind; pictures of scenes are saved in `directory`."""
    see = see_with(model)
    windows = measure_windows({MODEL: [see]}, stream(datasets, split, "measuring windows"))
    shown = choose_scenes({MODEL: see}, stream(datasets, split, "choosing scenes"))
    probes = take_probes(datasets, sensors, split)
    probabilities = (batch for _, batch in stream(datasets, split, "calibration"))
    return {
        "method": METHOD,
        "windows": windows,
        "curves": window_curves(windows),
        "pictures": draw_scenes(directory, shown),
        "probed": {probe.sensor.name: probe.dataset for probe in probes},
        "bands": each_probe(
            "bands", [see], probes, lambda see, p: measure_bands(see, p.sensor, p.batches)
        ),
        "calibration": {MODEL: [measure_calibration(see, probabilities)]},
    }


def _write(report: Report) -> Path:
    run, metrics = report.results["run"], report.results["metrics"]
    report.heading("Scores")
    names: list[str] = list(next(iter(metrics.values())))
    rows = [
        [escape(dataset)] + [report.number("metrics", dataset, name) for name in names]
        for dataset in metrics
    ]
    report.table(
        ["records", *(TITLES.get(name, name) for name in names)],
        rows,
        f"Per cent of pixels of the {escape(run['split'])} scenes; F1, precision, recall and IoU "
        "of cloud, thick or thin.",
    )
    report.heading("In windows, against cloud cover")
    tell_windows(report)
    report.heading("Pictures")
    tell_pictures(report)
    report.heading("Which bands it needs")
    tell_bands(report)
    report.heading("Do its probabilities mean what they say?")
    tell_calibration(report, [MODEL])
    report.heading("What was not measured")
    report.paragraph(
        "The spread over seeds: this is one model. Scenes of the same place and time as those "
        "trained on may be among these where their data set does not keep them apart. Every number "
        "stands in <code>report.json</code> beside this page."
    )
    return report.write(f"{run['workdir']}: {run['split']} scenes, {KINDS[run['kind']]}")
