"""The report of a single model, as `eval.py` writes it."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from permjax.checkpoints import Checkpoints, load_model
from permjax.config import TrainConfig, load_config
from permjax.data import Dataset, Split, describe, find_datasets, training_shares
from permjax.experiments.bands_used import measure_bands, measure_numbers, measure_slides
from permjax.experiments.calibration import measure_calibration
from permjax.experiments.embedding import measure_embedding
from permjax.experiments.html_report import Report
from permjax.experiments.measuring import each_probe
from permjax.experiments.pictures import choose_scenes, draw_scenes
from permjax.experiments.predicting import See, see_with
from permjax.experiments.probes import Probe, stream, take_probes
from permjax.experiments.sections import (
    METHOD,
    tell_calibration,
    tell_embedding,
    tell_pictures,
    tell_use_of_bands,
    tell_windows,
)
from permjax.experiments.windows import measure_windows, window_curves
from permjax.models import CloudMasker
from permjax.report import report_run
from permjax.sensors import Sensor, select_sensors

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
    trained = trained_sensors(load_config(workdir))
    mapped = {} if trained is None else {"embedding": measure_embedding(model, trained)}
    pages = []
    for kind, of_kind in kinds.items():
        words = [*selection, *([kind] if len(kinds) > 1 else [])]
        directory = workdir / "_".join(["report", split, *words])
        rows = {name for d in of_kind for name in (d.name, f"all of {d.builder}")}
        results = {
            "run": describe_run(workdir) | {"split": split, "kind": kind},
            "metrics": {name: scores for name, scores in metrics.items() if name in rows},
        }
        results |= _measure(model, of_kind, sensors, split, directory) | mapped
        pages.append(_write(Report(results, directory)))
    return pages


def kind_of(dataset: Dataset) -> str:
    """Which of `KINDS` a dataset is."""
    return dataset.builder if dataset.builder in KINDS else "real"


def describe_run(workdir: Path) -> dict[str, Any]:
    """What the report tells of a run's settings, and in `step` its newest checkpoint's."""
    config = load_config(workdir)
    with Checkpoints(workdir, clean_up=False) as checkpoints:
        step = checkpoints.newest
    names = ("sensors", "data", "init", "steps", "batch_size", "patch_size", "seed")
    settings = {name: getattr(config, name) for name in names}
    return {"workdir": str(workdir), "step": step, "features": config.model.features} | settings


def trained_sensors(config: TrainConfig) -> set[str] | None:
    """Names of the sensors that a run was trained on; None where its records no longer tell.

    Nor do they tell all of a run that started from other weights than random ones.
    """
    if config.init is not None:
        return None
    try:
        sensors = select_sensors(config.sensors)
        datasets = find_datasets(config.records_dir, sensors, config.data)
        return {dataset.sensor for dataset in training_shares(datasets, config)}
    except FileNotFoundError:
        return None


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

    def of_each(name: str, one: Callable[[See, Probe], Any]) -> dict[str, list[Any]]:
        return each_probe(name, [see], probes, one)

    return {
        "method": METHOD,
        "data": describe_records(datasets, split, windows),
        "windows": windows,
        "curves": window_curves(windows),
        "pictures": draw_scenes(directory, shown),
        "probed": {probe.sensor.name: probe.dataset for probe in probes},
        "bands": of_each("bands", lambda see, p: measure_bands(see, p.sensor, p.batches)),
        "numbers": of_each("numbers", lambda see, p: measure_numbers(see, p.batches)),
        "slides": of_each("slides", lambda see, p: measure_slides(see, p.sensor, p.batches)),
        "calibration": {MODEL: [measure_calibration(see, probabilities)]},
    }


def describe_records(
    datasets: Sequence[Dataset], split: Split, windows: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Of each dataset its `name`, and how many `records`, `scenes` with labels and `bands` it has.

    Args:
        datasets: with records in the split.
        split: which records.
        windows: of `measure_windows` on them; their places tell the scenes.
    """
    scenes = {(place["dataset"], place["scene_id"]) for place in windows["places"]}
    return [
        {
            "name": dataset.name,
            "records": len(dataset.records(split)),
            "scenes": sum(name == dataset.name for name, _ in scenes),
            "bands": len(describe(dataset, split).kind),
        }
        for dataset in datasets
    ]


def _write(report: Report) -> Path:
    run = report.results["run"]
    _setting(report)
    _data(report)
    _scores(report)
    report.heading("In windows, against cloud cover")
    tell_windows(report)
    report.heading("Pictures")
    tell_pictures(report)
    report.heading("How the model interprets sensors")
    probed = ", ".join(map(escape, report.results["probed"].values()))
    report.paragraph(f"Bands are taken away, counted and described wrongly on {probed}.")
    tell_use_of_bands(report)
    if "embedding" in report.results:
        report.heading("A map of bands", 3)
        tell_embedding(report)
    report.heading("Do its probabilities mean what they say?", 3)
    tell_calibration(report, [MODEL])
    _not_measured(report)
    return report.write(f"{run['workdir']}: {run['split']} scenes, {KINDS[run['kind']]}")


def _setting(report: Report) -> None:
    run = report.results["run"]
    step, steps, batch, size, seed = (
        report.count("run", key) for key in ("step", "steps", "batch_size", "patch_size", "seed")
    )
    features = ", ".join(report.count("run", "features", i) for i in range(len(run["features"])))
    sensors = escape(", ".join(run["sensors"]))
    start = "random weights" if run["init"] is None else f"the weights {escape(run['init'])}"
    report.heading("Setting")
    report.paragraph(
        "The model reads each band together with its description; its levels have "
        f"{features} features. It was trained on {escape(run['data'])} records of {sensors} for "
        f"{step} of {steps} steps, each of {batch} squares of {size} x {size} pixels, from {start} "
        f"with seed {seed}."
    )


def _data(report: Report) -> None:
    run, data = report.results["run"], report.results["data"]
    report.heading("Data")
    columns = ("records", "scenes", "bands")
    rows = [
        [escape(of["name"])] + [report.count("data", i, key) for key in columns]
        for i, of in enumerate(data)
    ]
    report.table(
        ["data set", *columns],
        rows,
        f"What the model is tested on, {KINDS[run['kind']]}: records of the split "
        f"{escape(run['split'])}, a square each, the scenes with labels that they are of, and "
        "their bands.",
    )


def _scores(report: Report) -> None:
    metrics = report.results["metrics"]
    report.heading("Scores")
    names: list[str] = list(next(iter(metrics.values())))
    rows = [
        [escape(dataset)] + [report.number("metrics", dataset, name) for name in names]
        for dataset in metrics
    ]
    report.table(
        ["records", *(TITLES.get(name, name) for name in names)],
        rows,
        f"Per cent of pixels of the {escape(report.results['run']['split'])} scenes; F1, "
        "precision, recall and IoU of cloud, thick or thin.",
    )


def _not_measured(report: Report) -> None:
    unknown = (
        "A map of its bands: the records that it was trained on do not tell, or no longer, which "
        "sensors it knows. "
    )
    report.heading("What was not measured")
    report.paragraph(
        "The spread over seeds: this is one model. "
        + ("" if "embedding" in report.results else unknown)
        + "Scenes of the same place and time as those trained on may be among these where their "
        "data set does not keep them apart. Every number stands in <code>report.json</code> beside "
        "this page."
    )
