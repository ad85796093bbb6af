"""The ground under a scene: which materials lie where, how high, how bright and how warm.

Axes: H height, W width, K materials, S wavelengths of the tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.simulated import spectra
from data_prep.simulated.fields import Field, Grid, Noise, generator
from data_prep.simulated.layouts import LAYOUTS, WATERY, axes, flood, roads, snow_over

# Materials: name, how much warmer than the air under an overhead sun (K).
MATERIALS: Final[Mapping[str, float]] = {
    "crop_a": 4, "crop_b": 6, "forest_a": 1, "forest_b": 2, "straw": 12,
    "soil_a": 16, "soil_b": 18, "rock": 14, "sand": 22, "salt": 10, "char": 18,
    "roof_a": 16, "roof_b": 18, "roof_c": 8, "road": 18,
    "water": 0, "shallows": 1, "snow": 0, "ice": 0, "shade": 0,
}  # fmt: skip
NAMES: Final = tuple(MATERIALS)
FROZEN: Final = ("snow", "ice")


@dataclass(frozen=True)
class Climate:
    """What the whole scene shares.

    `relief_m` is the standard deviation of heights, `snow` the part of the land under snow,
    `sea` the part of the area under water, `temperature_k` the air's at the ground.
    """

    biome: str
    altitude_km: float
    relief_m: float
    temperature_k: float
    sun_elevation_deg: float
    snow: float
    sea: float


@dataclass(frozen=True)
class Ground:
    """The ground on a grid.

    `spectra` [K, S] of the materials, their `cover` [H, W, K] (adding up to 1), `brightness`
    [H, W] that multiplies reflectance, `height_km` [H, W], `sunlit` [H, W]: cosine of the sun's
    angle to the slope over that to the plane, `temperature_k` [H, W].
    """

    spectra: NDArray[np.float32]
    cover: NDArray[np.float32]
    brightness: Field
    height_km: Field
    sunlit: Field
    temperature_k: Field


def material_spectra(climate: Climate, rng: np.random.Generator) -> NDArray[np.float32]:
    """A draw of the spectra [K, S] of all materials of one scene."""
    u = rng.uniform
    dry = u(0.5, 1.0) if climate.biome != "desert" else u(0.75, 1.25)
    glint = u(0.02, 0.25) if u() < 0.08 else u(0.0, 0.012)
    soot = 10 ** u(-9, -7.3)
    # Snow that is cold stays fine: 40 to 250 um on the Antarctic plateau (Grenfell et al. 1994).
    grain = 10 ** (u(-4.4, -3.6) if climate.temperature_k < 240 else u(-4.2, -3.1))
    soils = [spectra.measured("soil", rng, dry * u(0.8, 1.1)) for _ in range(2)]
    drawn = {
        "crop_a": spectra.measured("canopy", rng, u(0.7, 1.0)),
        "crop_b": spectra.measured("canopy", rng, u(0.6, 1.0)),
        "forest_a": spectra.measured("canopy", rng, u(0.35, 0.65)),
        "forest_b": spectra.measured("canopy", rng, u(0.45, 0.8)),
        "straw": spectra.measured("straw", rng, u(0.8, 1.2)),
        "soil_a": spectra.wet(soils[0], u(0, 4e-4) if u() < 0.4 else 0.0),
        "soil_b": soils[1],
        "rock": spectra.measured("soil", rng, u(0.3, 0.7)),
        "sand": spectra.measured(rng.choice(["sand", "soil"]), rng, u(0.9, 1.5)),
        "salt": spectra.salt(u(0.6, 1.25)),
        "char": spectra.measured("char", rng),
        "roof_a": spectra.measured("roof", rng),
        "roof_b": spectra.measured("roof", rng),
        "roof_c": spectra.measured("roof", rng, u(1.0, 1.6)),
        "road": spectra.measured("road", rng),
        "water": spectra.water(10 ** u(-1.3, 1.3), 10 ** u(-1.5, 1), 10 ** u(-2, 0), glint),
        "shallows": spectra.water(
            10 ** u(-1, 1), 10 ** u(-1, 2.2), 10 ** u(-1.7, 0), glint, bottom=u(0, 1) ** 2
        ),
        "snow": spectra.snow(grain, soot) * np.float32(u(0.82, 1.0)),
        "ice": spectra.snow(10 ** u(-2.8, -1.8), soot),
    }
    shade = np.zeros_like(drawn["snow"])
    return np.clip(np.array([drawn.get(name, shade) for name in NAMES]), 0, 1)


def lay_out(climate: Climate, grid: Grid, sun: tuple[float, float, float], seed: int) -> Ground:
    """Lays the ground out on a grid; the same ground for the same seed on every grid.

    Args:
        climate: of the scene.
        grid: pixel centres.
        sun: unit vector towards the sun: south, east, up.
        seed: of the scene.
    """
    rng = generator(seed, 10)
    library = material_spectra(climate, rng)
    height = climate.relief_m * _relief(climate.biome, grid, seed, rng)
    parts = LAYOUTS[climate.biome](grid, seed, rng, height / max(climate.relief_m, 1))
    if rng.uniform() < 0.6 and climate.biome not in ("ocean", "ice"):
        parts = roads(parts, grid, rng)
    if climate.sea > 0:
        parts = flood(parts, climate.sea, grid, seed, rng)
    if climate.snow > 0:
        parts = snow_over(parts, climate.snow, grid, seed, height)
    cover = _stack(parts, (grid.size, grid.size))
    watery = sum(cover[..., NAMES.index(name)] for name in WATERY)
    height = height * (1 - watery)
    sigma = rng.uniform(0.04, 0.16) * (1 - 0.8 * (watery + cover[..., NAMES.index("snow")]))
    texture = Noise((seed, 12), rng.uniform(200, 4000), rng.uniform(0.65, 0.85))(*axes(grid))
    sunlit = _sunlit(height, grid.gsd_m, sun)
    kelvin = _temperature(climate, cover, height, sunlit, texture, rng)
    return Ground(
        spectra=library,
        cover=cover,
        brightness=np.exp(np.clip(sigma * texture, -1.2, 0.8)).astype(np.float32),
        height_km=np.maximum(climate.altitude_km + height / 1000, 0).astype(np.float32),
        sunlit=sunlit,
        temperature_k=kelvin,
    )


def _relief(biome: str, grid: Grid, seed: int, rng: np.random.Generator) -> Field:
    """Heights in standard deviations: hills, with sharp crests in mountains, gullies elsewhere."""
    hills = Noise((seed, 11), rng.uniform(6e3, 20e3), 0.45)(*axes(grid))
    folds = np.abs(Noise((seed, 13), rng.uniform(1500, 6000), 0.45)(*axes(grid))) - 0.8
    if biome == "mountain":
        return 0.75 * hills - 0.7 * folds
    return 0.9 * hills + 0.5 * folds if biome in ("desert", "shrub") else hills


def _stack(parts: Mapping[str, Field], shape: tuple[int, int]) -> NDArray[np.float32]:
    cover = np.zeros((*shape, len(NAMES)), np.float32)
    for name, part in parts.items():
        cover[..., NAMES.index(name)] = part
    return cover / np.maximum(cover.sum(-1, keepdims=True), 1e-6)


def _sunlit(height: Field, gsd_m: float, sun: tuple[float, float, float]) -> Field:
    """Cosine of the sun's angle to each slope over that to the plane, at most 1.8."""
    slope_south, slope_east = np.gradient(height, gsd_m)
    rise = sun[2] - sun[0] * slope_south - sun[1] * slope_east
    cosine = rise / np.sqrt(1 + slope_south**2 + slope_east**2)
    return np.clip(cosine / sun[2], 0, 1.8).astype(np.float32)


def _temperature(
    climate: Climate,
    cover: NDArray[np.float32],
    height: Field,
    sunlit: Field,
    texture: Field,
    rng: np.random.Generator,
) -> Field:
    """Skin temperature: the air's, warmed by the sun as the material takes it."""
    sun = np.sin(np.radians(climate.sun_elevation_deg))
    warmer = np.array(list(MATERIALS.values()), np.float32) * rng.uniform(0.3, 1.2)
    kelvin = climate.temperature_k - 6.5e-3 * height + sun * sunlit * (cover @ warmer)
    kelvin = kelvin + rng.uniform(0.3, 1.5) * texture
    for names, value in (
        (FROZEN, min(climate.temperature_k - 1, 273.0)),
        (WATERY, max(272.5, climate.temperature_k + rng.uniform(-8, 3))),
    ):
        part = sum(cover[..., NAMES.index(name)] for name in names)
        own = value - (6.5e-3 * height if names is FROZEN else 0) + 0.15 * texture
        kelvin = (1 - part) * kelvin + part * own
    return kelvin.astype(np.float32)
