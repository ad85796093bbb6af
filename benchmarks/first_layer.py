"""What each form of the first layer is worth: pairs of bands, sums over bands, both, fixed bands.

`python -m benchmarks.first_layer --samples=SAMPLES [--dir=local/pretrained]` after `python -m
recipes.pretrained prepare`. Every form trains from nothing on the same batches for as many steps,
from several seeds; no image labelled by hand is among them. It is then tested on simulated scenes
held out and on all images labelled by hand. Runs that are done stay in `DIR/first_layer.json`, with
the settings and records that all runs in it share.

`fixed bands` is the sum over bands told no more of a band than which of sixteen fixed bands it is
nearest to: the model that has a kernel for each of these, and is told which of them are there.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy import predict, read_truths
from permjax.bands import BandDescription, Kind
from permjax.cli import report_errors
from permjax.config import TrainConfig
from permjax.data import Batch, Dataset, find_datasets, training_batches
from permjax.evaluation import evaluate, predictor
from permjax.inference import Masker
from permjax.logs import progress
from permjax.memory import keep_freed_memory
from permjax.metrics import MaskCounts, count_mask
from permjax.models import CloudMasker, ModelConfig
from permjax.sensors import select_sensors
from permjax.training import make_mesh, start
from recipes.pretrained import BASE, COMMON
from recipes.samples import LABELLED, NAMED

FORMS: Final[Mapping[str, ModelConfig]] = {
    "pairs": ModelConfig(sums=False),
    "sums": ModelConfig(pairs=False),
    "both": ModelConfig(),
    "fixed bands": ModelConfig(pairs=False),
}
# Bands of Sentinel-2 and Landsat: centre and width, nm.
FIXED_NM: Final = (
    (443, 20), (490, 65), (560, 35), (665, 30), (705, 15), (740, 15), (783, 20), (842, 115),
    (865, 20), (945, 20), (1374, 30), (1610, 90), (2200, 180), (3700, 300), (10_900, 600),
    (12_000, 1000),
)  # fmt: skip

SIMULATED_IOU, MS, REAL_MEAN = "cloud IoU, mean of sensors", "ms a step", "mean of the three"
SIMULATED: Final = (SIMULATED_IOU, MS)
REAL: Final = (*LABELLED, REAL_MEAN)
"""The figures of a run: of simulated scenes, and the cloud IoU of images labelled by hand."""


@report_errors
def main() -> None:
    """Train what is missing, test, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("local/pretrained"), help="the recipe's")
    parser.add_argument("--samples", type=Path, required=True, help="the folder of samples")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()
    settings = COMMON | BASE | {"patch_size": 32, "batch_size": 16, "learning_rate": 2e-3}
    config = TrainConfig(**settings | {"sensors": NAMED, "steps": options.steps})
    datasets = find_datasets(options.dir / "records", select_sensors(NAMED), "all")
    file = options.dir / "first_layer.json"
    shared = shared_settings(config, datasets)
    runs = read_runs(file, shared)
    for seed in range(options.seeds):
        for form, model in FORMS.items():
            if run_name(form, seed) not in runs:
                own = replace(config, seed=seed, model=model)
                runs[run_name(form, seed)] = measure(form, own, datasets, options.samples)
                text = json.dumps({"settings": shared, "runs": runs}, indent=2)
                file.write_text(text + "\n")
    report(runs, config, options.seeds)


Runs = dict[str, dict[str, float]]
"""The figures of each run, by its name."""


def run_name(form: str, seed: int) -> str:
    """What a run is called in the file."""
    return f"{form}, seed {seed}"


def shared_settings(config: TrainConfig, datasets: Sequence[Dataset]) -> dict[str, Any]:
    """What the figures follow from beside form and seed, as JSON gives it back."""
    names = ("steps", "patch_size", "batch_size", "learning_rate", "shares", "band_slots")
    settings = {name: getattr(config, name) for name in names}
    records = {d.name: [len(d.records(split)) for split in ("train", "test")] for d in datasets}
    return json.loads(json.dumps({**settings, "records": records}))


def read_runs(file: Path, settings: Mapping[str, Any]) -> Runs:
    """The runs of a file that are done; none if it is not there.

    Raises:
        ValueError: they were made with other settings or records.
    """
    stored = json.loads(file.read_text()) if file.exists() else {"settings": settings, "runs": {}}
    if stored.get("settings") != settings:
        raise ValueError(f"{file} holds runs of other settings or records: move it away first")
    return stored["runs"]


