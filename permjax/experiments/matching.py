"""Bands and sensors that see nearly the same, by their described wavelengths.

Axes: N and M bands.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from permjax.bands import BandDescription, Kind
from permjax.sensors import Sensor

LEAST_OVERLAP: Final = 1 / 3
"""Of what two bands span together, the part that both see, from which they count as the same band.

So Sentinel-2's B4 (31 nm wide) is the red band of every Landsat with 60 to 70 nm, and its narrow
B5 is not the panchromatic band of 381 nm in which it lies.
"""


def same_band(a: BandDescription, b: BandDescription) -> NDArray[np.bool_]:
    """Which bands of `a` and `b` see nearly the same: `[..., N]` and `[M]` to `[..., N, M]`.

    Reflectance is compared with reflectance, whether of the surface or not, and temperature with
    temperature. Symmetric: exchanging the two transposes the answer.
    """
    low_a, high_a = (edge[..., None] for edge in _edges(a))
    low_b, high_b = _edges(b)
    both = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
    together = np.maximum(high_a, high_b) - np.minimum(low_a, low_b)
    thermal = Kind.BRIGHTNESS_TEMPERATURE
    same_kind = (np.asarray(a.kind) == thermal)[..., None] == (np.asarray(b.kind) == thermal)
    return same_kind & (both >= LEAST_OVERLAP * together)


def shared_bands(bands: BandDescription, others: Iterable[BandDescription]) -> NDArray[np.bool_]:
    """Which bands `[..., N]` are among those of at least one other `[M]` too: bool `[..., N]`."""
    found = [same_band(bands, other).any(axis=-1) for other in others]
    return np.any(found, axis=0)


def instruments(sensors: Sequence[Sensor]) -> list[list[Sensor]]:
    """Sensors in groups of twins, such as Sentinel-2A, B and C, each in the order given.

    Twins have the same number of bands, and each band of one is a band of the other. A model that
    has seen one of them has as good as seen all.
    """
    groups: list[list[Sensor]] = []
    for sensor in sensors:
        for group in groups:
            same = same_band(sensor.describe(), group[0].describe())
            if same.shape[0] == same.shape[1] and same.any(axis=0).all() and same.any(axis=1).all():
                group.append(sensor)
                break
        else:
            groups.append([sensor])
    return groups


def _edges(bands: BandDescription) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Lower and upper edges of bands at half maximum, nm."""
    half = np.asarray(bands.bandwidth_nm) / 2
    return np.asarray(bands.wavelength_nm) - half, np.asarray(bands.wavelength_nm) + half
