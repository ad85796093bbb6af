"""Random changes of a training example that leave its label true.

Axes: H height, W width, N bands. Everything is drawn from the generator that is handed in.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from permjax.bands import BandDescription, Kind
from permjax.classes import UNLABELLED
from permjax.radiometry import NO_DATA_DN

Image = NDArray[np.float32]
Label = NDArray[np.uint8]


def random_crop(
    image: NDArray[np.uint16], label: Label, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint16], Label]:
    """A random square of a stored image; what lies beyond it is without data and unlabelled."""
    pads = [(0, max(size - length, 0)) for length in label.shape]
    image = np.pad(image, [*pads, (0, 0)], constant_values=NO_DATA_DN)
    label = np.pad(label, pads, constant_values=UNLABELLED)
    row, column = (rng.integers(length - size + 1) for length in label.shape)
    window = slice(row, row + size), slice(column, column + size)
    return image[window], label[window]


def halve(image: Image, label: Label) -> tuple[Image, Label]:
    """Image and label as a sensor of half the resolution would give them.

    A pixel is the mean of four, without data if one of them is; it may be what any of them may
    be, and is unlabelled if one of them is.

    Args:
        image: float32 `[2 H, 2 W, N]`.
        label: uint8 bits `[2 H, 2 W]`.
    """
    height, width = (length // 2 for length in label.shape)
    fours = label.reshape(height, 2, width, 2)
    image = image.reshape(height, 2, width, 2, -1).mean((1, 3))
    known = (fours != UNLABELLED).all((1, 3))
    return image, np.where(known, np.bitwise_or.reduce(fours, (1, 3)), UNLABELLED).astype(np.uint8)


def random_turn(image: Image, label: Label, rng: np.random.Generator) -> tuple[Image, Label]:
    """One of the eight turns and reflections of a square, for image and label alike."""
    turns, flip = int(rng.integers(4)), rng.integers(2)
    image, label = np.rot90(image, turns), np.rot90(label, turns)
    return (image[:, ::-1], label[:, ::-1]) if flip else (image, label)


PRIMARIES_NM: Final = (480.0, 560.0, 660.0, 840.0)
"""Blue, green, red and near infrared, which most imagers have."""


def random_bands(
    wavelength_nm: NDArray, kind: NDArray, most: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Indices of a random set of 1 to `most` bands, ascending.

    A fifth of the sets are blue, green, red, and two thirds of those near infrared too, as many
    small satellites and drones have them; a tenth any three or four visible and near-infrared
    bands; a quarter as many bands as may be; the rest any number from three up, uniformly.
    """
    wavelength_nm = np.asarray(wavelength_nm)
    candidates = np.arange(len(wavelength_nm))
    kind_of_set = rng.random()
    reflective = np.flatnonzero(np.asarray(kind) != Kind.BRIGHTNESS_TEMPERATURE)
    if kind_of_set < 0.2 and len(reflective):
        primaries = PRIMARIES_NM[: 3 + int(rng.random() < 2 / 3)]
        nearest = [np.abs(wavelength_nm[reflective] / nm - 1).argmin() for nm in primaries]
        return np.unique(reflective[nearest])[:most]
    if kind_of_set < 0.3:
        visible = np.flatnonzero(wavelength_nm < 950)
        candidates = visible if len(visible) else candidates
    limit = min(len(candidates), most)
    if kind_of_set < 0.3:
        limit = min(limit, int(rng.integers(3, 5)))
    elif kind_of_set < 0.75:
        limit = int(rng.integers(min(3, limit), limit + 1))
    return np.sort(rng.choice(candidates, limit, replace=False))


def random_description(bands: BandDescription, rng: np.random.Generator) -> BandDescription:
    """Descriptions a little off: centres by 5 % of the width, widths by 10 % (standard deviations).

    Sensors of one design differ as much, and tables of bands among themselves.
    """
    count = len(bands.wavelength_nm)
    moved = bands.wavelength_nm + rng.normal(0, 0.05, count) * bands.bandwidth_nm
    width = bands.bandwidth_nm * np.exp(rng.normal(0, 0.1, count))
    return bands._replace(
        wavelength_nm=moved.astype(np.float32), bandwidth_nm=width.astype(np.float32)
    )


def random_radiometry(image: Image, bands: BandDescription, rng: np.random.Generator) -> Image:
    """Small errors of calibration: gain and offset of the image and of each band, and noise.

    Standard deviations: reflectance 5 % in all bands and 3 % in each, 0.003 added to each, noise
    of up to 0.004; temperature 2 K in all bands and 0.5 K in each, noise of up to 0.3 K. Sizes
    chosen by judgement, a little above what the agencies state for their own sensors.
    """
    count = image.shape[-1]
    gain = np.exp(rng.normal(0, 0.05) + rng.normal(0, 0.03, count))
    reflectance = gain, rng.normal(0, 0.003, count), rng.uniform(0, 0.004)
    temperature = 1.0, rng.normal(0, 2.0) + rng.normal(0, 0.5, count), rng.uniform(0, 0.3)
    thermal = np.asarray(bands.kind) == Kind.BRIGHTNESS_TEMPERATURE
    gain, offset, noise = (
        np.where(thermal, t, r).astype(np.float32)
        for t, r in zip(temperature, reflectance, strict=True)
    )
    unit = rng.standard_normal(image.shape, dtype=np.float32)
    return (image * gain + offset + noise * unit).astype(np.float32)


def rayleigh_optical_thickness(wavelength_nm: NDArray) -> NDArray:
    """Of a clear atmosphere at sea level: Hansen and Travis 1974, Space Sci. Rev. 16."""
    um = np.asarray(wavelength_nm) / 1000
    return 0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4)


def as_surface_reflectance(
    image: Image, bands: BandDescription, sun_elevation_deg: float
) -> tuple[Image, BandDescription]:
    """The image as if corrected for the air's own scattering: an estimate of surface reflectance.

    The path reflectance of single Rayleigh scattering seen from above, `tau / (4 mu_s)` times a
    phase function of one, is taken off; what is left is divided by the transmission
    `exp(-tau/2 (1/mu_s + 1))` there and back (half of the scattered light goes on forwards).
    Sensors' own products do more; this gives the model the sign and size of it, clouds included,
    which those products also treat as ground. Bands of another kind than top-of-atmosphere
    reflectance stay as they are: thermal ones, and those that hold surface reflectance already.
    """
    # A low sun makes the formula of a flat atmosphere useless, as it does the real products.
    sun = np.sin(np.radians(np.clip(np.nan_to_num(sun_elevation_deg, nan=50.0), 20, 90)))
    tau = rayleigh_optical_thickness(bands.wavelength_nm)
    path, through = tau / (4 * sun), np.exp(-tau / 2 * (1 / sun + 1))
    seen_from_above = np.asarray(bands.kind) == Kind.REFLECTANCE
    path, through = np.where(seen_from_above, path, 0), np.where(seen_from_above, through, 1)
    kind = np.where(seen_from_above, Kind.SURFACE_REFLECTANCE, bands.kind).astype(np.int32)
    surface = (image - path.astype(np.float32)) / through.astype(np.float32)
    return surface, bands._replace(kind=kind)
