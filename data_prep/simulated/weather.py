"""Draws the state of a scene from its seed: climate, sun, air and cloud layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from data_prep.simulated.atmosphere import AEROSOLS, Air
from data_prep.simulated.clouds import Layer
from data_prep.simulated.fields import Grid, Noise, generator
from data_prep.simulated.surface import Climate

# The window in which a scene's cloud cover is set, the same for all sensors.
REFERENCE: Final = Grid(60.0, 64)

# Kinds of land and how often they are drawn.
BIOMES: Final[Mapping[str, float]] = {
    "cropland": 0.18,
    "forest": 0.14,
    "shrub": 0.10,
    "desert": 0.13,
    "urban": 0.10,
    "mountain": 0.11,
    "tundra": 0.05,
    "ice": 0.09,
    "ocean": 0.10,
}

# Amplitude of regional cover over that of a cloud field's own.
SLOW: Final = 0.8

# Scenes without cloud, with low, with high and with both; half of real patches are one of the
# extremes (clear or overcast), which the covers below keep to.
SKIES: Final = {"clear": 0.20, "low": 0.38, "high": 0.17, "both": 0.25}
# Over ice, which whole looks like cloud whole: the one as often as the other.
SKIES_OVER_ICE: Final = {"clear": 0.45, "low": 0.22, "high": 0.13, "both": 0.20}


@dataclass(frozen=True)
class Weather:
    """All that sensors share of one scene.

    Args:
        climate: of the ground.
        air: the clear atmosphere.
        layers: clouds, the lowest first.
        sun_azimuth: radians clockwise from north.
        view_cosine: of the view's zenith angle.
        view_azimuth: between sun and view, radians.
    """

    climate: Climate
    air: Air
    layers: tuple[Layer, ...]
    sun_azimuth: float
    view_cosine: float
    view_azimuth: float

    @property
    def sun(self) -> tuple[float, float, float]:
        """Unit vector towards the sun: south, east, up."""
        elevation = np.radians(self.climate.sun_elevation_deg)
        flat = np.cos(elevation)
        azimuth = self.sun_azimuth
        return (
            float(-flat * np.cos(azimuth)),
            float(flat * np.sin(azimuth)),
            float(np.sin(elevation)),
        )


def draw(seed: int) -> Weather:
    """The weather of a seed."""
    rng = generator(seed, 1)
    climate = _climate(rng)
    air = _air(climate, rng)
    skies = SKIES_OVER_ICE if climate.biome == "ice" else SKIES
    sky = rng.choice(list(skies), p=list(skies.values()))
    layers: list[Layer] = []
    if sky in ("low", "both"):
        layers.append(_placed(_low(seed, climate, rng), rng))
    if sky in ("high", "both"):
        layers.append(_placed(_high(seed, climate, air, rng), rng))
    return Weather(
        climate=climate,
        air=air,
        layers=tuple(layers),
        sun_azimuth=float(np.radians(rng.choice([rng.uniform(90, 180), rng.uniform(0, 360)]))),
        view_cosine=float(np.cos(np.radians(rng.uniform(0, 10)))),
        view_azimuth=float(rng.uniform(0, np.pi)),
    )


def frozen(seed: int) -> bool:
    """Whether snow or ice lies in the scene of a seed: in some 18 of 100."""
    climate = draw(seed).climate
    return climate.biome == "ice" or climate.snow > 0


def _climate(rng: np.random.Generator) -> Climate:
    biome = str(rng.choice(list(BIOMES), p=list(BIOMES.values())))
    u = rng.uniform
    warm = {"desert": (285, 315), "tundra": (255, 288), "ice": (215, 270), "ocean": (270, 303)}
    low, high = warm.get(biome, (266, 307))
    temperature = u(low, high)
    altitude = {"mountain": u(0.5, 3.5), "desert": u(0, 2.5), "ocean": 0.0, "ice": u(0, 3.5)}
    if biome == "ice" and temperature < 240:
        altitude["ice"] = u(2.0, 3.8)
    relief = {
        "mountain": u(200, 700),
        "ice": 10 ** u(0, 2.3),
        "ocean": 0.0,
        "desert": 10 ** u(0.3, 2),
    }
    cold = temperature < 272 and biome not in ("ocean", "ice")
    elevation = u(28, 72) if temperature > 288 else u(14, 55)
    return Climate(
        biome=biome,
        altitude_km=altitude.get(biome, abs(rng.normal(0, 0.6))),
        relief_m=relief.get(biome, 10 ** u(0.3, 2.2)),
        temperature_k=temperature,
        sun_elevation_deg=elevation,
        snow=float(rng.choice([u(0.2, 1), 1.0])) if cold and u() < 0.75 else 0.0,
        sea=u(0.05, 0.9) if biome not in ("ocean", "ice") and u() < 0.28 else 0.0,
    )


def _air(climate: Climate, rng: np.random.Generator) -> Air:
    """Water vapour follows temperature (Clausius-Clapeyron, scale height 2 km) and dryness."""
    sea_level = climate.temperature_k + 6.5 * climate.altitude_km
    dry = 0.5 if climate.biome == "desert" else 1.0
    water = 2.2 * np.exp((min(sea_level, 303) - 288) / 15) * dry * rng.uniform(0.35, 1.4)
    depth = float(np.exp(rng.normal(np.log(0.12), 0.7)))
    kinds = {"desert": "dust", "ocean": "maritime"}
    kind = kinds.get(climate.biome, str(rng.choice(list(AEROSOLS), p=[0.7, 0.1, 0.1, 0.1])))
    if climate.biome == "ice":
        depth *= 0.3
    return Air(
        water_cm=float(np.clip(water, 0.05, 6.5)),
        ozone_du=float(rng.uniform(240, 420)),
        aerosol=kind,
        aerosol_depth=min(depth, 1.2),
        temperature_k=sea_level,
        ground_km=climate.altitude_km,
        inversion_k=float(rng.uniform(0, 18)) if climate.temperature_k < 268 else 0.0,
        tropopause_km=float(np.clip(9 + (sea_level - 255) / 8, 8, 17)),
    )


def _low(seed: int, climate: Climate, rng: np.random.Generator) -> Layer:
    """Cumulus, stratocumulus, stratus or fog, or altocumulus."""
    u = rng.uniform
    form = rng.choice(["cumulus", "cells", "stratus", "alto"], p=[0.5, 0.2, 0.15, 0.15])
    cold = climate.temperature_k < 258
    layer = Layer(
        phase="liquid",
        radius_um=u(6, 22),
        base_km=climate.altitude_km + u(0.5, 2.2),
        thickness_km=10 ** u(-0.6, 0.5),
        depth=10 ** u(0.8, 2.1),
        power=u(1.0, 1.8),
        noise=Noise((seed, 50), 10 ** u(2.9, 4.0), u(0.6, 0.75), SLOW),
        threshold=0.0,
        softness=10 ** u(-1.6, -0.8),
        fullness=u(0.3, 1.0),
        lumps=Noise((seed, 51), 10 ** u(2.5, 3.3), u(0.55, 0.75)),
        lumpiness=u(0.15, 0.6),
    )
    if form == "cells":
        noise = Noise((seed, 50), 10 ** u(3.2, 4.3), u(0.5, 0.65), SLOW)
        layer = replace(layer, noise=noise, thickness_km=u(0.15, 0.5), cells=u(0.3, 0.9))
        layer = replace(layer, depth=10 ** u(0.7, 1.7))
    if form == "stratus":
        noise = Noise((seed, 50), 10 ** u(3.8, 4.6), u(0.4, 0.6), SLOW)
        base = climate.altitude_km + (0.02 if u() < 0.4 else u(0.2, 1.5))
        layer = replace(layer, noise=noise, base_km=base, thickness_km=u(0.1, 0.8))
        layer = replace(layer, lumpiness=u(0, 0.25), softness=u(0.05, 0.4), depth=10 ** u(0.3, 2.0))
    if form == "alto":
        noise = Noise((seed, 50), 10 ** u(2.7, 3.8), u(0.55, 0.7), SLOW)
        base = climate.altitude_km + u(2, 5)
        layer = replace(layer, noise=noise, base_km=base, thickness_km=u(0.2, 0.8))
        layer = replace(layer, depth=10 ** u(-0.1, 1.2), cells=u(0, 0.6))
    if cold:
        layer = replace(layer, phase="ice", radius_um=u(15, 60))
    return layer


def _high(seed: int, climate: Climate, air: Air, rng: np.random.Generator) -> Layer:
    """Cirrus streaks, cirrostratus, contrails, or a deep cloud with an icy top."""
    u = rng.uniform
    form = rng.choice(["streaks", "veil", "contrail", "deep"], p=[0.4, 0.25, 0.1, 0.25])
    base = climate.altitude_km + u(0.45, 0.9) * (air.tropopause_km - climate.altitude_km)
    layer = Layer(
        phase="ice",
        radius_um=u(15, 80),
        base_km=base,
        thickness_km=u(0.3, 2.0),
        depth=10 ** u(-0.5, 0.8),
        power=u(1.0, 1.6),
        noise=Noise((seed, 60), 10 ** u(3.2, 4.3), u(0.55, 0.7), SLOW),
        threshold=0.0,
        softness=u(0.15, 0.6),
        fullness=u(0.6, 2.0),
        lumps=Noise((seed, 61), 10 ** u(3, 4), 0.6),
        lumpiness=u(0.0, 0.3),
        angle=u(0, np.pi),
        stretch=u(2, 9),
    )
    if form == "veil":
        noise = Noise((seed, 60), 10 ** u(4.0, 4.7), u(0.45, 0.6), SLOW)
        layer = replace(layer, noise=noise, stretch=u(1.5, 3), depth=10 ** u(-0.6, 0.7))
    if form == "contrail":
        noise = Noise((seed, 60), 10 ** u(2.8, 3.5), 0.5, SLOW)
        layer = replace(layer, noise=noise, stretch=u(25, 60), softness=0.15, fullness=1.5)
    if form == "deep":
        low = climate.altitude_km + u(0.6, 3)
        noise = Noise((seed, 60), 10 ** u(3.8, 4.6), u(0.5, 0.65), SLOW)
        layer = replace(layer, noise=noise, base_km=low, thickness_km=max(base - low, 1.0))
        layer = replace(layer, depth=10 ** u(1.4, 2.4), stretch=1.0, softness=u(0.03, 0.2))
        layer = replace(layer, radius_um=u(20, 100), fullness=u(0.3, 0.9))
    return layer


def _placed(layer: Layer, rng: np.random.Generator) -> Layer:
    """Sets the threshold so that a drawn part of the reference window is cloudy."""
    kind = rng.uniform()
    cover = 1.0 if kind < 0.2 else float(rng.beta(0.9, 1.3))
    field = layer.field(REFERENCE)
    threshold = float(np.quantile(field, 1 - cover)) - (0.6 if kind < 0.2 else 0.0)
    return replace(layer, threshold=threshold)
