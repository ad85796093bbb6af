"""The optical tables of the simulator: `tables.npz`, made by `make_tables.py`.

Axes: A atmospheres by water column, Z heights, M air masses, W wavelengths.
"""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

PATH: Final = Path(__file__).with_name("tables.npz")

# Fine where gas bands and spectral responses are narrow, coarse where there is no sunlight.
WAVELENGTH_NM: Final = np.concatenate(
    [
        np.arange(350, 1000, 2.5),
        np.arange(1000, 2500, 5),
        np.arange(2500, 4500, 20),
        np.arange(4500, 14_501, 50),
    ]
).astype(np.float32)

HEIGHTS_KM: Final = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0)
AIR_MASSES: Final = (1.0, 2.2, 5.0)

# Precipitable water from sea level up in LOWTRAN's subarctic winter, midlatitude winter, US
# standard, subarctic summer, midlatitude summer and tropical atmospheres, in cm, and the ozone of
# the US standard one (Anderson et al. 1986, AFGL-TR-86-0110).
WATER_COLUMNS_CM: Final = (0.42, 0.85, 1.42, 2.08, 2.92, 4.11)
US_OZONE_DU: Final = 344.0


@cache
def tables() -> dict[str, np.ndarray]:
    """All tables by name, as float32 arrays.

    `water_vapour` [A, Z, M, W], `ozone` [M, W], `other_gases` [Z, M, W]: ln(-ln T) of the
    transmittance from a height to space; `liquid_optics`, `ice_optics` [3, R, W]: extinction over
    that at 550 nm, co-albedo, asymmetry, for effective radii `droplets_um`, `crystals_um` [R];
    `water_index`, `ice_index` [2, W]: n and k; `solar` [W]: W m-2 nm-1; `material_*` [n, W]:
    reflectance spectra; `response_*` [bands, W]: measured spectral responses.
    """
    with np.load(PATH) as file:
        found = {name: file[name].astype(np.float32) for name in file.files}
    nm = found.pop("material_nm")
    for name in [name for name in found if name.startswith("material_")]:
        rows = [np.interp(WAVELENGTH_NM, nm, row) for row in found[name]]
        found[name] = np.array(rows, np.float32)
    return found
