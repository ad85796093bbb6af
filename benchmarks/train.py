"""How many patches a second train, and whether reading and augmenting keep up with it.

`python benchmarks/train.py [WORKDIR]` with the work directory of a run; its settings and records
are used. Prints a row for each number of bands of a batch: the training step alone, its share that
is the forward pass, and the data pipeline alone, which should be at least three times as fast as
the step.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
from flax import nnx
from rich.console import Console
from rich.table import Table

from permjax.cli import report_errors
from permjax.config import TrainConfig, load_config
from permjax.data import Batch, Dataset, find_datasets, training_batches
from permjax.evaluation import predictor
from permjax.memory import keep_freed_memory
from permjax.models import CloudMasker
from permjax.sensors import select_sensors
from permjax.training import initial_model, make_mesh, start

REPEATS = 7


@report_errors
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workdir", type=Path, nargs="?", default=Path("runs/default"))
    config = load_config(parser.parse_args().workdir)
    keep_freed_memory()
    datasets = find_datasets(config.records_dir, select_sensors(config.sensors), config.data)
    title = f"patches of {config.patch_size} a second, {jax.devices()[0].device_kind}"
    table = Table("bands", "training step", "forward pass", "data", "data / step", title=title)
    for slots in config.band_slots:
        one = replace(config, band_slots=(slots,))
        batches = iter(training_batches(datasets, one))
        batch = next(batches)._replace(scene_id=())
        step, forward = step_rate(one, batch), forward_rate(one, batch)
        data = data_rate(one, datasets)
        rates = (f"{rate:.0f}" for rate in (step, forward, data))
        table.add_row(str(slots), *rates, f"{data / step:.1f} (limit 3)")
    Console().print(table)


def step_rate(config: TrainConfig, batch: Batch) -> float:
    """Patches a second of the training step."""
    step, state = start(initial_model(config), config, make_mesh(config.batch_size))

    def run() -> None:
        nonlocal state
        state, figures = step(state, batch)
        figures.loss.block_until_ready()

    return config.batch_size / median_seconds(run)


def forward_rate(config: TrainConfig, batch: Batch) -> float:
    """Patches a second of the compiled model alone."""
    predict = predictor(CloudMasker(config.model, rngs=nnx.Rngs(0)))
    return config.batch_size / median_seconds(lambda: predict(batch))


def data_rate(config: TrainConfig, datasets: list[Dataset]) -> float:
    """Patches a second of the pipeline: reading, augmenting, batching."""
    batches = iter(training_batches(datasets, config))
    next(batches)
    begin, count = time.perf_counter(), 40
    for _ in itertools.islice(batches, count):
        pass
    return count * config.batch_size / (time.perf_counter() - begin)


def median_seconds(run: Callable[[], object]) -> float:
    """Median time of a call, after one that compiles."""
    run()
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
