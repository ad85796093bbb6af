"""The TFDS builder of KappaSet."""

import tensorflow_datasets as tfds

from data_prep.records import RecordsBuilder


class Builder(RecordsBuilder):
    """KappaSet, as `python -m data_prep.build kappaset` writes it."""

    VERSION = tfds.core.Version("1.0.0")
