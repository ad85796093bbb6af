"""The ground under a scene: which materials lie where, how high, how bright and how warm.

Axes: H height, W width, K materials, S wavelengths of the tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.simulated import spectra
from data_prep.simulated.fields import Field, Grid, Noise, generator

# Kinds of land and how often they are drawn.
BIOMES: Final[Mapping[str, float]] = {
    "cropland": 0.20,
    "forest": 0.16,
    "shrub": 0.10,
    "desert": 0.13,
    "urban": 0.10,
    "mountain": 0.11,
    "tundra": 0.05,
    "ice": 0.05,
    "ocean": 0.10,
}

# Materials: name, how much warmer than the air under an overhead sun (K).
MATERIALS: Final[Mapping[str, float]] = {
    "crop_a": 4, "crop_b": 6, "forest_a": 1, "forest_b": 2, "straw": 12,
    "soil_a": 16, "soil_b": 18, "rock": 14, "sand": 22, "salt": 10, "char": 18,
    "roof_a": 16, "roof_b": 18, "roof_c": 8, "road": 18,
    "water": 0, "shallows": 1, "snow": 0, "ice": 0, "shade": 0,
}  # fmt: skip
NAMES: Final = tuple(MATERIALS)
WATERY: Final = ("water", "shallows")
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
    grain = 10 ** u(-4.2, -3.1)
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
    parts = _LAYOUTS[climate.biome](grid, seed, rng, height / max(climate.relief_m, 1))
    if rng.uniform() < 0.6 and climate.biome not in ("ocean", "ice"):
        parts = _roads(parts, grid, rng)
    if climate.sea > 0:
        parts = _flood(parts, climate.sea, grid, seed, rng)
    if climate.snow > 0:
        parts = _snow_over(parts, climate.snow, grid, seed, height)
    cover = _stack(parts, (grid.size, grid.size))
    watery = sum(cover[..., NAMES.index(name)] for name in WATERY)
    height = height * (1 - watery)
    sigma = rng.uniform(0.04, 0.16) * (1 - 0.8 * (watery + cover[..., NAMES.index("snow")]))
    texture = Noise((seed, 12), rng.uniform(200, 4000), rng.uniform(0.65, 0.85))(*_axes(grid))
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
    hills = Noise((seed, 11), rng.uniform(6e3, 20e3), 0.5)(*_axes(grid))
    folds = np.abs(Noise((seed, 13), rng.uniform(1500, 6000), 0.5)(*_axes(grid))) - 0.8
    if biome == "mountain":
        return 0.75 * hills - 0.7 * folds
    return 0.9 * hills + 0.5 * folds if biome in ("desert", "shrub") else hills


def _axes(grid: Grid) -> tuple[Field, Field]:
    return grid.metres, grid.metres


def _stack(parts: Mapping[str, Field], shape: tuple[int, int]) -> NDArray[np.float32]:
    cover = np.zeros((*shape, len(NAMES)), np.float32)
    for name, part in parts.items():
        cover[..., NAMES.index(name)] = part
    return cover / np.maximum(cover.sum(-1, keepdims=True), 1e-6)


def _sunlit(height: Field, gsd_m: float, sun: tuple[float, float, float]) -> Field:
    """Cosine of the sun's angle to each slope over that to the plane; 0 where it looks away."""
    slope_south, slope_east = np.gradient(height, gsd_m)
    rise = sun[2] - sun[0] * slope_south - sun[1] * slope_east
    cosine = rise / np.sqrt(1 + slope_south**2 + slope_east**2)
    return np.clip(cosine / sun[2], 0, 2.5).astype(np.float32)


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


# --- Layouts: the parts of each material [H, W], for each biome -------------------------------


def _step(field: Field, threshold: float, width: float) -> Field:
    """Rises from 0 to 1 around a threshold."""
    return 1 / (1 + np.exp(np.clip((threshold - field) / width, -30, 30)))


def _patches(
    names: tuple[str, ...], grid: Grid, seed: int, size_m: float, sharpness: float
) -> dict[str, Field]:
    """Patches of some materials, sharp or blending, by the largest of as many fields."""
    noises = [Noise((seed, 20, i), size_m, 0.62)(*_axes(grid)) for i in range(len(names))]
    powers = [np.exp(np.clip(sharpness * noise, -20, 20)) for noise in noises]
    total = sum(powers)
    return {name: power / total for name, power in zip(names, powers, strict=True)}


