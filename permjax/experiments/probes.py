"""The records that measurements share: all in a stream, or a few of each instrument."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from permjax.data import Batch, Dataset, Split, evaluation_batches
from permjax.experiments.matching import instruments
from permjax.logs import progress
from permjax.sensors import Sensor

BATCH_SIZE: Final = 16
PROBED: Final = 2
"""Batches of an instrument on which bands are taken away and slid: all would take long."""


class Probe(NamedTuple):
    """The first sensor of an instrument that has records, its twins, and some of its records."""

    sensor: Sensor
    twins: list[Sensor]
    batches: list[Batch]


def stream(
    datasets: Sequence[Dataset], split: Split, description: str
) -> Iterator[tuple[str, Batch]]:
    """Every batch of a split with the name of its dataset; shows progress under `description`."""
    with progress() as bars:
        for dataset in bars.track(datasets, description=description):
            for batch in evaluation_batches(dataset, split, BATCH_SIZE):
                yield dataset.name, batch


def take_probes(
    datasets: Sequence[Dataset], sensors: Sequence[Sensor], split: Split
) -> list[Probe]:
    """A probe of each instrument that has records in a split; of several datasets, the first."""
    first = {dataset.sensor: dataset for dataset in reversed(datasets) if dataset.records(split)}
    probes = []
    for sensor, *twins in instruments([s for s in sensors if s.name in first]):
        batches = evaluation_batches(first[sensor.name], split, BATCH_SIZE)
        probes.append(Probe(sensor, twins, list(islice(batches, PROBED))))
    return probes
