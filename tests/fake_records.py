"""Writes tiny prepared datasets: bright blobs that are cloud on dark ground, in the stored form."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_prep.patches import Patch, features, prepare, quiet_tfds, record
from permjax import classes
from permjax.bands import Kind
from permjax.sensors import SENSORS


def fake_patch(sensor: str, seed: int, size: int = 32) -> Patch:
    """Ground of reflectance 0.1 at 295 K, on half of it a cloud of 0.7 at 250 K, a little noise."""
    rng = np.random.default_rng(seed)
    bands = SENSORS[sensor].describe()
    thermal = bands.kind == Kind.BRIGHTNESS_TEMPERATURE
    cloudy = np.roll(np.arange(size) < size // 2, rng.integers(size))[:, None].repeat(size, 1)
    cloudy = cloudy if seed % 2 else cloudy.T
    values = np.where(cloudy[..., None], np.where(thermal, 250, 0.7), np.where(thermal, 295, 0.1))
    image = values * (1 + 0.02 * rng.standard_normal(values.shape))
    label = np.where(cloudy, classes.THICK_CLOUD, classes.CLEAR).astype(np.uint8)
    return Patch(image.astype(np.float32), label, bands, f"scene{seed}", sensor, 30.0, 45.0)


@dataclass(eq=False, kw_only=True)
class FakeConfig(tfds.core.BuilderConfig):
    """The patches of each split of one dataset."""

    patches: Mapping[str, Sequence[Patch]] = field(repr=False)


class Fake(tfds.core.GeneratorBasedBuilder):
    """A dataset of given patches."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features(), metadata=tfds.core.MetadataDict(sensor=self._config.name)
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, Any]]]:
        del dl_manager
        return {
            split: ((patch.scene_id, record(patch)) for patch in patches)
            for split, patches in self._config.patches.items()
        }

    def _generate_examples(self) -> Iterator[tuple[str, Any]]:  # The splits say it all.
        yield from ()

    @property
    def _config(self) -> FakeConfig:
        assert isinstance(self.builder_config, FakeConfig)
        return self.builder_config


def write_records(data_dir: Path, patches: Mapping[str, Sequence[Patch]]) -> None:
    """Write one dataset `fake/<sensor>` of the patches of each split, all of one sensor."""
    sensor = next(patch.sensor for split in patches.values() for patch in split)
    with quiet_tfds():
        prepare(Fake(data_dir=data_dir, config=FakeConfig(name=sensor, patches=patches)))


def write_fake_sensors(data_dir: Path, *sensors: str, train: int = 12, test: int = 3) -> None:
    """Datasets of several sensors with the same seeds: 0.. to train, 100.. to test."""
    for sensor in sensors:
        splits = {"train": range(train), "test": range(100, 100 + test)}
        write_records(
            data_dir, {s: [fake_patch(sensor, seed) for seed in n] for s, n in splits.items()}
        )
