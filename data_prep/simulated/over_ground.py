"""Simulated clouds over the real ground of a cloud-free image, with labels known from physics.

Axes: H height, W width, N bands.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from data_prep.patches import Patch
from data_prep.simulated import weather as weathers
from data_prep.simulated.clouds import Lookup
from data_prep.simulated.fields import Field, Grid, generator
from data_prep.simulated.instrument import Response, band_slants, resolve, response
from data_prep.simulated.light import BandAir, Light, Sky, band_air
from data_prep.simulated.scene import (
    MARGIN,
    doubt_lone_shadow,
    label_of,
    sky_over,
    sunshine_under,
)
from data_prep.simulated.surface import Ground
from data_prep.simulated.weather import Weather
from permjax.bands import BandDescription, Kind
from permjax.classes import CLEAR, CLEAR_OR_SHADOW, CLOUD_SHADOW, THICK_CLOUD, UNLABELLED
from permjax.sensors import Band, Sensor

# The simulator's lowest sun: its air is flat.
LOWEST_SUN_DEG: Final = 14.0

# Where the gases let less through, an image says nothing of the ground.
LEAST_GAS: Final = 0.05

# Ground that reflects less than this in all bands shows no shadow.
DARK: Final = 0.03

# Haze that would be brighter than the darkest hundredth of the image by more is not there.
HAZE_TOLERANCE: Final = 0.005

# Changes under half a step of the usual digital numbers, 1e-4, are none.
LEAST_CHANGE: Final = 5e-5


def cloud_over(
    seed: int,
    image: NDArray[np.float32],
    label: NDArray[np.uint8],
    bands: BandDescription,
    sensor: Sensor,
    gsd_m: float,
    sun_elevation_deg: float,
    scene_id: str,
    size: int = 128,
) -> Patch:
    """A square of a real image under the simulated clouds of a seed.

    Reflectance at the top of the atmosphere stays as it is, to the bit, where no cloud changes
    the light; surface reflectance becomes that at the top of a simulated atmosphere. Thermal
    bands are left out. Pixels whose label is not exactly clear are unlabelled, unless the
    simulated cloud hides them. The same arguments give the same patch to the bit.

    Args:
        seed: 0 or more; of the square, the clouds and the air.
        image: float32 [H, W, N], H and W at least `size` and twice the simulator's margin; NaN =
            no data.
        label: label bits [H, W] of the image.
        bands: descriptions of the N bands.
        sensor: that took it.
        gsd_m: size of its pixels in metres.
        sun_elevation_deg: degrees above the horizon; NaN = unknown: that of the seed.
        scene_id: of the image.
        size: pixels of a side of the patch.

    Raises:
        ValueError: the image is too small, or has thermal bands only.
    """
    height, width = label.shape
    square = draw_square(seed, height, width, size)
    seen = np.flatnonzero(np.asarray(bands.kind) != Kind.BRIGHTNESS_TEMPERATURE)
    if not len(seen):
        raise ValueError(f"{scene_id}: clouds need bands of reflectance, and it has none")
    bands = BandDescription(*(np.asarray(part)[seen] for part in bands))
    image, label = image[square][..., seen], label[square]
    weather = _cloudy_weather(seed, sun_elevation_deg)
    ground = _plane(weather, len(label))
    skies = [sky_over(layer, Grid(gsd_m, len(label)), weather, ground) for layer in weather.layers]
    clouded, surface = _radiate(seed, image, bands, sensor, gsd_m, weather, ground, skies)
    light = Light(ground, skies, weather, gsd_m)
    simulated = label_of(skies, sunshine_under(light), ground)
    known = _joined(simulated, label, surface, np.isnan(image))
    middle = slice(MARGIN, MARGIN + size)
    on_ground = np.any(bands.kind == Kind.SURFACE_REFLECTANCE)
    return Patch(
        image=np.ascontiguousarray(clouded[middle, middle]),
        label=doubt_lone_shadow(known[middle, middle].copy()),
        bands=bands._replace(kind=np.full_like(bands.kind, Kind.REFLECTANCE)),
        scene_id=f"clouded_{scene_id}_{seed}",
        sensor=sensor.name,
        gsd_m=float(gsd_m),
        sun_elevation_deg=float(
            weather.climate.sun_elevation_deg if on_ground else sun_elevation_deg
        ),
    )


def draw_square(seed: int, height: int, width: int, size: int = 128) -> tuple[slice, slice]:
    """Rows and columns of the square, margin included, that a seed draws from an image.

    Raises:
        ValueError: the image is smaller than that.
    """
    side = size + 2 * MARGIN
    if min(height, width) < side:
        raise ValueError(
            f"an image of {height} x {width} pixels is too small: patches of {size} under "
            f"simulated clouds need {side} x {side}"
        )
    rng = generator(seed, 90)
    row, column = (int(rng.integers(length - side + 1)) for length in (height, width))
    return slice(row, row + side), slice(column, column + side)


def _cloudy_weather(seed: int, sun_elevation_deg: float) -> Weather:
    """The weather of the seed, or of the first one drawn from it that has clouds."""
    weather, rng = weathers.draw(seed), generator(seed, 91)
    while not weather.layers:
        weather = weathers.draw(int(rng.integers(1 << 40)))
    if np.isnan(sun_elevation_deg):
        return weather
    sun_elevation_deg = max(float(sun_elevation_deg), LOWEST_SUN_DEG)
    return replace(weather, climate=replace(weather.climate, sun_elevation_deg=sun_elevation_deg))


def _plane(weather: Weather, side: int) -> Ground:
    """Level ground at the altitude of the weather; the image itself tells its reflectance."""
    one = np.ones((side, side), np.float32)
    return Ground(
        spectra=np.zeros((0, 0), np.float32),
        cover=np.zeros((side, side, 0), np.float32),
        brightness=one,
        height_km=np.full_like(one, weather.climate.altitude_km),
        sunlit=one,
        temperature_k=np.full_like(one, weather.climate.temperature_k),
    )


def _radiate(
    seed: int,
    image: NDArray[np.float32],
    bands: BandDescription,
    sensor: Sensor,
    gsd_m: float,
    weather: Weather,
    ground: Ground,
    skies: list[Sky],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The image under the clouds, and the reflectance of the ground, [H, W, N] both."""
    alike = _bands_of(bands, sensor)
    slants = band_slants(sensor)
    spectral = response(tuple(band for band, _ in alike), sensor.name)
    factors = [max(band.gsd_m / gsd_m, 1.0) for band, _ in alike]
    lights = {
        factor: Light(ground, [_coarser(sky, factor, seed) for sky in skies], weather, gsd_m)
        for factor in set(factors)
    }
    whole = _without_gaps(image)
    toa = np.flatnonzero(bands.kind == Kind.REFLECTANCE)
    lookups = lights[factors[0]].lookups(spectral)
    air = _fitting_air(weather, spectral, lights[factors[0]], whole, toa)
    clouded, surface = np.empty_like(image), np.empty_like(image)
    for n, (_, place) in enumerate(alike):
        tables = [table.band(n) for table in lookups]
        under = _under_clouds if n in toa else _from_surface
        clouded[..., n], surface[..., n] = under(
            whole[..., n], lights[factors[n]], air, tables, n, slants[place]
        )
    return np.where(np.isnan(image), np.float32(np.nan), clouded), surface


