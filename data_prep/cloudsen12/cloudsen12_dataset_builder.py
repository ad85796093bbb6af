"""The TFDS builder of CloudSEN12."""

import tensorflow_datasets as tfds

from data_prep.records import RecordsBuilder


class Builder(RecordsBuilder):
    """CloudSEN12, as `python -m data_prep.build cloudsen12` writes it."""

    VERSION = tfds.core.Version("1.0.0")
