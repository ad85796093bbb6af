"""Checks of an image's values against the description of its bands.

Axes: h and w height and width of a window, N bands.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from permjax.bands import BandDescription, Kind

BRIGHTEST: Final = 5.0
"""A median reflectance above this is no reflectance: sunlit cloud stays below 2."""

COLDEST_K: Final = 130.0
HOTTEST_K: Final = 450.0
"""A median outside is not in kelvin: the coldest cloud tops are near 160 K, bare ground in the sun
near 350 K."""

BLUE_NM: Final = (440.0, 510.0)
RED_NM: Final = (610.0, 700.0)

DARKEST_BLUE: Final = 0.045
"""Of the top of the atmosphere near 480 nm: the air alone reflects about 0.06 there (Rayleigh
optical depth 0.17 at sea level, 0.02 to 0.05 in the red; Bodhaine et al. 1999), less over heights
and under a low sun."""


def check_values(image: NDArray[np.float32], bands: BandDescription) -> None:
    """Refuses digital numbers and percentages for reflectance, and degrees Celsius for kelvin.

    Args:
        image: [h, w, N], NaN = no data. Every eighth pixel is looked at.
        bands: arrays [N].

    Raises:
        ValueError: naming the band.
    """
    for i, kind in enumerate(bands.kind):
        values = _values(image, i)
        if not values.size:
            continue
        typical = np.median(values)
        band = f"band {i + 1} ({bands.wavelength_nm[i]:g} nm) has values around {typical:g}"
        if kind == Kind.BRIGHTNESS_TEMPERATURE and typical < COLDEST_K:
            raise ValueError(f"{band}, too cold for kelvin: give kelvin, and NaN for no data")
        if kind == Kind.BRIGHTNESS_TEMPERATURE and typical > HOTTEST_K:
            raise ValueError(f"{band}, too hot for kelvin: scale its digital numbers")
        if kind != Kind.BRIGHTNESS_TEMPERATURE and typical > BRIGHTEST:
            raise ValueError(
                f"{band}, but reflectance lies between 0 and about 1.3: scale its digital numbers"
            )


def doubt_about(image: NDArray[np.float32], bands: BandDescription) -> str | None:
    """One sentence where blue is darker than the air alone makes it, and red is not; else None.

    So look red and blue in each other's place, and surface reflectance called that of the top of
    the atmosphere.

    Args:
        image: [h, w, N], NaN = no data. Every eighth pixel is looked at.
        bands: arrays [N].
    """
    top = np.asarray(bands.kind) == Kind.REFLECTANCE
    blue, red = (
        np.flatnonzero(top & (bands.wavelength_nm >= low) & (bands.wavelength_nm <= high))
        for low, high in (BLUE_NM, RED_NM)
    )
    if not (blue.size and red.size):
        return None
    darkest = [np.quantile(v, 0.05) if (v := _values(image, k[0])).size else 0 for k in (blue, red)]
    if not 0 < darkest[0] < min(DARKEST_BLUE, darkest[1] / 1.5):
        return None
    return (
        f"the band at {bands.wavelength_nm[blue[0]]:g} nm is as dark as {darkest[0]:.3f}, darker "
        "than the air seen from space is in blue: are red and blue swapped, or is this surface "
        "reflectance?"
    )


def _values(image: NDArray[np.float32], band: int) -> NDArray[np.float32]:
    """What a sample of the pixels holds; 0 is often no data."""
    sample = image[::8, ::8, band]
    return sample[np.isfinite(sample) & (sample != 0)]