def _under_clouds(
    before: Field, light: Light, air: BandAir, tables: list[Lookup], n: int, slant: float
) -> tuple[Field, Field]:
    """A band at the top of the atmosphere under the clouds, and the ground's reflectance."""
    surface = np.zeros_like(before)
    if light.ground_height(air.gas[:, n]).min() >= LEAST_GAS:
        # At most 1: between brighter ground and cloud light would grow without end.
        surface = np.clip(light.surface_below(before, air, n), 0, 1)
    clear = light.cloudless(surface, air, n)
    change = light.reflectance(surface, air, tables, n, slant) - clear
    # What the clipped reflectance does not explain fades under the clouds as the ground does.
    change = change - (before - clear) * (1 - light.passing(tables, slant))
    changed = np.abs(change) >= LEAST_CHANGE
    return np.where(changed, np.maximum(before + change, 0), before), surface


def _from_surface(
    before: Field, light: Light, air: BandAir, tables: list[Lookup], n: int, slant: float
) -> tuple[Field, Field]:
    """A band of surface reflectance as seen from space, and the ground's reflectance."""
    surface = np.clip(before, 0, 1)
    return light.reflectance(surface, air, tables, n, slant), surface


def _bands_of(bands: BandDescription, sensor: Sensor) -> list[tuple[Band, int]]:
    """The image's bands, with the gsd and the number of the sensor's band nearest to each."""
    centres = np.array([band.wavelength_nm for band in sensor.bands])
    alike = []
    for wavelength_nm, bandwidth_nm, _ in zip(*bands, strict=True):
        place = int(np.abs(centres - wavelength_nm).argmin())
        like = sensor.bands[place]
        band = Band(
            like.name, float(wavelength_nm), float(bandwidth_nm), Kind.REFLECTANCE, like.gsd_m
        )
        alike.append((band, place))
    return alike


