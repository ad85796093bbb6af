"""Digital numbers to reflectance and brightness temperature, and the stored form of both.

Formulas and constants are those of the Landsat 8-9 Collection 2 level 1 data format control book
and level 2 science product guide (USGS LSDS-1822 and LSDS-1619); the factors themselves are read
from each product.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from permjax.bands import Kind

NO_DATA_DN: Final = 65535
"""The stored digital number of a value that is not there."""

REFLECTANCE_STEP: Final = (1e-4, -0.2)
"""Scale and offset of stored reflectance: -0.2 to 6.35 in steps of 0.0001.

The step is that of Sentinel-2 products and a tenth of the noise of the best sensors; -0.2 is the
least surface reflectance that Landsat products can hold; sunlit cloud stays far below 6.
"""

KELVIN_STEP: Final = (1e-2, 0.0)
"""Scale and offset of stored brightness temperature: 0 to 655 K in steps of 0.01 K.

The best thermal bands resolve about 0.05 K, and the hottest fires saturate below 655 K.
"""


def linear(dn: NDArray, mult: float, add: float) -> NDArray[np.float32]:
    """Physical value `dn x mult + add`: radiance, or level 2 reflectance or temperature."""
    return dn * np.float32(mult) + np.float32(add)


def toa_reflectance(
    dn: NDArray, mult: float, add: float, sun_elevation_deg: float
) -> NDArray[np.float32]:
    """Top-of-atmosphere reflectance `(dn x mult + add) / sin(sun elevation)`, unitless.

    Landsat's reflectance factors hold the Earth-Sun distance already.

    Raises:
        ValueError: the sun is not above the horizon.
    """
    if not 0 < sun_elevation_deg <= 90:
        raise ValueError(
            f"sun elevation is {sun_elevation_deg} degrees; reflectance needs the sun above the "
            "horizon, between 0 and 90"
        )
    sine = np.sin(np.radians(sun_elevation_deg))
    return linear(dn, mult / sine, add / sine)


def brightness_temperature(
    dn: NDArray, mult: float, add: float, k1: float, k2: float
) -> NDArray[np.float32]:
    """Brightness temperature `k2 / ln(k1 / L + 1)` in kelvin of radiance `L = dn x mult + add`.

    Args:
        dn: digital numbers of any shape.
        mult: radiance per digital number, W m-2 sr-1 um-1.
        add: radiance of digital number 0, in the same unit.
        k1: thermal constant in the unit of radiance.
        k2: thermal constant in kelvin.

    Returns:
        kelvin, in the shape of `dn`; NaN where the radiance is not positive.
    """
    radiance = linear(dn, mult, add)
    with np.errstate(divide="ignore", invalid="ignore"):
        kelvin = np.float32(k2) / np.log(np.float32(k1) / radiance + 1)
    return np.where(radiance > 0, kelvin, np.float32(np.nan))


def range_factors(
    least: float, most: float, least_dn: float, most_dn: float
) -> tuple[float, float]:
    """Factors `mult` and `add` of radiance that is given as a range of digital numbers.

    The form of Landsat MTLs until 2012: `L = (LMAX - LMIN) / (QCALMAX - QCALMIN) x (dn - QCALMIN) +
    LMIN` (Chander et al. 2009, doi:10.1016/j.rse.2009.01.007, equation 1).

    Args:
        least: LMIN, radiance of `least_dn`, W m-2 sr-1 um-1.
        most: LMAX, radiance of `most_dn`, in the same unit.
        least_dn: QCALMIN.
        most_dn: QCALMAX.

    Raises:
        ValueError: the range is empty or upside down.
    """
    if not (least < most and least_dn < most_dn):
        raise ValueError(
            f"radiance from {least:g} to {most:g} for digital numbers from {least_dn:g} to "
            f"{most_dn:g} is no range"
        )
    mult = (most - least) / (most_dn - least_dn)
    return mult, least - mult * least_dn


def reflectance_factors(
    mult: float, add: float, irradiance: float, distance_au: float
) -> tuple[float, float]:
    """Factors of reflectance for `toa_reflectance` from those of radiance: times `pi d^2 / ESUN`.

    With them `toa_reflectance` gives `pi L d^2 / (ESUN sin(sun elevation))` (Chander et al. 2009,
    equation 2).

    Args:
        mult: radiance per digital number, W m-2 sr-1 um-1.
        add: radiance of digital number 0, in the same unit.
        irradiance: ESUN, the band's mean of sunlight at 1 au, W m-2 um-1.
        distance_au: Earth-Sun distance d in astronomical units.

    Raises:
        ValueError: irradiance or distance is not positive.
    """
    if not (irradiance > 0 and distance_au > 0):
        raise ValueError(f"irradiance {irradiance} and distance {distance_au} must be positive")
    factor = np.pi * distance_au**2 / irradiance
    return mult * factor, add * factor


def earth_sun_distance_au(day_of_year: int) -> float:
    """Earth-Sun distance in astronomical units on a day of the year, 1 = 1 January.

    The series of Spencer 1971 (Fourier series representation of the position of the sun, Search
    2(5), 172) for 1 / d^2; within 0.0005, as perihelion itself moves by a day or two.

    Raises:
        ValueError: there is no such day.
    """
    if not 1 <= day_of_year <= 366:
        raise ValueError(f"day of the year is {day_of_year}: give 1 to 366")
    angle = 2 * np.pi * (day_of_year - 1) / 365
    inverse_square = 1.000110 + 0.034221 * np.cos(angle) + 0.001280 * np.sin(angle)
    inverse_square += 0.000719 * np.cos(2 * angle) + 0.000077 * np.sin(2 * angle)
    return float(inverse_square**-0.5)


def quantise(
    image: NDArray, kind: ArrayLike
) -> tuple[NDArray[np.uint16], NDArray[np.float32], NDArray[np.float32]]:
    """The stored form of an image: `dequantise` gives it back within half a step of `scale`.

    Values outside the range of `REFLECTANCE_STEP` or `KELVIN_STEP` go to its nearest end; values
    that are not finite become `NO_DATA_DN`.

    Args:
        image: float [..., N], reflectance or kelvin, NaN = no data.
        kind: [N], the `Kind` of each band.

    Returns:
        dn uint16 [..., N], scale float32 [N], offset float32 [N].
    """
    thermal = np.asarray(kind) == Kind.BRIGHTNESS_TEMPERATURE
    scale, offset = (
        np.where(thermal, kelvin, reflectance).astype(np.float32)
        for kelvin, reflectance in zip(KELVIN_STEP, REFLECTANCE_STEP, strict=True)
    )
    steps = np.asarray(image - offset)
    steps /= scale  # In place from here on: a builder's time goes into passes over memory.
    np.rint(steps, out=steps)
    no_data = ~np.isfinite(steps)
    np.clip(steps, 0, NO_DATA_DN - 1, out=steps)
    steps[no_data] = NO_DATA_DN
    return steps.astype(np.uint16), scale, offset


def dequantise(dn: NDArray[np.uint16], scale: NDArray, offset: NDArray) -> NDArray[np.float32]:
    """The image float32 [..., N] of a stored one; NaN where `dn` is `NO_DATA_DN`."""
    image = dn * np.asarray(scale, np.float32) + np.asarray(offset, np.float32)
    return np.where(dn == NO_DATA_DN, np.float32(np.nan), image)