def _parcels(
    names: tuple[str, ...], grid: Grid, rng: np.random.Generator, size_m: float, purity: float
) -> tuple[dict[str, Field], Field]:
    """Rectangular parcels of mixed materials, and the distance in metres to their edges."""
    angle = rng.uniform(0, np.pi / 2)
    south, east = np.meshgrid(grid.metres, grid.metres, indexing="ij")
    cells, edge = [], np.full(south.shape, np.inf, np.float32)
    for axis, aspect in enumerate((1.0, rng.uniform(0.4, 1.0))):
        turn = angle + axis * np.pi / 2
        along = south * np.sin(turn) + east * np.cos(turn)
        widths = size_m * aspect * rng.uniform(0.4, 1.6, 64)
        lines = np.concatenate([[0], np.cumsum(widths)])
        place = (along + lines[-1] / 2) % lines[-1]
        cell = np.searchsorted(lines, place, side="right") - 1
        cells.append(np.clip(cell, 0, 63))
        edge = np.minimum(edge, np.minimum(place - lines[cell], lines[cell + 1] - place))
    mixes = rng.dirichlet(np.full(len(names), 1 / purity), (64, 64)).astype(np.float32)
    mixed = mixes[cells[0], cells[1]]
    # A pixel larger than a parcel sees the mean of many.
    blend = min(1.0, size_m / (2 * grid.gsd_m))
    mixed = blend * mixed + (1 - blend) * mixes.mean((0, 1))
    return {name: mixed[..., i] for i, name in enumerate(names)}, edge


