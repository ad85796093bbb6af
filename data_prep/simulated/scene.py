"""Simulates a patch of a scene as a sensor would see it.

Axes: H height, W width, N bands.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.patches import Patch
from data_prep.simulated import weather as weathers
from data_prep.simulated.clouds import Layer
from data_prep.simulated.fields import Field, Grid
from data_prep.simulated.instrument import band_slants, observe, response
from data_prep.simulated.light import Light, Sky, band_air
from data_prep.simulated.surface import Ground, lay_out
from data_prep.simulated.thermal import Thermal
from data_prep.simulated.weather import Weather
from permjax.bands import Kind
from permjax.classes import CLEAR, CLEAR_OR_SHADOW, CLOUD, CLOUD_SHADOW, THICK_CLOUD, THIN_CLOUD
from permjax.sensors import Band, Sensor

# Pixels simulated around the patch, for what spreads from outside into it.
MARGIN: Final = 12

# Optical thickness (550 nm) from which a pixel is cloud: .15 changes the reflectance of dark
# ground by about .015, which nobody marks, .45 by about .045, which nearly all do; in between
# people differ. Through 4 hardly a tenth of the ground's detail shows: thick. Where in between
# lies a range of doubt, labels allow both.
CLEAR_BELOW: Final = 0.15
THIN_FROM: Final = 0.45
THIN_BELOW: Final = 3.0
THICK_FROM: Final = 4.0

# Part of the cloudless light at the ground (in red) below which a cloud's shade is a shadow, and
# above which it is none: the shade of thin veils is not marked by people.
SHADOW_BELOW: Final = 0.72
LIT_FROM: Final = 0.86
# Slopes that get less than this part of the plane's sunlight are dark already.
DARK_SLOPE: Final = 0.15
# Where a smaller part of a patch is lit and clear, nothing tells shade from dark ground.
LIT_PART: Final = 0.01
RED: Final = (Band("red", 660.0, 20.0, Kind.REFLECTANCE, 1.0),)
# Direct part of the red light at the ground under a clear sky of aerosol optical thickness .1.
RED_DIRECT: Final = 0.87

# Sunlight matters in bands of brightness temperature up to here.
SUNLIT_NM: Final = 5000.0


def simulate(seed: int, sensor: Sensor, size: int = 128) -> Patch:
    """A labelled patch of the scene of a seed.

    The same seed is the same scene (ground, clouds, sun) for every sensor, sampled at the
    sensor's gsd around the same middle; the same arguments give the same patch to the bit.

    Args:
        seed: 0 or more.
        sensor: of the table or virtual; all its bands are simulated.
        size: pixels of a side.
    """
    weather = weathers.draw(seed)
    grid = Grid(sensor.gsd_m, size + 2 * MARGIN)
    ground = lay_out(weather.climate, grid, weather.sun, seed)
    skies = [sky_over(layer, grid, weather, ground) for layer in weather.layers]
    light = Light(ground, skies, weather, grid.gsd_m)
    sunshine = sunshine_under(light)
    values = _radiate(weather, sensor, light, sunshine)
    bands = [
        observe(band, sensor, values[n], size, weather.sun[2], seed, n)
        for n, band in enumerate(sensor.bands)
    ]
    label = label_of(skies, sunshine, ground)[MARGIN:-MARGIN, MARGIN:-MARGIN].copy()
    return Patch(
        image=np.stack(bands, -1),
        label=doubt_lone_shadow(label),
        bands=sensor.describe(),
        scene_id=f"simulated_{seed}",
        sensor=sensor.name,
        gsd_m=float(sensor.gsd_m),
        sun_elevation_deg=float(weather.climate.sun_elevation_deg),
    )


def sky_over(layer: Layer, grid: Grid, weather: Weather, ground: Ground) -> Sky:
    """A layer over the grid; its shade falls from its height above the mean ground."""
    filling = layer.filling(layer.field(grid))
    south, east, up = weather.sun
    # Tall clouds are cut so fine that slabs' shadows overlap.
    reach = 1000 * layer.thickness_km / grid.gsd_m / np.tan(np.arcsin(up))
    slabs = int(np.clip(np.ceil(reach / 15), 1, 4)) if layer.stretch == 1 else 1
    shade = layer.shade(grid, (south / up, east / up), slabs, weather.climate.altitude_km)
    top_km = np.maximum(layer.base_km + layer.thickness_km * filling, ground.height_km + 0.05)
    return Sky(layer, layer.lumpy_depth(filling, grid), shade, top_km.astype(np.float32))


def sunshine_under(light: Light) -> Field:
    """Part [H, W] of the cloudless red light that arrives at the ground."""
    tables = [table.band(0) for table in light.lookups(response(RED, "red"))]
    direct, diffuse, _ = light.at_ground(tables, RED_DIRECT)
    return np.minimum(direct + diffuse, 1)


def _radiate(weather: Weather, sensor: Sensor, light: Light, sunshine: Field) -> list[Field]:
    """Reflectance or kelvin [H, W] of each band."""
    spectral = response(sensor.bands, sensor.name)
    air = band_air(weather, spectral)
    lookups = light.lookups(spectral)
    ground = light.ground
    surface = ground.cover @ spectral.mean(ground.spectra)
    thermal = None
    if any(band.kind is Kind.BRIGHTNESS_TEMPERATURE for band in sensor.bands):
        thermal = Thermal(weather, sensor, spectral, light, sunshine)
    slants = band_slants(sensor)
    values = []
    for n, band in enumerate(sensor.bands):
        tables = [table.band(n) for table in lookups]
        bare = np.ascontiguousarray(surface[..., n])
        if thermal is None or band.kind is not Kind.BRIGHTNESS_TEMPERATURE:
            rough = np.minimum(bare * ground.brightness, 1)
            values.append(light.reflectance(rough, air, tables, n, slants[n]))
            continue
        sunlit = band.wavelength_nm < SUNLIT_NM
        reflected = light.reflectance(bare, air, tables, n) if sunlit else 0.0
        values.append(thermal.kelvin(bare, reflected, n))
    return values


def label_of(skies: list[Sky], sunshine: Field, ground: Ground) -> NDArray[np.uint8]:
    """Label bits [H, W] from the optical thickness above and the light that is left below."""
    depth = sum((sky.depth for sky in skies), np.zeros_like(sunshine))
    label = np.full(depth.shape, CLEAR, np.uint8)
    label[sunshine < LIT_FROM] = CLEAR_OR_SHADOW
    label[(sunshine < SHADOW_BELOW) & (ground.sunlit > DARK_SLOPE)] = CLOUD_SHADOW
    doubtful = (depth >= CLEAR_BELOW) & (depth < THIN_FROM)
    label[doubtful] |= THIN_CLOUD
    label[depth >= THIN_FROM] = THIN_CLOUD
    label[depth >= THIN_BELOW] = CLOUD
    label[depth >= THICK_FROM] = THICK_CLOUD
    return label


def doubt_lone_shadow(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label bits [H, W] in which shadow is doubtful if hardly a pixel is lit and clear."""
    if (label == CLEAR).mean() >= LIT_PART:
        return label
    return np.where(label == CLOUD_SHADOW, np.uint8(CLEAR_OR_SHADOW), label)
