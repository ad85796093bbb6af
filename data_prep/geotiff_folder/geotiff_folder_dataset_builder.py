"""The TFDS builder of a folder of labelled GeoTIFFs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from numpy.typing import NDArray

from data_prep.geotiff_folder.images import LabelledImage, patches
from data_prep.patches import features, record

Labelled = list[tuple[LabelledImage, NDArray[np.uint8]]]


@dataclass(eq=False, kw_only=True)
class FolderConfig(tfds.core.BuilderConfig):
    """One data set of a folder: images of one sensor with the same bands.

    Args:
        sensor: its name.
        images: of each split, with the label bits uint8 [256] of every code.
        patch_size: side of a patch in pixels.
        advance: called after each patch.
    """

    sensor: str
    images: Mapping[str, Labelled] = field(repr=False)
    patch_size: int
    advance: Callable[[], object]


class Builder(tfds.core.GeneratorBasedBuilder):
    """Packs the images of a `FolderConfig`; its metadata names the sensor."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features(),
            metadata=tfds.core.MetadataDict(sensor=self._config.sensor),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        del dl_manager  # Nothing is fetched.
        images = self._config.images
        return {split: self._generate_examples(members) for split, members in images.items()}

    def _generate_examples(self, images: Labelled) -> Iterator[tuple[str, dict[str, Any]]]:
        config = self._config
        for image, label_bits in images:
            for name, patch in patches(image, label_bits, config.patch_size):
                yield name, record(patch)
                config.advance()

    @property
    def _config(self) -> FolderConfig:
        if not isinstance(self.builder_config, FolderConfig):
            raise TypeError("geotiff_folder is built by python -m data_prep.build geotiff_folder")
        return self.builder_config
