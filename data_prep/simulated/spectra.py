"""Reflectance spectra of the ground, measured or from optical constants, 350 nm to 14.5 um.

Axes: S wavelengths of the tables.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.simulated.tables import WAVELENGTH_NM, tables

Spectrum = NDArray[np.float32]

# Reflectance 1 - emissivity at 3.7, 8.6, 11 and 12 um: typical values of the ASTER spectral
# library 2.0 (Baldridge et al. 2009, Remote Sens. Environ. 113).
THERMAL_NM: Final = (3700.0, 8600.0, 11_000.0, 12_000.0)
THERMAL: Final = {
    "canopy": (0.03, 0.02, 0.015, 0.015),
    "soil": (0.15, 0.07, 0.035, 0.025),
    "sand": (0.25, 0.20, 0.05, 0.04),
    "straw": (0.12, 0.04, 0.03, 0.03),
    "char": (0.06, 0.04, 0.03, 0.03),
    "roof": (0.12, 0.08, 0.06, 0.06),
    "road": (0.08, 0.06, 0.04, 0.04),
    "water": (0.025, 0.015, 0.008, 0.015),
    "snow": (0.010, 0.010, 0.008, 0.015),
    "salt": (0.20, 0.06, 0.04, 0.04),
}

# Bright halite and gypsum crust: values read off the field spectra of playas in the USGS
# spectral library 7 (Kokaly et al. 2017) and of Salar de Uyuni; water bands included.
SALT_NM: Final = (350, 400, 500, 600, 800, 1000, 1300, 1420, 1500, 1700, 1900, 1960, 2150, 2450)
SALT: Final = (0.40, 0.46, 0.56, 0.62, 0.68, 0.69, 0.67, 0.55, 0.53, 0.58, 0.52, 0.33, 0.42, 0.31)


def measured(kind: str, rng: np.random.Generator, gain: float = 1.0) -> Spectrum:
    """A random measured spectrum of a kind (soil, sand, canopy, straw, char, roof, road)."""
    rows = tables()[f"material_{kind}"]
    return _with_thermal(rows[rng.integers(len(rows))] * np.float32(gain), kind)


def salt(gain: float = 1.0) -> Spectrum:
    """A salt crust."""
    return _with_thermal(np.interp(WAVELENGTH_NM, SALT_NM, SALT) * gain, "salt")


def snow(grain_m: float, soot: float = 0.0) -> Spectrum:
    """Albedo of deep snow, exp(-sqrt(13 gamma d)); large grains are bare ice.

    Kokhanovsky and Zege 2004, Appl. Opt. 43, eq. 34 with b = 13 and gamma = 4 pi k / lambda.

    Args:
        grain_m: diameter of the grains, 50 um for new snow, 1 mm for old, 1 cm for ice.
        soot: absorption added at all wavelengths by impurities, as k at 550 nm.
    """
    gamma = 4 * np.pi * (tables()["ice_index"][1] + soot) / (WAVELENGTH_NM * 1e-9)
    return _with_thermal(np.maximum(np.exp(-np.sqrt(13 * gamma * grain_m)), 0.01), "snow")


def water(
    chlorophyll: float, sediment: float, yellow: float, glint: float, bottom: float = 0.0
) -> Spectrum:
    """Reflectance of a water body, with sky and sun glint at its surface.

    Lee, Carder and Arnone 2002 (Appl. Opt. 41) from absorption and backscatter; pure water by
    Segelstein's index, its backscatter by Morel 1974; chlorophyll's absorption after Bricaud et
    al. 1995 as two Gaussians.

    Args:
        chlorophyll: mg m-3.
        sediment: suspended matter, g m-3.
        yellow: absorption of dissolved matter at 440 nm, m-1.
        glint: reflectance of sun glint and foam, flat.
        bottom: share of a bright sandy bottom that shows, in water without matter.
    """
    nm = WAVELENGTH_NM.astype(np.float64)
    pure = 4 * np.pi * tables()["water_index"][1].astype(np.float64) / (nm * 1e-9)
    pigment = 0.05 * np.exp(-(((nm - 440) / 45) ** 2)) + 0.022 * np.exp(-(((nm - 675) / 16) ** 2))
    absorption = pure + chlorophyll**0.65 * pigment + yellow * np.exp(-0.015 * (nm - 440))
    absorption += 0.03 * sediment * np.exp(-0.011 * (nm - 440))
    scatter = 0.00111 * (nm / 500) ** -4.32 + (0.002 * chlorophyll**0.6) * (550 / nm)
    scatter += 0.012 * sediment * (550 / nm) ** 0.5
    u = scatter / (absorption + scatter)
    below = (0.0895 + 0.1247 * u) * u
    below += bottom * 0.12 * np.exp(-absorption * 4)
    above = np.pi * 0.52 * below / (1 - 1.7 * below)
    return _with_thermal(above + glint, "water", keep=glint)


def wet(spectrum: Spectrum, film_m: float) -> Spectrum:
    """A soil or sand darkened by a film of water, most where water absorbs."""
    absorption = 4 * np.pi * tables()["water_index"][1] / (WAVELENGTH_NM * 1e-9)
    darker = spectrum * np.exp(-2 * absorption * film_m) * (1 - 0.4 * (film_m > 0))
    return np.where(WAVELENGTH_NM < 2500, darker, spectrum).astype(np.float32)


def _with_thermal(spectrum: NDArray[np.floating], kind: str, keep: float = 0.0) -> Spectrum:
    """The spectrum up to 2.45 um, 1 - emissivity from 3.7 um on, straight lines between."""
    nm = (2450.0, *THERMAL_NM)
    end = float(np.interp(2450, WAVELENGTH_NM, spectrum))
    tail = np.interp(WAVELENGTH_NM, nm, (end, *(value + keep for value in THERMAL[kind])))
    return np.clip(np.where(WAVELENGTH_NM < 2450, spectrum, tail), 0.0, 1.0).astype(np.float32)
