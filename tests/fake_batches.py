"""Small batches of fake records, and models of a few lines to see them with."""

import numpy as np

from permjax import classes
from permjax.classes import CloudClass
from permjax.data import Batch
from permjax.sensors import SENSORS
from tests.fake_records import fake_patch

SENSOR = "sentinel2a_msi"


def batch_of(*seeds: int, size: int = 32, sensor: str = SENSOR) -> Batch:
    patches = [fake_patch(sensor, seed, size) for seed in seeds]
    bands = SENSORS[sensor].describe()
    B = len(seeds)
    return Batch(
        np.stack([patch.image for patch in patches]),
        type(bands)(*(np.stack([part] * B) for part in bands)),
        np.ones((B, len(bands.kind)), bool),
        np.stack([patch.label for patch in patches]),
        np.array([patch.scene_id for patch in patches]),
    )


def one_hot(cloudy: np.ndarray) -> np.ndarray:
    codes = np.where(cloudy, CloudClass.THICK_CLOUD, CloudClass.CLEAR)
    return np.eye(classes.CLASS_COUNT, dtype=np.float32)[codes]


def first_band(batch: Batch) -> np.ndarray:
    """Cloud where the first band is bright; sees nothing, so clear, where it is not there."""
    return one_hot((batch.image[..., 0] > 0.4) & batch.valid[:, :1, None])


def all_clear(batch: Batch) -> np.ndarray:
    return one_hot(np.zeros(batch.label.shape, bool))
