"""Random fields over the ground, given in metres, so that every sensor samples the same ones.

A field is a sum of octaves of smooth noise on a lattice. An octave too fine for a grid is what a
pixel averages away, and is left out; the coarser ones are the same on every grid.

Axes: H rows (metres south), W columns (metres east).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Field = NDArray[np.floating]

TILE: Final = 64
FINEST_M: Final = 4.0

# The RMS of a cubic B-spline over white noise of unit variance is .4794 for each dimension
# (the integral of the squared spline, 151 / 315).
SPLINE_VARIANCE: Final = 151 / 315


@dataclass(frozen=True)
class Grid:
    """A square grid of pixel centres in metres: rows run south, columns east, 0 in the middle."""

    gsd_m: float
    size: int

    @property
    def metres(self) -> Field:
        """Coordinates [size] of rows and of columns."""
        return ((np.arange(self.size) - (self.size - 1) / 2) * self.gsd_m).astype(np.float32)


@dataclass(frozen=True)
class Noise:
    """A stationary Gaussian field of mean 0 and, over its octaves downwards, variance 1.

    Args:
        seed: what makes it differ from other fields.
        largest_m: wavelength of the first octave; each next is half as long.
        roughness: ratio of amplitudes of one octave to the one before; .5 is smooth, .8 rough.
        slow: amplitude, over that of the first octave, of three much longer waves, 4, 16 and
            64 times as long: slow change for fine sensors, regions for coarse ones.
    """

    seed: tuple[int, ...]
    largest_m: float
    roughness: float = 0.6
    slow: float = 0.0

    def __call__(self, south_m: Field, east_m: Field) -> Field:
        """The field [H, W] at rows and columns that are evenly spaced."""
        gsd_m = float(south_m[1] - south_m[0])
        total = np.zeros((len(south_m), len(east_m)), np.float32)
        for octave, amplitude, cell_m in self._octaves():
            if cell_m < 1.5 * gsd_m:
                break
            lattice = _lattice((*self.seed, octave))
            rows, south = _spline(south_m / np.float32(cell_m))
            same = east_m is south_m  # As on every grid in its own place.
            columns, east = (rows, south) if same else _spline(east_m / np.float32(cell_m))
            total += (south * np.float32(amplitude)) @ lattice[np.ix_(rows, columns)] @ east.T
        return total

    def along(
        self, grid: Grid, angle: float, stretch: float, shift_m: tuple[float, float]
    ) -> Field:
        """The field [H, W] turned by an angle (radians) and stretched along it, then shifted."""
        reach = grid.size * grid.gsd_m * 0.75
        step = grid.gsd_m
        along = np.arange(-reach / stretch, reach / stretch + 8 * step, step, dtype=np.float32)
        across = np.arange(-reach, reach + 8 * step, step, dtype=np.float32)
        south, east = np.meshgrid(grid.metres, grid.metres, indexing="ij", sparse=True)
        cosine, sine = np.cos(angle), np.sin(angle)
        # The shift moves the frame as a whole, so that the grid stays in its middle.
        move_along = (shift_m[0] * sine + shift_m[1] * cosine) / stretch
        move_across = shift_m[0] * cosine - shift_m[1] * sine
        field = self(across + np.float32(move_across), along + np.float32(move_along))
        rows = (south * cosine - east * sine + reach) / step
        columns = ((south * sine + east * cosine) / stretch + reach / stretch) / step
        return map_coordinates(field, [rows, columns], order=1, mode="nearest")

    def _octaves(self) -> list[tuple[int, float, float]]:
        """Number, amplitude and lattice spacing (half a wavelength) of each octave."""
        count = max(1, int(np.log2(self.largest_m / FINEST_M)))
        amplitudes = self.roughness ** np.arange(count)
        amplitudes /= SPLINE_VARIANCE * np.sqrt((amplitudes**2).sum())
        octaves = [(k, float(a), self.largest_m / 2 ** (k + 1)) for k, a in enumerate(amplitudes)]
        if self.slow:
            amplitude = self.slow * float(amplitudes[0])
            octaves[:0] = [(100 + k, amplitude, self.largest_m * 4**k / 2) for k in (3, 2, 1)]
        return octaves


def generator(*seed: int) -> np.random.Generator:
    """A random generator for a place in the seed's tree; fast to make."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))


# A cloud's field is asked for again at every height that throws shade.
@lru_cache(maxsize=64)
def _lattice(seed: tuple[int, ...]) -> Field:
    return generator(*seed).standard_normal((TILE, TILE), np.float32)


def _spline(position: Field) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Lattice points [m] that evenly spaced positions [n] need, and their weights [n, m].

    Positions are in lattice cells; the weights are those of a cubic B-spline, periodic.
    """
    cell = np.floor(position).astype(np.intp)
    t = position - cell
    first = cell[0] - 1
    points = np.arange(first, cell[-1] + 3)
    weights = np.zeros((len(position), len(points)), np.float32)
    start = np.arange(len(position)) * len(points) + cell - 1 - first
    flat = weights.reshape(-1)
    flat[start] = (1 - t) ** 3 / 6
    flat[start + 1] = (3 * t**3 - 6 * t**2 + 4) / 6
    flat[start + 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
    flat[start + 3] = t**3 / 6
    return points % TILE, weights
