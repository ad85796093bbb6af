"""The TFDS builder of 38-Cloud and 95-Cloud."""

import tensorflow_datasets as tfds

from data_prep.records import RecordsBuilder


class Builder(RecordsBuilder):
    """38-Cloud and 95-Cloud, as `python -m data_prep.build cloud38` writes them."""

    VERSION = tfds.core.Version("1.0.0")
