"""What each form of the first layer is worth: pairs of bands, sums over bands, both, fixed bands.

`python -m benchmarks.first_layer [--dir=local/pretrained]` after `python -m recipes.pretrained
prepare`. Every form trains from nothing on the same batches for as many steps, from several seeds;
no image labelled by hand is among them. It is then tested on simulated scenes held out and on
all images labelled by hand. Runs that are done stay in `DIR/first_layer.json`.

`fixed bands` is the sum over bands told no more of a band than which of sixteen fixed bands it is
nearest to: the model that has a kernel for each of these, and is told which of them are there.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import jax
import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy import predict, read_truths
from permjax.bands import BandDescription, Kind
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


def main() -> None:
    """Train what is missing, test, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("local/pretrained"), help="the recipe's")
    parser.add_argument("--samples", type=Path, default=Path("../shared/data"))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()
    settings = COMMON | BASE | {"patch_size": 64, "batch_size": 16, "learning_rate": 2e-3}
    config = TrainConfig(**settings | {"sensors": NAMED, "steps": options.steps})
    datasets = find_datasets(options.dir / "records", select_sensors(NAMED), "all")
    file = options.dir / "first_layer.json"
    figures: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.exists() else {}
    for seed in range(options.seeds):
        for form, model in FORMS.items():
            key = f"{form}, seed {seed}, {options.steps} steps"
            if key not in figures:
                own = replace(config, seed=seed, model=model)
                figures[key] = measure(form, own, datasets, options.samples)
                file.write_text(json.dumps(figures, indent=2) + "\n")
    report(figures, options.steps, options.seeds)


def measure(
    form: str, config: TrainConfig, datasets: Sequence[Dataset], samples: Path
) -> dict[str, float]:
    """The figures of one training."""
    described = to_fixed_bands if form == "fixed bands" else _as_described
    model, seconds = trained(form, config, datasets, described)
    return {
        "simulated cloud IoU": simulated_iou(model, datasets, described),
        **real_iou(model, samples, described),
        "ms a step": 1000 * seconds,
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
    return {**result, "mean of the three": float(np.mean(list(result.values())))}


def report(figures: Mapping[str, Mapping[str, float]], steps: int, seeds: int) -> None:
    """Prints mean and standard deviation over seeds, a row a form."""
    names = list(next(iter(figures.values())))
    device = jax.devices()[0].device_kind
    title = f"{steps} steps of 16 squares of 64 x 64, {seeds} seeds, {device}: mean (deviation)"
    table = Table("first layer", *names, title=title)
    for form in FORMS:
        runs = [figures[f"{form}, seed {seed}, {steps} steps"] for seed in range(seeds)]
        row = []
        for name in names:
            values = [run[name] for run in runs]
            digits = 0 if name.startswith("ms") else 3
            row.append(f"{np.mean(values):.{digits}f} ({np.std(values):.{digits}f})")
        table.add_row(form, *row)
    Console(width=max(Console().width, 120)).print(table)


if __name__ == "__main__":
    main()
