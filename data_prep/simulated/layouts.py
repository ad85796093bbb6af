"""Where materials lie on the ground: fields, woods, towns, dunes, snow, water.

Axes: H height, W width. Parts are dictionaries of the part [H, W] of each pixel that a material
of `surface.MATERIALS` covers.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from data_prep.simulated.fields import Field, Grid, Noise

WATERY: Final = ("water", "shallows")


def axes(grid: Grid) -> tuple[Field, Field]:
    """Coordinates of rows and columns, for a field on the grid."""
    metres = grid.metres
    return metres, metres


def _step(field: Field, threshold: float, width: float) -> Field:
    """Rises from 0 to 1 around a threshold."""
    return 1 / (1 + np.exp(np.clip((threshold - field) / width, -30, 30)))


def _patches(
    names: tuple[str, ...], grid: Grid, seed: int, size_m: float, sharpness: float
) -> dict[str, Field]:
    """Patches of some materials, sharp or blending, by the largest of as many fields."""
    noises = [Noise((seed, 20, i), size_m, 0.62, 0.7)(*axes(grid)) for i in range(len(names))]
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
    wood = _step(Noise((seed, 21), 4000, 0.6, 0.7)(*axes(grid)), rng.normal(0.9, 0.7), 0.05)
    track = np.exp(-((edge / rng.uniform(4, 12)) ** 2)) * min(1.0, 10 / grid.gsd_m)
    parts = _over(parts, str(rng.choice(["forest_a", "soil_a", "road"])), track)
    return _over(parts, "forest_b", wood)


def _forest(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    parts = _patches(("forest_a", "forest_b"), grid, seed, rng.uniform(500, 6000), 2.5)
    clear = _step(Noise((seed, 22), 3000, 0.6, 0.7)(*axes(grid)), rng.normal(1.4, 0.6), 0.06)
    parts = _over(parts, str(rng.choice(["soil_a", "crop_a", "straw"])), clear)
    gaps = _step(Noise((seed, 23), 120, 0.8)(*axes(grid)), 0.6, 0.5) * rng.uniform(0, 0.5)
    return _over(parts, "shade", gaps)


def _shrub(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    parts = _patches(("soil_a", "soil_b", "straw"), grid, seed, rng.uniform(800, 8000), 1.5)
    green = Noise((seed, 24), rng.uniform(300, 3000), 0.7, 0.5)(*axes(grid))
    return _over(parts, "forest_b", rng.uniform(0.1, 0.9) * _step(green, rng.normal(0.3, 0.5), 0.3))


def _desert(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    names = ["sand", "soil_a", "soil_b"]
    names[rng.integers(1, 3)] = "rock"
    parts = _patches(tuple(names), grid, seed, rng.uniform(2e3, 3e4), rng.uniform(1, 4))
    if rng.uniform() < 0.2:
        pan = _step(Noise((seed, 25), 15e3, 0.5)(*axes(grid)), rng.normal(0.2, 0.8), 0.08)
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
    town = _step(Noise((seed, 27), 8000, 0.6, 0.7)(*axes(grid)), rng.normal(-0.6, 0.8), 0.08)
    return _blend(country, parts, town)


def _mountain(grid: Grid, seed: int, rng: np.random.Generator, relief: Field) -> dict[str, Field]:
    parts = _patches(("rock", "soil_a", "straw"), grid, seed, 3000, 2)
    ragged = relief + 0.25 * Noise((seed, 28), 1500, 0.7)(*axes(grid))
    parts = _over(parts, "forest_a", 1 - _step(ragged, rng.normal(0.0, 0.8), 0.1))
    return _over(parts, "snow", _step(ragged, rng.normal(0.9, 0.9), 0.08))


def _tundra(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    parts = _patches(("straw", "rock", "forest_b"), grid, seed, rng.uniform(500, 5000), 1.5)
    ponds = _step(Noise((seed, 29), rng.uniform(300, 2500), 0.5)(*axes(grid)), 1.1, 0.04)
    return _over(parts, "water", ponds)


def _ice(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    one = np.ones((grid.size, grid.size), np.float32)
    if rng.uniform() < 0.5:
        return {"snow": one}
    blue = _step(Noise((seed, 30), 5000, 0.6)(*axes(grid)), rng.normal(0.8, 0.7), 0.15)
    parts = _over({"snow": one}, "ice", blue)
    rocks = _step(Noise((seed, 31), 3000, 0.7)(*axes(grid)), rng.normal(2, 0.6), 0.05)
    return _over(parts, "rock", rocks)


def _ocean(grid: Grid, seed: int, rng: np.random.Generator, _: Field) -> dict[str, Field]:
    murky = _step(Noise((seed, 32), 2e4, 0.55)(*axes(grid)), rng.normal(1.2, 1), 0.4)
    return {"water": 1 - murky, "shallows": murky}


LAYOUTS: Final[Mapping[str, Callable[..., dict[str, Field]]]] = {
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
    result: dict[str, Field] = {key: value * (1 - part) for key, value in parts.items()}
    result[name] = result.get(name, 0) + part
    return result


def _blend(below: Mapping[str, Field], above: Mapping[str, Field], part: Field) -> dict[str, Field]:
    result: dict[str, Field] = {name: value * (1 - part) for name, value in below.items()}
    for name, value in above.items():
        result[name] = result.get(name, 0) + value * part
    return result


def flood(
    parts: Mapping[str, Field], sea: float, grid: Grid, seed: int, rng: np.random.Generator
) -> dict[str, Field]:
    """Water up to a level: a shore of sand, shallows, then the deep; or a river."""
    size = rng.choice([1500.0, 6000.0, 40_000.0])
    noise = Noise((seed, 40), size, 0.55, 0.7)
    if rng.uniform() < 0.25:
        depth = rng.uniform(0.04, 0.15) - np.abs(noise(*axes(grid)))
    else:
        reference = Grid(60.0, 64)
        level = float(np.quantile(noise(*axes(reference)), sea))
        depth = level - noise(*axes(grid))
    shored = _over(parts, "sand", _step(depth, -0.015, 0.006) * (rng.uniform() < 0.6))
    parts = _over(shored, "shallows", _step(depth, 0.0, 0.004))
    return _over(parts, "water", _step(depth, rng.uniform(0.02, 0.2), 0.04))


def roads(parts: Mapping[str, Field], grid: Grid, rng: np.random.Generator) -> dict[str, Field]:
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


def snow_over(
    parts: Mapping[str, Field], snow: float, grid: Grid, seed: int, height: Field
) -> dict[str, Field]:
    """Snow on the land, more with height, half of it under the crowns of a forest."""
    noise = Noise((seed, 41), 6000, 0.65, 0.7)
    level = float(np.quantile(noise(*axes(Grid(60.0, 64))), 1 - snow)) - 0.3 * (snow == 1)
    part = _step(noise(*axes(grid)) + height / 400, level, 0.08)
    bare = {name: value for name, value in parts.items() if name in WATERY}
    result = dict(parts)
    for name, value in parts.items():
        if name in bare or name == "snow":
            continue
        taken = value * part * (0.45 if name.startswith("forest") or name == "shade" else 1.0)
        result[name] = value - taken
        result["snow"] = result.get("snow", 0) + taken
    return result