def measure(
    form: str, config: TrainConfig, datasets: Sequence[Dataset], samples: Path
) -> dict[str, float]:
    """The figures of one training."""
    described = to_fixed_bands if form == "fixed bands" else _as_described
    model, seconds = trained(form, config, datasets, described)
    return {
        SIMULATED_IOU: simulated_iou(model, datasets, described),
        **real_iou(model, samples, described),
        MS: 1000 * seconds,
    }


Describe = Callable[[BandDescription], BandDescription]


def _as_described(bands: BandDescription) -> BandDescription:
    return bands


def to_fixed_bands(bands: BandDescription) -> BandDescription:
    """Descriptions of the fixed bands whose centres are nearest by their ratio, of any shape."""
    centres = np.array([centre for centre, _ in FIXED_NM], np.float32)
    widths = np.array([width for _, width in FIXED_NM], np.float32)
    ratios = np.log(np.maximum(bands.wavelength_nm, 1))[..., None] - np.log(centres)
    nearest = np.abs(ratios).argmin(-1)
    # A fixed band knows no level either.
    kind = np.where(bands.kind == Kind.SURFACE_REFLECTANCE, Kind.REFLECTANCE, bands.kind)
    return BandDescription(centres[nearest], widths[nearest], kind.astype(np.int32))


def trained(
    form: str, config: TrainConfig, datasets: Sequence[Dataset], described: Describe
) -> tuple[CloudMasker, float]:
    """A model after `config.steps`, and the median seconds of a step."""
    model = CloudMasker(config.model, rngs=nnx.Rngs(config.seed))
    step, state = start(model, config, make_mesh(config.batch_size))
    times = []
    batches = iter(training_batches(datasets, config))
    with progress() as bars:
        bar = bars.add_task(f"{form}, seed {config.seed}", total=config.steps)
        for _ in range(config.steps):
            batch = next(batches)
            begun = time.perf_counter()
            batch = batch._replace(bands=described(batch.bands), scene_id=())
            state, figures = step(state, batch)
            figures.loss.block_until_ready()
            times.append(time.perf_counter() - begun)
            bars.advance(bar)
    return nnx.merge(nnx.graphdef(model), state.params), float(np.median(times))


def simulated_iou(model: CloudMasker, datasets: Sequence[Dataset], described: Describe) -> float:
    """Mean cloud IoU over sensors, of simulated scenes held out."""
    answer = predictor(model)

    def of_batch(batch: Batch) -> np.ndarray:
        return answer(batch._replace(bands=described(batch.bands)))

    tested = [d for d in datasets if d.builder == "simulated" and len(d.records("test"))]
    return float(np.mean([evaluate(of_batch, d, "test").counts.cloud.iou for d in tested]))


def real_iou(model: CloudMasker, samples: Path, described: Describe) -> dict[str, float]:
    """Cloud IoU of each set of images labelled by hand, and their mean."""
    masker, result = Masker(model), {}
    for folder in LABELLED:
        counts = MaskCounts()
        for truth in read_truths(samples / folder):
            image = truth.image._replace(bands=described(truth.image.bands))
            counts += count_mask(predict(masker, image).classes, truth.label)
        result[folder] = counts.cloud.iou
    return {**result, REAL_MEAN: float(np.mean(list(result.values())))}


def report(runs: Mapping[str, Mapping[str, float]], config: TrainConfig, seeds: int) -> None:
    """Prints the figures over seeds: of simulated scenes, then of images labelled by hand."""
    squares = f"{config.batch_size} squares of {config.patch_size} x {config.patch_size}"
    made = f"{config.steps} steps of {squares}, {seeds} seeds, {jax.devices()[0].device_kind}"
    console = Console(width=max(Console().width, 120))
    for of, names in (("simulated", SIMULATED), ("real", REAL)):
        table = Table("first layer", *names, title=f"{of} scenes, {made}: mean (deviation)")
        for form in FORMS:
            own = [runs[run_name(form, seed)] for seed in range(seeds)]
            table.add_row(form, *(over_seeds([run[name] for run in own], name) for name in names))
        console.print(table)


def over_seeds(values: Sequence[float], name: str) -> str:
    """Mean of a figure and, with several seeds, its standard deviation as a sample's."""
    digits = 0 if name == MS else 3
    deviation = f" ({np.std(values, ddof=1):.{digits}f})" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"


if __name__ == "__main__":
    main()
