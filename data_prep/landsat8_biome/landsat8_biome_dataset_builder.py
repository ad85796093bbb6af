"""The TFDS builder of Landsat 8 Biome."""

import tensorflow_datasets as tfds

from data_prep.records import RecordsBuilder


class Builder(RecordsBuilder):
    """Landsat 8 Biome, as `python -m data_prep.build landsat8_biome` writes it."""

    VERSION = tfds.core.Version("1.0.0")
