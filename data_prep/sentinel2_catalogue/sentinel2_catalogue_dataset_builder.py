"""The TFDS builder of the Sentinel-2 Cloud Mask Catalogue."""

import tensorflow_datasets as tfds

from data_prep.records import RecordsBuilder


class Builder(RecordsBuilder):
    """The catalogue, as `python -m data_prep.build sentinel2_catalogue` writes it."""

    VERSION = tfds.core.Version("1.0.0")