def _coarser(sky: Sky, factor: float, seed: int) -> Sky:
    """The layer as a coarser band resolves it; ground and image are as coarse already."""
    if factor == 1:
        return sky

    def coarse(depth: Field) -> Field:
        # A coarse pixel reflects the mean of its parts: averaged is the albedo of conservative
        # scattering (two-stream, g = .85), not the optical thickness.
        albedo = resolve(depth / (depth + 13), factor, nearest=seed % 2 == 0)
        return np.maximum(13 * albedo / (1 - albedo), 0)

    return replace(sky, depth=coarse(sky.depth), shade=coarse(sky.shade))


def _fitting_air(
    weather: Weather,
    spectral: Response,
    light: Light,
    image: NDArray[np.float32],
    toa: Sequence[int] | NDArray[np.intp],
) -> BandAir:
    """The clear air, its haze halved until it is no brighter than the image's dark pixels."""
    darkest = np.percentile(image, 1, axis=(0, 1)) + HAZE_TOLERANCE
    air = band_air(weather, spectral)
    for _ in range(6):
        clear = [n for n in toa if light.ground_height(air.gas[:, n]).min() >= LEAST_GAS]
        black = np.zeros_like(light.ground.brightness)
        if all(light.cloudless(black, air, n).max() <= darkest[n] for n in clear):
            break
        thinner = replace(weather.air, aerosol_depth=weather.air.aerosol_depth / 2)
        weather = replace(weather, air=thinner)
        air = band_air(weather, spectral)
    return air


def _without_gaps(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The image with each band's mean where it has no data, so that light can spread."""
    gaps = np.isnan(image)
    if not gaps.any():
        return image
    filled = np.where(gaps, np.float32(0), image)
    mean = filled.sum((0, 1)) / np.maximum((~gaps).sum((0, 1)), 1)
    return np.where(gaps, mean, filled).astype(np.float32)


def _joined(
    simulated: NDArray[np.uint8],
    real: NDArray[np.uint8],
    surface: NDArray[np.float32],
    gaps: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Label bits [H, W] of clouds over ground that has a label of its own."""
    label = simulated.copy()
    dark = uniform_filter(surface.max(-1), 5) < DARK
    label[dark & (label == CLOUD_SHADOW)] = CLEAR_OR_SHADOW
    label[(real != CLEAR) & (label != THICK_CLOUD)] = UNLABELLED
    label[np.all(gaps, axis=-1)] = UNLABELLED
    return label