def _cropland(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    size = 10 ** rng.uniform(1.9, 2.85)
    parts, edge = _parcels(
        ("crop_a", "crop_b", "soil_a", "soil_b", "straw"), grid, rng, size, rng.uniform(2, 12)
    )
    wood = _step(Noise((seed, 21), 4000, 0.6)(*_axes(grid)), rng.normal(0.9, 0.7), 0.05)
    track = np.exp(-((edge / rng.uniform(4, 12)) ** 2)) * min(1.0, 10 / grid.gsd_m)
    parts = _over(parts, str(rng.choice(["forest_a", "soil_a", "road"])), track)
    return _over(parts, "forest_b", wood)


def _forest(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    parts = _patches(("forest_a", "forest_b"), grid, seed, rng.uniform(500, 6000), 2.5)
    clear = _step(Noise((seed, 22), 3000, 0.6)(*_axes(grid)), rng.normal(1.4, 0.6), 0.06)
    parts = _over(parts, str(rng.choice(["soil_a", "crop_a", "straw"])), clear)
    gaps = _step(Noise((seed, 23), 120, 0.8)(*_axes(grid)), 0.6, 0.5) * rng.uniform(0, 0.5)
    return _over(parts, "shade", gaps)


def _shrub(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    parts = _patches(("soil_a", "soil_b", "straw"), grid, seed, rng.uniform(800, 8000), 1.5)
    green = Noise((seed, 24), rng.uniform(300, 3000), 0.7)(*_axes(grid))
    return _over(parts, "forest_b", rng.uniform(0.1, 0.9) * _step(green, rng.normal(0.3, 0.5), 0.3))


def _desert(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    names = ["sand", "soil_a", "soil_b"]
    names[rng.integers(1, 3)] = "rock"
    parts = _patches(tuple(names), grid, seed, rng.uniform(2e3, 3e4), rng.uniform(1, 4))
    if rng.uniform() < 0.2:
        pan = _step(Noise((seed, 25), 15e3, 0.5)(*_axes(grid)), rng.normal(0.2, 0.8), 0.08)
        parts = _over(parts, "salt", pan)
    dunes = Noise((seed, 26), rng.uniform(300, 1500), 0.5).along(
        grid, rng.uniform(0, 3.1), 4, (0, 0)
    )
    return _over(parts, "shade", rng.uniform(0, 0.25) * _step(dunes, 0.7, 0.3))


def _urban(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    names = ("roof_a", "roof_b", "roof_c", "road", "forest_b", "soil_b", "crop_a")
    parts, edge = _parcels(names, grid, rng, rng.uniform(25, 120), rng.uniform(2, 8))
    street = np.exp(-((edge / 8) ** 2)) * min(1.0, 15 / grid.gsd_m)
    parts = _over(parts, "road", street)
    country = _cropland(grid, seed, rng, edge)
    town = _step(Noise((seed, 27), 8000, 0.6)(*_axes(grid)), rng.normal(-0.6, 0.8), 0.08)
    return _blend(country, parts, town)


def _mountain(grid: Grid, seed: int, rng: np.random.Generator, relief: Field) -> dict[str, Field]:
    parts = _patches(("rock", "soil_a", "straw"), grid, seed, 3000, 2)
    ragged = relief + 0.25 * Noise((seed, 28), 1500, 0.7)(*_axes(grid))
    parts = _over(parts, "forest_a", 1 - _step(ragged, rng.normal(0.0, 0.8), 0.1))
    return _over(parts, "snow", _step(ragged, rng.normal(0.9, 0.9), 0.08))


def _tundra(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    parts = _patches(("straw", "rock", "forest_b"), grid, seed, rng.uniform(500, 5000), 1.5)
    ponds = _step(Noise((seed, 29), rng.uniform(300, 2500), 0.5)(*_axes(grid)), 1.1, 0.04)
    return _over(parts, "water", ponds)


def _ice(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    one = np.ones((grid.size, grid.size), np.float32)
    if rng.uniform() < 0.5:
        return {"snow": one}
    blue = _step(Noise((seed, 30), 5000, 0.6)(*_axes(grid)), rng.normal(0.8, 0.7), 0.15)
    parts = _over({"snow": one}, "ice", blue)
    rocks = _step(Noise((seed, 31), 3000, 0.7)(*_axes(grid)), rng.normal(2, 0.6), 0.05)
    return _over(parts, "rock", rocks)


def _ocean(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    murky = _step(Noise((seed, 32), 2e4, 0.55)(*_axes(grid)), rng.normal(1.2, 1), 0.4)
    return {"water": 1 - murky, "shallows": murky}


_LAYOUTS: Final[Mapping[str, Callable[..., dict[str, Field]]]] = {
    "cropland": _cropland,
    "forest": _forest,
    "shrub": _shrub,
    "desert": _desert,
    "urban": _urban,
    "mountain": _mountain,
    "tundra": _tundra,
    "ice": _ice,
    "ocean": _ocean,
}


def _over(parts: Mapping[str, Field], name: str, part: Field) -> dict[str, Field]:
    """Lays a material over others, covering a part [H, W] of each pixel."""
    result = {key: value * (1 - part) for key, value in parts.items()}
    result[name] = result.get(name, 0) + part
    return result


def _blend(below: Mapping[str, Field], above: Mapping[str, Field], part: Field) -> dict[str, Field]:
    result = {name: value * (1 - part) for name, value in below.items()}
    for name, value in above.items():
        result[name] = result.get(name, 0) + value * part
    return result


def _flood(
    parts: Mapping[str, Field], sea: float, grid: Grid, seed: int, rng: np.random.Generator
) -> dict[str, Field]:
    """Water up to a level: a shore of sand, shallows, then the deep; or a river."""
    size = rng.choice([1500.0, 6000.0, 40_000.0])
    noise = Noise((seed, 40), size, 0.55)
    if rng.uniform() < 0.25:
        depth = rng.uniform(0.04, 0.15) - np.abs(noise(*_axes(grid)))
    else:
        reference = Grid(60.0, 64)
        level = np.quantile(noise(*_axes(reference)), sea)
        depth = level - noise(*_axes(grid))
    parts = _over(parts, "sand", _step(depth, -0.015, 0.006) * (rng.uniform() < 0.6))
    parts = _over(parts, "shallows", _step(depth, 0.0, 0.004))
    return _over(parts, "water", _step(depth, rng.uniform(0.02, 0.2), 0.04))


def _roads(parts: Mapping[str, Field], grid: Grid, rng: np.random.Generator) -> dict[str, Field]:
    """One to three roads, nearly straight, as broad as a pixel lets them look."""
    south, east = np.meshgrid(grid.metres, grid.metres, indexing="ij", sparse=True)
    result = dict(parts)
    for _ in range(rng.integers(1, 4)):
        angle, width = rng.uniform(0, np.pi), rng.uniform(4, 14)
        bend = rng.uniform(0, 60) * np.sin((south + east) / rng.uniform(300, 1500))
        away = south * np.cos(angle) - east * np.sin(angle) + rng.normal(0, 500) + bend
        # A line narrower than a pixel covers that part of the pixels that it crosses.
        reach = np.hypot(width, 0.6 * grid.gsd_m)
        result = _over(result, "road", width / reach * np.exp(-((away / reach) ** 2)))
    return result


def _snow_over(
    parts: Mapping[str, Field], snow: float, grid: Grid, seed: int, height: Field
) -> dict[str, Field]:
    """Snow on the land, more with height, half of it under the crowns of a forest."""
    noise = Noise((seed, 41), 6000, 0.65)
    level = np.quantile(noise(*_axes(Grid(60.0, 64))), 1 - snow) - 0.3 * (snow == 1)
    part = _step(noise(*_axes(grid)) + height / 400, level, 0.08)
    bare = {name: value for name, value in parts.items() if name in WATERY}
    result = dict(parts)
    for name, value in parts.items():
        if name in bare or name == "snow":
            continue
        taken = value * part * (0.45 if name.startswith("forest") or name == "shade" else 1.0)
        result[name] = value - taken
        result["snow"] = result.get("snow", 0) + taken
    return result
