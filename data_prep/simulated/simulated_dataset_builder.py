"""The TFDS builder of simulated scenes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow_datasets as tfds

from data_prep.patches import features

Records = Iterable[tuple[int, dict[str, Any]]]
"""Scene seeds and records."""


@dataclass(eq=False, kw_only=True)
class SimulatedConfig(tfds.core.BuilderConfig):
    """One data set: the scenes of some seeds as one sensor sees them.

    Args:
        sensor: key of `permjax.sensors.SENSORS`, or name of another sensor.
        settings: all that the records follow from; kept in the metadata.
        splits: makes the records of each split.
    """

    sensor: str
    settings: Mapping[str, Any]
    splits: Mapping[str, Callable[[], Records]] = field(repr=False)


class Builder(tfds.core.GeneratorBasedBuilder):
    """Writes the records of a `SimulatedConfig`; its metadata names the sensor."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        config = self._config
        return self.dataset_info_from_configs(
            features=features(),
            metadata=tfds.core.MetadataDict(sensor=config.sensor, settings=dict(config.settings)),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing is fetched.
        splits = self._config.splits
        return {name: self._generate_examples(records) for name, records in splits.items()}

    def _generate_examples(
        self, records: Callable[[], Records]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from records()

    @property
    def _config(self) -> SimulatedConfig:
        if not isinstance(self.builder_config, SimulatedConfig):
            raise TypeError(f"{self.name} is built by python -m data_prep.build {self.name}")
        return self.builder_config
