"""The TFDS builder of Landsat 7 Irish."""

import tensorflow_datasets as tfds

from data_prep.records import RecordsBuilder


class Builder(RecordsBuilder):
    """Landsat 7 Irish, as `python -m data_prep.build landsat7_irish` writes it."""

    VERSION = tfds.core.Version("1.0.0")
