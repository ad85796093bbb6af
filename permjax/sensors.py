"""The bands of the optical sensors: the only place for band facts.

The table is `sensors.toml` beside this file; a user's own sensor is a TOML file of the same form.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np


class Kind(IntEnum):
    """What a band measures; the value is the code in records."""

    REFLECTANCE = 0  # top of atmosphere, unitless
    SURFACE_REFLECTANCE = 1  # unitless
    BRIGHTNESS_TEMPERATURE = 2  # kelvin


@dataclass(frozen=True)
class Band:
    """One spectral band: centre and full width at half maximum in nm, sampling distance in m."""

    name: str
    wavelength_nm: float
    bandwidth_nm: float
    kind: Kind
    gsd_m: float


@dataclass(frozen=True)
class Sensor:
    """An instrument: its key in `SENSORS`, its families, its bands and where the figures are from.

    `gsd_m` is the grid on which its scenes are masked by default.
    """

    name: str
    title: str
    families: tuple[str, ...]
    gsd_m: float
    source: str
    bands: tuple[Band, ...]


class BandDescription(NamedTuple):
    """Descriptions of N bands in the order of an image's last axis; a JAX pytree.

    Axes: `wavelength_nm` float32 [N], `bandwidth_nm` float32 [N], `kind` int32 [N] (`Kind`);
    a batch of them has a leading axis B on each.
    """

    wavelength_nm: np.ndarray
    bandwidth_nm: np.ndarray
    kind: np.ndarray
