"""The TFDS builder of simulated clouds over real ground."""

import tensorflow_datasets as tfds

from data_prep.simulated import simulated_dataset_builder


class Builder(simulated_dataset_builder.Builder):
    """Writes the records of a `SimulatedConfig`; its metadata names the sensor."""

    VERSION = tfds.core.Version("1.0.0")
