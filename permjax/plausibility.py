"""Checks of an image's values against the description of its bands.

Axes: h and w height and width of a window, N bands.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from permjax.bands import BandDescription, Kind

LEAST_REFLECTANCE: Final = -0.5
"""Down from here nothing is reflectance but no data that nobody declared: -9999 is -0.9999 once
scaled by 0.0001, and the least that a product holds is -0.2 (Landsat's surface reflectance)."""

TYPICAL: Final = 2.0
"""A median reflectance above this is no reflectance: sunlit cloud stays below."""
BRIGHTEST: Final = 12.0
"""Nor is one that a hundredth of the pixels is above: snow that faces a sun 5 degrees high, bright
as 1 / sin(5 degrees), is 11.5 at most."""
DARKEST_BRIGHTEST: Final = 0.01
"""Of light that is seen, some hundredth of an image by day reflects more: clear deep water still
0.02 in the blue."""
DARKEST_CLOUD: Final = 0.1
"""Digital numbers that cannot say more cannot hold a cloud."""

COLDEST_K: Final = 130.0
HOTTEST_K: Final = 450.0
"""A median outside is not in kelvin: the coldest cloud tops are near 160 K, bare ground in the sun
near 350 K."""

SEEN_NM: Final = (400.0, 700.0)
BLUE_NM: Final = (440.0, 510.0)
RED_NM: Final = (610.0, 700.0)

DARKEST_BLUE: Final = 0.045
"""Of the top of the atmosphere near 480 nm: the air alone reflects about 0.06 there (Rayleigh
optical depth 0.17 at sea level, 0.02 to 0.05 in the red; Bodhaine et al. 1999), less over heights
and under a low sun."""


def check_factors(band: str, dtype: str, kind: int, mult: float, add: float) -> None:
    """Refuses factors by which digital numbers of a type make no reflectance or kelvin.

    Args:
        band: what a message calls the band.
        dtype: of the numbers.
        kind: of the band.
        mult: physical value per number.
        add: physical value of number 0.

    Raises:
        ValueError: naming the band.
    """
    what = _what(kind)
    if not (0 < mult < np.inf and np.isfinite(add)):
        raise ValueError(
            f"{band}: its scale {mult:g} and offset {add:g} make no {what}: a scale is a positive "
            "number such as 0.0001; give the right ones"
        )
    if np.issubdtype(dtype, np.integer) and what == "reflectance":
        most = np.iinfo(dtype).max * mult + add
        if most < DARKEST_CLOUD:
            raise ValueError(
                f"{band}: by scale {mult:g} and offset {add:g} the greatest {dtype} is reflectance "
                f"{most:.2g}, but clouds reflect more than {DARKEST_CLOUD:g}: give the right ones"
            )


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
        if kind != Kind.BRIGHTNESS_TEMPERATURE:
            values = values[values > LEAST_REFLECTANCE]
        if not values.size:
            continue
        typical, bright = np.quantile(values, (0.5, 0.99))
        band = f"band {i + 1} ({bands.wavelength_nm[i]:g} nm) has values around {typical:g}"
        if kind != Kind.BRIGHTNESS_TEMPERATURE:
            if typical > TYPICAL or bright > BRIGHTEST:
                raise ValueError(
                    f"{band}, up to {bright:g}, but reflectance lies between 0 and about 1.3: "
                    "scale its digital numbers"
                )
        elif typical < COLDEST_K:
            raise ValueError(f"{band}, too cold for kelvin: give kelvin, and NaN for no data")
        elif typical > HOTTEST_K:
            raise ValueError(f"{band}, too hot for kelvin: scale its digital numbers")


def doubt_about(image: NDArray[np.float32], bands: BandDescription) -> str | None:
    """What looks wrong in an image and need not be, in one sentence; None = nothing.

    Args:
        image: [h, w, N], NaN = no data.
        bands: arrays [N].
    """
    doubts = (_too_low(image, bands), _too_dark(image, bands), _dark_blue(image, bands))
    return "; ".join(filter(None, doubts)) or None


def _too_low(image: NDArray[np.float32], bands: BandDescription) -> str | None:
    """Where values are no data that is not called so."""
    if not np.fmin.reduce(image, axis=None) <= LEAST_REFLECTANCE:
        return None
    low = np.isfinite(image) & (image <= LEAST_REFLECTANCE)
    if not low.any():
        return None
    i = int(np.flatnonzero(low.any((0, 1)))[0])
    return (
        f"the band at {bands.wavelength_nm[i]:g} nm holds {image[..., i][low[..., i]][0]:g}, too "
        f"low for {_what(int(bands.kind[i]))}: such values are taken for no data, which is NaN"
    )


def _too_dark(image: NDArray[np.float32], bands: BandDescription) -> str | None:
    """Where nothing that daylight falls on is bright: so look numbers with too small a scale."""
    low, high = SEEN_NM
    if not ((bands.wavelength_nm >= low) & (bands.wavelength_nm <= high)).any():
        return None
    reflected = [i for i, kind in enumerate(bands.kind) if kind != Kind.BRIGHTNESS_TEMPERATURE]
    bright = [np.quantile(v, 0.99) for i in reflected if (v := _values(image, i)).size]
    if not bright or not 0 < max(bright) < DARKEST_BRIGHTEST:
        return None
    return (
        f"reflectance hardly exceeds {max(bright):.2g}, as dark as night: is the scale of the "
        "digital numbers too small?"
    )


def _dark_blue(image: NDArray[np.float32], bands: BandDescription) -> str | None:
    """Where blue is darker than the air alone makes it, and red is not.

    So look red and blue in each other's place, and surface reflectance called that of the top of
    the atmosphere.
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


def _what(kind: int) -> str:
    return "kelvin" if kind == Kind.BRIGHTNESS_TEMPERATURE else "reflectance"
