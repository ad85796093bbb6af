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
    """The first sensor of an instrument that has records, its twins, and some of its records.

    `dataset` is the name of that which the records are of.
    """

    sensor: Sensor
    twins: list[Sensor]
    dataset: str
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
    """A probe of each instrument that has records in a split.

    Of several datasets of a sensor it is the one with the most bands, then with the most records.
    """

    def size(dataset: Dataset) -> tuple[int, int]:
        records = dataset.records(split)
        return len(records[0]["wavelength_nm"]), len(records)

    there = [dataset for dataset in reversed(datasets) if len(dataset.records(split))]
    largest = {dataset.sensor: dataset for dataset in sorted(there, key=size)}
    probes = []
    for sensor, *twins in instruments([s for s in sensors if s.name in largest]):
        dataset = largest[sensor.name]
        batches = evaluation_batches(dataset, split, BATCH_SIZE)
        probes.append(Probe(sensor, twins, dataset.name, list(islice(batches, PROBED))))
    return probes
