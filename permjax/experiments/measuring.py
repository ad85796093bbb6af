"""All measurements of the three ways, each kept in a file as soon as it is made."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from permjax.bands import BandDescription
from permjax.checkpoints import load_model
from permjax.config import TrainConfig, read_shares
from permjax.data import Dataset, dataset_shares
from permjax.experiments.bands_used import (
    measure_bands,
    measure_numbers,
    measure_slides,
)
from permjax.experiments.calibration import measure_calibration
from permjax.experiments.embedding import measure_embedding
from permjax.experiments.left_out import measure_left_out
from permjax.experiments.matching import shared_bands
from permjax.experiments.parts import kept
from permjax.experiments.pictures import choose_scenes, draw_scenes
from permjax.experiments.predicting import See, see_with, with_bands
from permjax.experiments.probes import Probe, stream, take_probes
from permjax.experiments.records import (
    bands_of_other,
    count_records,
    name_shared_bands,
    records_of,
)
from permjax.experiments.runs import Plan
from permjax.experiments.sections import METHOD
from permjax.experiments.settings import BOTH, ThreeWay, settings_as_json
from permjax.experiments.three_ways import TALK, compare_order, score_ways
from permjax.experiments.windows import measure_windows, window_curves
from permjax.logs import progress


@cache
def _see(workdir: Path) -> See:
    return see_with(load_model(workdir))


def see_ways(settings: ThreeWay, plan: Plan, datasets: Sequence[Dataset]) -> dict[str, list[See]]:
    """The models of each way, one a seed; the other family's sees the shared bands only."""
    ways = {way: [_see(run.workdir) for run in runs] for way, runs in plan.ways.items()}
    other = bands_of_other(settings, datasets)
    ways[settings.other] = [_with_shared_bands(see, other) for see in ways[settings.other]]
    return ways


def _with_shared_bands(see: See, others: Sequence[BandDescription]) -> See:
    return lambda batch: see(with_bands(batch, shared_bands(batch.bands, others)))


def measure(settings: ThreeWay, plan: Plan, datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Everything that the report tells, as JSON gives it back.

    Raises:
        FileNotFoundError: there are no records to test on, or none of the other family to train on.
        ValueError: the families have no band in common.
    """
    parts, report = settings.workdir / "parts", settings.workdir / "report"
    tested = records_of(settings, settings.test, datasets, "test")
    ways = see_ways(settings, plan, datasets)
    results: dict[str, Any] = {
        "settings": settings_as_json(settings),
        "data": describe_data(settings, plan, datasets),
        "method": METHOD,
        "talk": TALK,
    }
    results["windows"] = kept(
        parts / "windows.json",
        lambda: measure_windows(ways, stream(tested, "test", "measuring windows")),
    )
    order = [settings.other, settings.test, BOTH]
    results["ways"] = score_ways(results["windows"])
    results["order"] = compare_order(results["ways"], order)
    results["curves"] = window_curves(results["windows"], reference=settings.test)
    pair = {way: ways[way][0] for way in (BOTH, settings.test)}
    shown = choose_scenes(pair, stream(tested, "test", "choosing scenes"))
    results["pictures"] = draw_scenes(report, shown)
    results["calibration"] = kept(parts / "calibration.json", lambda: _calibrations(ways, tested))
    return results | _interpretation(settings, plan, datasets)


def describe_data(settings: ThreeWay, plan: Plan, datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Numbers of records, the shared bands of those tested, and who sees how much of what."""
    trained = [d for d in datasets if len(d.records("train"))]
    sizes = [len(d.records("train")) for d in trained]
    run = plan.ways[BOTH][0]
    shares = dataset_shares([d.name for d in trained], sizes, read_shares(run.shares))
    own = {sensor.name for sensor in settings.family(settings.test)}
    return {
        "records": count_records(datasets),
        "examples": run.steps * run.batch_size,
        "share_of_tested": sum(
            share for d, share in zip(trained, shares, strict=True) if d.sensor in own
        ),
        "shared_bands": name_shared_bands(settings, datasets),
    }


def _calibrations(
    ways: Mapping[str, Sequence[See]], tested: Sequence[Dataset]
) -> dict[str, list[dict[str, Any]]]:
    return {
        way: [
            measure_calibration(
                see, (batch for _, batch in stream(tested, "test", f"calibration of {way}, {seed}"))
            )
            for seed, see in enumerate(models)
        ]
        for way, models in ways.items()
    }


def _interpretation(settings: ThreeWay, plan: Plan, datasets: Sequence[Dataset]) -> dict[str, Any]:
    """What the models trained on both make of bands and sensors, by sensor and seed."""
    parts = settings.workdir / "parts"
    sensors = [s for name in (settings.other, settings.test) for s in settings.family(name)]
    probes = take_probes(datasets, sensors, "test")
    own = {sensor.name for sensor in settings.family(settings.test)}
    models = [_see(run.workdir) for run in plan.ways[BOTH]]

    def of_each(name: str, probes: Sequence[Probe], one: Callable[[See, Probe], Any]) -> Any:
        return kept(parts / f"{name}.json", lambda: each_probe(name, models, probes, one))

    return {
        "bands": of_each("bands", probes, lambda see, p: measure_bands(see, p.sensor, p.batches)),
        "numbers": of_each("numbers", probes, lambda see, p: measure_numbers(see, p.batches)),
        "slides": of_each(
            "slides",
            [probe for probe in probes if probe.sensor.name in own],
            lambda see, p: measure_slides(see, p.sensor, p.batches),
        ),
        "embedding": kept(
            parts / "embedding.json", lambda: _embedding(plan.ways[BOTH][0], datasets)
        ),
        "left_out": kept(parts / "left_out.json", lambda: _left_out(models, plan, probes)),
        "probed": {p.sensor.name: p.dataset for p in probes},
        "twins": {p.sensor.name: [sensor.name for sensor in p.twins] for p in probes},
    }


def each_probe(
    name: str, models: Sequence[See], probes: Sequence[Probe], one: Callable[[See, Probe], Any]
) -> dict[str, list[Any]]:
    """A measurement of each probe by each model: by the sensor's name, one a model."""
    measured: dict[str, list[Any]] = {probe.sensor.name: [] for probe in probes}
    with progress() as bars:
        work = [(probe, see) for probe in probes for see in models]
        for probe, see in bars.track(work, description=f"measuring {name}"):
            measured[probe.sensor.name].append(one(see, probe))
    return measured


def _embedding(run: TrainConfig, datasets: Sequence[Dataset]) -> dict[str, Any]:
    trained = {dataset.sensor for dataset in datasets if len(dataset.records("train"))}
    return measure_embedding(load_model(run.workdir), trained)


def _left_out(models: Sequence[See], plan: Plan, probes: Sequence[Probe]) -> dict[str, Any]:
    return {
        probe.sensor.name: measure_left_out(
            models, _see(plan.left_out[probe.sensor.name].workdir), probe.batches
        )
        for probe in probes
        if probe.sensor.name in plan.left_out
    }
