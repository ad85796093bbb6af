"""The clear atmosphere: gases, molecules, aerosol and the temperature of the air.

Axes: Z the heights of the tables, S their wavelengths.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.simulated.tables import (
    AIR_MASSES,
    US_OZONE_DU,
    WATER_COLUMNS_CM,
    WAVELENGTH_NM,
    tables,
)
from permjax.augmentation import rayleigh_optical_thickness

Spectrum = NDArray[np.float64]

SCALE_HEIGHT_KM: Final = 8.0

# Angstrom exponent, single-scattering albedo at 550 nm and asymmetry of the aerosol types of
# OPAC (Hess, Koepke and Schult 1998, table 4), rounded; smoke from Dubovik et al. 2002, table 1.
AEROSOLS: Final = {
    "continental": (1.3, 0.93, 0.66),
    "maritime": (0.3, 0.99, 0.74),
    "dust": (0.2, 0.92, 0.72),
    "smoke": (1.8, 0.88, 0.60),
}


@dataclass(frozen=True)
class Air:
    """The state of the atmosphere over a scene.

    Args:
        water_cm: precipitable water from sea level up, cm.
        ozone_du: ozone column, Dobson units.
        aerosol: key of AEROSOLS.
        aerosol_depth: aerosol optical thickness at 550 nm from sea level up.
        temperature_k: of the air at sea level.
        ground_km: height of the ground.
        inversion_k: how much the air warms within the first few hundred metres above the ground,
            as it does over snow; low cloud is then warmer than the ground.
        tropopause_km: above it the air is isothermal.
    """

    water_cm: float
    ozone_du: float
    aerosol: str
    aerosol_depth: float
    temperature_k: float
    ground_km: float
    inversion_k: float
    tropopause_km: float

    def temperature(self, height_km: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Air temperature, K, falling by 6.5 K/km (ICAO standard) up to the tropopause."""
        height = np.asarray(height_km, np.float64)
        above = np.maximum(height - self.ground_km, 0)
        warmer = self.inversion_k * -np.expm1(-above / 0.3)
        return self.temperature_k + warmer - 6.5 * np.minimum(height, self.tropopause_km)

    def gas_transmittance(self, air_mass: float) -> Spectrum:
        """Transmittance of all gases [Z, S] from each height to space along an air mass.

        Between the tables, ln(-ln T) is linear in the logarithms of column and of air mass: exact
        for weak lines, where it grows as the column, and for strong ones, as its root.
        """
        water = _between(tables()["water_vapour"], np.log(WATER_COLUMNS_CM), np.log(self.water_cm))
        masses = np.log(AIR_MASSES)
        log_depths = [_between_masses(water, masses, air_mass)]
        log_depths.append(_between_masses(tables()["other_gases"], masses, air_mass))
        ozone = _between(tables()["ozone"], masses, np.log(air_mass * self.ozone_du / US_OZONE_DU))
        depth = sum(np.exp(log_depth) for log_depth in log_depths) + np.exp(ozone)
        return np.exp(-depth)


def _between_masses(table: NDArray, masses: NDArray, air_mass: float) -> NDArray[np.float64]:
    return _between(np.moveaxis(table, -2, 0), masses, np.log(air_mass))


def _between(table: NDArray, nodes: NDArray, at: float) -> NDArray[np.float64]:
    """The table [n, ...] at a place between (or beyond) its nodes, linearly."""
    right = int(np.clip(np.searchsorted(nodes, at), 1, len(nodes) - 1))
    part = (at - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
    return table[right - 1] * (1.0 - part) + table[right] * part


def rayleigh_depth(pressure: float) -> Spectrum:
    """Rayleigh optical thickness [S] at a pressure in atmospheres, to which it is proportional."""
    return pressure * rayleigh_optical_thickness(WAVELENGTH_NM.astype(np.float64))


def pressure(height_km: float) -> float:
    """Pressure in atmospheres at a height, by the barometric formula."""
    return float(np.exp(-height_km / SCALE_HEIGHT_KM))


def rayleigh_reflectance(depth: Spectrum, sun: float, view: float, azimuth: float) -> Spectrum:
    """Reflectance of a molecular layer, with multiple scattering.

    Vermote and Tanre 1992, J. Quant. Spectrosc. Radiat. Transfer 47 (the fit that 6S calls
    CHAND), depolarisation .0279.

    Args:
        depth: optical thickness.
        sun: cosine of the sun's zenith angle.
        view: cosine of the view's.
        azimuth: between sun and view, radians, 0 = backscattering.
    """
    anisotropy = (1 - 0.0279 / (2 - 0.0279)) / (1 + 2 * 0.0279 / (2 - 0.0279))
    sines = (1 - sun**2) * (1 - view**2)
    phases = (
        1 + (3 * sun**2 - 1) * (3 * view**2 - 1) * anisotropy / 8,
        -sun * view * np.sqrt(sines) * anisotropy * 0.75,
        sines * anisotropy * 0.1875,
    )
    single = (1 - np.exp(-depth * (1 / sun + 1 / view))) / (4 * (sun + view))
    twice = (1 - np.exp(-depth / sun)) * (1 - np.exp(-depth / view))
    log = np.log(np.maximum(depth, 1e-9))
    total, product, squares = sun + view, sun * view, sun**2 + view**2
    fit0 = 0.33243832 + 0.16285370 * total - 0.30924818 * product - 0.10324388 * squares
    fit0 = fit0 + 0.11493334 * product**2
    slope = -6.777104e-02 + 1.577425e-03 * total - 1.240906e-02 * product
    fit0 = fit0 + log * (slope + 3.241678e-02 * squares - 3.503695e-02 * product**2)
    fits = (fit0, 0.19666292 - 5.439061e-02 * log, 0.14545937 - 2.910845e-02 * log)
    turn = np.pi - azimuth
    orders = [
        (1 if m == 0 else 2) * np.cos(m * turn) * phase * (single + twice * fit)
        for m, (phase, fit) in enumerate(zip(phases, fits, strict=True))
    ]
    return np.sum(orders, 0)
