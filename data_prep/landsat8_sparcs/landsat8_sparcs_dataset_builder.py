"""The TFDS builder of Landsat 8 SPARCS."""

import tensorflow_datasets as tfds

from data_prep.records import RecordsBuilder


class Builder(RecordsBuilder):
    """Landsat 8 SPARCS, as `python -m data_prep.build landsat8_sparcs` writes it."""

    VERSION = tfds.core.Version("1.0.0")
