"""Prepared records to batches: finding them, reading them, mixing the sensors.

Axes: B batch, H height, W width, N bands.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import grain
import jax
import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError

from permjax import augmentation
from permjax.bands import BandDescription
from permjax.config import TrainConfig, read_shares
from permjax.radiometry import dequantise
from permjax.sensors import Sensor

Split = Literal["train", "validation", "test"]


class Batch(NamedTuple):
    """Examples side by side; images with fewer bands are filled up with bands that are not valid.

    Attributes:
        image: float32 `[B, H, W, N]`, NaN = no data.
        bands: descriptions with arrays `[B, N]`.
        valid: bool `[B, N]`.
        label: uint8 bits `[B, H, W]`.
        scene_id: the scene of each example, `[B]` strings.
    """

    image: np.ndarray
    bands: BandDescription
    valid: np.ndarray
    label: np.ndarray
    scene_id: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """One prepared dataset: the records of one sensor in one directory."""

    path: Path
    builder: str
    sensor: str

    @property
    def name(self) -> str:
        """`simulated/landsat8_oli_tirs`: builder and configuration."""
        return f"{self.builder}/{self.path.parent.name}"

    def records(self, split: Split) -> Sequence[dict[str, Any]]:
        """Random access to the records of a split; empty if it has none.

        Raises:
            ValueError: the dataset is damaged.
        """
        with _damage_told(self.path):
            builder = tfds.builder_from_directory(self.path)
            if split not in builder.info.splits or not builder.info.splits[split].num_examples:
                return []
            return cast(Any, builder).as_data_source(split)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ParseError, ValueError) as error:  # Of array_record, protobuf and json.
        raise ValueError(f"{path}: is damaged ({error}): remove it and build it again") from None


def find_datasets(
    data_dir: Path, sensors: Sequence[Sensor], data: Literal["simulated", "real", "all"]
) -> list[Dataset]:
    """The prepared datasets below `data_dir` that hold the sensors, in the order of their paths.

    Raises:
        FileNotFoundError: if there are none; the message tells what is there.
        ValueError: one that is there, of whatever sensor, is damaged.
    """
    found = []
    for info in sorted(data_dir.glob("*/*/*/dataset_info.json")):
        with _damage_told(info.parent):
            metadata = tfds.builder_from_directory(info.parent).info.metadata or {}
        sensor = metadata.get("sensor", "")
        found.append(Dataset(info.parent, info.parts[-4], sensor))
    names = {sensor.name for sensor in sensors}
    wanted = [
        dataset
        for dataset in found
        if dataset.sensor in names
        and (data == "all" or (dataset.builder == "simulated") == (data == "simulated"))
    ]
    if not wanted:
        there = ", ".join(dataset.name for dataset in found) or "none"
        raise FileNotFoundError(
            f"no {data} records of {', '.join(sorted(names))} in {data_dir} (prepared there: "
            f"{there}); prepare some with python -m data_prep.build"
        )
    return wanted


def find_simulated(data_dir: Path, sensors: Sequence[Sensor]) -> list[Dataset]:
    """The simulated datasets below `data_dir` that hold the sensors; none if there are none."""
    try:
        return find_datasets(data_dir, sensors, "simulated")
    except FileNotFoundError:
        return []


def describe(dataset: Dataset, split: Split) -> BandDescription:
    """The bands `[N]` that all records of a dataset have; the split must not be empty."""
    first = dataset.records(split)[0]
    return BandDescription(*(np.asarray(first[trait]) for trait in BandDescription._fields))


def training_batches(datasets: Sequence[Dataset], config: TrainConfig) -> grain.IterDataset[Batch]:
    """Endless batches of augmented training examples of all datasets.

    `config.shares` divides the examples among groups of datasets; within one, datasets come as the
    roots of their numbers of records: a small one counts, and is not learnt by heart. Those whose
    share is 0 are left out.
    Every batch has one of `config.band_slots` as its number of bands, drawn for each batch, and
    each example its own random bands in them; so the step is compiled once for each entry, while
    one batch mixes sensors. The state of the iterator resumes with the identical next batch.

    Raises:
        FileNotFoundError: if no dataset has training records.
    """
    shares = training_shares(datasets, config)
    sources = [
        grain.MapDataset.source(dataset.records("train")).seed(config.seed + i).shuffle().repeat()
        for i, dataset in enumerate(datasets)
        if dataset in shares
    ]
    return (
        grain.MapDataset.mix(sources, list(shares.values()))
        .map_with_index(partial(_training_example, config=config))
        .batch(config.batch_size, drop_remainder=True)
        .to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=64))
    )


def training_shares(datasets: Sequence[Dataset], config: TrainConfig) -> dict[Dataset, float]:
    """The share of each dataset in the examples of a run, in their order, where it has one.

    Raises:
        FileNotFoundError: if no dataset has training records.
    """
    sizes = {dataset: len(dataset.records("train")) for dataset in datasets}
    some = {dataset: size for dataset, size in sizes.items() if size}
    if not some:
        named = ", ".join(dataset.name for dataset in datasets)
        raise FileNotFoundError(f"no training records in {named}: prepare more scenes")
    names = [dataset.name for dataset in some]
    shares = dataset_shares(names, list(some.values()), read_shares(config.shares))
    return {dataset: share for dataset, share in zip(some, shares, strict=True) if share}


def dataset_shares(
    names: Sequence[str], sizes: Sequence[int], shares: Mapping[str, float]
) -> list[float]:
    """The share of each dataset in the examples; they add up to 1.

    Args:
        names: of the datasets.
        sizes: their numbers of records.
        shares: of groups, by the beginning of their names; those that are not there count nothing.
            What they leave of 1 is for datasets of no group.
    """
    groups = [max(filter(name.startswith, shares), key=len, default="") for name in names]
    totals = {g: sum(math.sqrt(n) for n, k in zip(sizes, groups, strict=True) if k == g)
              for g in groups}  # fmt: skip
    left = 1 - sum(shares.values())
    left = left if left > 1e-9 else 0.0  # 0.7 + 0.2 + 0.1 is less than 1 in floating point.
    parts = {g: shares.get(g, left) for g in totals}
    if not (whole := sum(parts.values())):
        parts, whole = dict.fromkeys(parts, 1.0), len(parts)
    return [
        parts[g] / whole * math.sqrt(size) / totals[g]
        for size, g in zip(sizes, groups, strict=True)
    ]


def _training_example(index: int, record: dict[str, Any], config: TrainConfig) -> Batch:
    """One augmented example; all that is random follows from the seed and the index."""
    slots_rng = np.random.default_rng([config.seed, 0, index // config.batch_size])
    slots = int(slots_rng.choice(config.band_slots))
    rng = np.random.default_rng([config.seed, 1, index])
    chosen = augmentation.random_bands(record["wavelength_nm"], record["kind"], slots, rng)
    size = config.patch_size
    coarse = rng.random() < config.coarse_share and min(record["label"].shape) >= 2 * size
    # Cut out first: the rest of a record need not become float32.
    dn, label = augmentation.random_crop(
        record["image"], record["label"], 2 * size if coarse else size, rng
    )
    image, bands = _physical(record | {"image": dn}, chosen)
    if coarse:
        image, label = augmentation.halve(image, label)
    image, label = augmentation.random_turn(image, label, rng)
    image = augmentation.random_radiometry(image, bands, rng)
    bands = augmentation.random_description(bands, rng)
    if rng.random() < config.surface_share:
        sun_elevation_deg = float(record["sun_elevation_deg"])
        image, bands = augmentation.as_surface_reflectance(image, bands, sun_elevation_deg)
    return _fill(image, bands, label, record["scene_id"], slots)


def _physical(
    record: dict[str, Any], chosen: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, BandDescription]:
    """Image float32 `[H, W, N]` and description of the chosen bands of a record."""
    scale, offset = record["scale"][chosen], record["offset"][chosen]
    parts = (record[key][chosen] for key in BandDescription._fields)
    return dequantise(record["image"][..., chosen], scale, offset), BandDescription(*parts)


def _fill(
    image: np.ndarray, bands: BandDescription, label: np.ndarray, scene_id: bytes, slots: int
) -> Batch:
    """One example with its bands filled up to `slots`; a band without any data is not valid."""
    valid = np.asarray(np.isfinite(image).any(axis=(0, 1)))
    missing = slots - len(valid)
    return Batch(
        np.pad(image, ((0, 0), (0, 0), (0, missing))),
        BandDescription(*(np.pad(part, (0, missing)) for part in bands)),
        np.pad(valid, (0, missing)),
        np.ascontiguousarray(label),
        np.asarray(scene_id.decode()),
    )


def evaluation_batches(dataset: Dataset, split: Split, batch_size: int) -> Iterator[Batch]:
    """All records of a split once, in order, with all their bands and nothing random.

    The last batch is filled up with unlabelled copies of its last example, so that all batches
    have one shape.
    """
    records = dataset.records(split)
    for start in range(0, len(records), batch_size):
        examples = []
        for index in range(start, min(start + batch_size, len(records))):
            record = records[index]  # Decoded anew each time that it is asked for.
            image, bands = _physical(record)
            slots = len(bands.kind)
            examples.append(_fill(image, bands, record["label"], record["scene_id"], slots))
        filler = examples[-1]._replace(label=np.zeros_like(examples[-1].label))
        examples += [filler] * (batch_size - len(examples))
        yield jax.tree.map(lambda *parts: np.stack(parts), *examples)
