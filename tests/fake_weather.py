"""Simple worlds for the tests of the simulator: even ground, even cloud, known air."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data_prep.simulated import scene, spectra
from data_prep.simulated.atmosphere import Air
from data_prep.simulated.clouds import Layer
from data_prep.simulated.fields import Grid, Noise
from data_prep.simulated.light import Light, Sky
from data_prep.simulated.surface import Climate, Ground
from data_prep.simulated.weather import Weather
from permjax.sensors import SENSORS

LANDSAT8 = SENSORS["landsat8_oli_tirs"]
SENTINEL2A = SENSORS["sentinel2a_msi"]
GRID = Grid(30.0, 96)
AT = {round(band.wavelength_nm, -2): n for n, band in enumerate(LANDSAT8.bands)}
RED, NIR, CIRRUS = AT[700], AT[900], AT[1400]
TEMPERATE = Air(1.5, 320, "continental", 0.1, 290.0, 0.0, 0.0, 12.0)


def make_weather(air: Air = TEMPERATE, layers: Sequence[Layer] = (), **climate: float) -> Weather:
    ground = {"altitude_km": 0.0, "relief_m": 0.0, "temperature_k": 290.0, "snow": 0.0, "sea": 0.0}
    values = {**ground, "sun_elevation_deg": 45.0, **climate}
    return Weather(
        climate=Climate(biome="forest", **values),
        air=replace(air, ground_km=values["altitude_km"]),
        layers=tuple(layers),
        sun_azimuth=np.radians(135),
        view_cosine=1.0,
        view_azimuth=0.0,
    )


def make_ground(material: str, altitude_km: float = 0.0, kelvin: float = 290.0) -> Ground:
    """A plane of one material."""
    rng = np.random.default_rng(0)
    spectrum = {
        "forest": lambda: spectra.measured("canopy", rng, 0.6),
        "water": lambda: spectra.water(0.1, 0.1, 0.02, 0.0),
        "snow": lambda: spectra.snow(1e-4),
    }[material]()
    one = np.ones((GRID.size, GRID.size), np.float32)
    return Ground(
        spectra=spectrum[None],
        cover=one[..., None],
        brightness=one,
        height_km=altitude_km * one,
        sunlit=one,
        temperature_k=kelvin * one,
    )


def make_layer(base_km: float, phase: str = "liquid", radius_um: float = 10.0) -> Layer:
    return Layer(
        phase=phase,
        radius_um=radius_um,
        base_km=base_km,
        thickness_km=0.2,
        depth=10.0,
        power=1.0,
        noise=Noise((0,), 1000),
        threshold=0.0,
        softness=0.05,
        fullness=0.5,
        lumps=Noise((1,), 500),
        lumpiness=0.0,
    )


def seen(
    ground: Ground, layer: Layer | None, depth: float, air: Air = TEMPERATE, **climate: float
) -> np.ndarray:
    """Landsat 8's bands [N] over a plane under an even cloud."""
    weather = make_weather(air, [layer] if layer else [], **climate)
    skies = []
    if layer:
        even = np.full((GRID.size, GRID.size), depth, np.float32)
        skies = [Sky(layer, even, even, np.full_like(even, layer.base_km))]
    light = Light(ground, skies, weather, GRID.gsd_m)
    sunshine = np.ones_like(ground.brightness)
    values = scene._radiate(weather, LANDSAT8, light, sunshine)
    return np.array([value[48, 48] for value in values])
