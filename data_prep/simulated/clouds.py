"""Clouds: their optics by wavelength, and their optical thickness and height over the ground.

Axes: D optical thicknesses of a look-up, N bands, H height, W width.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.simulated.fields import Field, Grid, Noise
from data_prep.simulated.instrument import Response
from data_prep.simulated.tables import tables

# Optical thicknesses of the look-ups: 0, then evenly in the logarithm.
DEPTHS: Final = np.concatenate([[0.0], np.geomspace(0.01, 300, 64)])

# Real crystals scatter less forward than the spheres of Mie's theory: g is about .77 for
# roughened aggregates where Mie says .87 (Yang et al. 2013, J. Atmos. Sci. 70).
CRYSTAL_ASYMMETRY: Final = 0.10


@dataclass(frozen=True)
class Optics:
    """Band means [N] of a cloud: extinction over that at 550 nm, co-albedo, asymmetry.

    `absorption` is the absorption optical thickness over the extinction one at 550 nm, for the
    thermal emission.
    """

    extinction: NDArray[np.float64]
    coalbedo: NDArray[np.float64]
    asymmetry: NDArray[np.float64]
    absorption: NDArray[np.float64]


def optics(phase: str, radius_um: float, response: Response) -> Optics:
    """Optics of `liquid` droplets or `ice` crystals of an effective radius in the bands."""
    radii = tables()["droplets_um" if phase == "liquid" else "crystals_um"]
    table = tables()[f"{phase}_optics"].astype(np.float64)
    right = int(np.clip(np.searchsorted(radii, radius_um), 1, len(radii) - 1))
    ends = np.log(radii[right - 1 : right + 1].astype(np.float64))
    part = np.clip((np.log(radius_um) - ends[0]) / (ends[1] - ends[0]), 0, 1)
    extinction, coalbedo, asymmetry = table[:, right - 1] * (1 - part) + table[:, right] * part
    if phase == "ice":
        asymmetry = asymmetry - CRYSTAL_ASYMMETRY * (1 - coalbedo)
    mean = response.reflected.astype(np.float64)
    absorption = response.emitted @ (extinction * coalbedo)
    return Optics(mean @ extinction, mean @ coalbedo, mean @ asymmetry, absorption)


@dataclass(frozen=True)
class Lookup:
    """Layer properties [D, N] at DEPTHS (of 550 nm).

    `reflected`: plane albedo under the sun; `direct`: transmitted along the beam, the diffraction
    peak with it; `scattered`: transmitted diffusely; `upward`: transmitted from below towards
    the zenith, all of it; `upward_direct`: that part which keeps its direction; `back`: albedo
    for diffuse light from below.
    """

    reflected: NDArray[np.float32]
    direct: NDArray[np.float32]
    scattered: NDArray[np.float32]
    upward: NDArray[np.float32]
    upward_direct: NDArray[np.float32]
    back: NDArray[np.float32]

    def band(self, n: int) -> "Lookup":
        """The columns [D] of band `n`."""
        return Lookup(*(np.ascontiguousarray(part[:, n]) for part in vars(self).values()))


def lookup(cloud: Optics, sun_cosine: float) -> Lookup:
    """Reflection and transmission of plane layers by the delta-Eddington two-stream method."""
    reflected, total, direct = two_stream(DEPTHS, cloud, sun_cosine)
    _, upward, _ = two_stream(DEPTHS, cloud, 1.0)
    # Half of the extinction is diffraction, within a degree or two: it blurs no image.
    upward_direct = np.minimum(np.exp(-0.5 * DEPTHS[:, None] * cloud.extinction), upward)
    # Diffuse light behaves as a beam at cos 53 degrees.
    back, _, _ = two_stream(DEPTHS, cloud, 0.6)
    rows = (reflected, direct, total - direct, upward, upward_direct, back)
    return Lookup(*(row.astype(np.float32) for row in rows))


def two_stream(
    depths: NDArray[np.floating], cloud: Optics, cosine: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Albedo, total and direct transmittance [D, N] of plane layers in a beam.

    Delta scaling by Joseph, Wiscombe and Weinman 1976 (J. Atmos. Sci. 33); Eddington two-stream
    solution by Meador and Weaver 1980 (J. Atmos. Sci. 37, eqs. 14 and 15, table 1).
    """
    g, coalbedo = cloud.asymmetry, np.maximum(cloud.coalbedo, 1e-6)
    forward = g * g
    albedo = 1 - coalbedo
    scale = 1 - albedo * forward
    tau = np.asarray(depths, np.float64)[:, None] * cloud.extinction * scale
    w = albedo * (1 - forward) / scale
    g = g / (1 + g)
    a1 = (7 - w * (4 + 3 * g)) / 4
    a2 = -(1 - w * (4 - 3 * g)) / 4
    a3 = (2 - 3 * g * cosine) / 4
    a4 = 1 - a3
    alpha1, alpha2 = a1 * a4 + a2 * a3, a1 * a3 + a2 * a4
    k = np.sqrt(a1 * a1 - a2 * a2)
    k = np.where(np.abs(1 - k * cosine) < 1e-4, k * 1.001, k)
    km = k * cosine
    down, beam = np.exp(-k * tau), np.exp(-tau / cosine)
    # Both solutions multiplied by exp(-k tau), so that thick layers do not overflow.
    norm = w / ((1 - km**2) * ((k + a1) + (k - a1) * down**2))
    reflected = norm * (
        (1 - km) * (alpha2 + k * a3)
        - (1 + km) * (alpha2 - k * a3) * down**2
        - 2 * k * (a3 - alpha2 * cosine) * beam * down
    )
    scattered = -norm * (
        (1 + km) * (alpha1 + k * a4) * beam
        - (1 - km) * (alpha1 - k * a4) * down**2 * beam
        - 2 * k * (a4 + alpha1 * cosine) * down
    )
    reflected, scattered = np.clip(reflected, 0, 1), np.clip(scattered, 0, 1)
    return reflected, np.minimum(beam + scattered, 1), beam


class Place:
    """Where the optical thicknesses of an image lie among DEPTHS; looks up any column."""

    def __init__(self, depth: Field):
        """Finds the places of a field [H, W] of optical thickness."""
        log = np.log(np.maximum(depth, 1e-6))
        first, last = np.log(DEPTHS[1]), np.log(DEPTHS[-1])
        position = 1 + (log - first) / (last - first) * (len(DEPTHS) - 2)
        position = np.where(depth < DEPTHS[1], depth / DEPTHS[1], position)
        position = np.clip(position, 0, len(DEPTHS) - 1.001).astype(np.float32)
        self.index = position.astype(np.intp)
        self.part = position - self.index

    def __call__(self, column: NDArray[np.float32]) -> Field:
        """The field [H, W] of a property given at DEPTHS."""
        steps = np.diff(column, append=column[-1:])
        return column.take(self.index) + steps.take(self.index) * self.part

    def moved(self, south: int, east: int) -> "Place":
        """The places of the field moved by pixels."""
        if not (south or east):
            return self
        place = object.__new__(Place)
        place.index = np.roll(self.index, (south, east), (0, 1))
        place.part = np.roll(self.part, (south, east), (0, 1))
        return place


@dataclass(frozen=True)
class Layer:
    """A cloud layer: its water, its heights and its horizontal form.

    The thickness rises from 0 at the edges, `softness` wide in units of the field, towards
    `thickness_km` within the cloud; the optical thickness follows it as a power.

    Args:
        phase: `liquid` or `ice`.
        radius_um: effective radius of droplets or crystals.
        base_km: above sea level.
        thickness_km: of the thickest parts.
        depth: optical thickness (550 nm) of the thickest parts.
        power: of optical thickness with geometrical thickness.
        noise: the field whose excess over `threshold` is cloud.
        threshold: in standard deviations of the field.
        softness: of the edges, in the same unit.
        fullness: excess at which two thirds of the full thickness is reached.
        lumps: a field of unevenness within the cloud.
        lumpiness: standard deviation of the logarithm of optical thickness that it makes.
        angle: of the streaks, radians from east.
        stretch: of the streaks; 1 = none.
        cells: how much the field folds into cells (0 to 1), as in stratocumulus.
    """

    phase: str
    radius_um: float
    base_km: float
    thickness_km: float
    depth: float
    power: float
    noise: Noise
    threshold: float
    softness: float
    fullness: float
    lumps: Noise
    lumpiness: float
    angle: float = 0.0
    stretch: float = 1.0
    cells: float = 0.0

    def field(self, grid: Grid, shift_m: tuple[float, float] = (0.0, 0.0)) -> Field:
        """The field [H, W] on a grid moved by metres to the south and east."""
        if self.stretch == 1:
            metres = grid.metres
            field = self.noise(metres + np.float32(shift_m[0]), metres + np.float32(shift_m[1]))
        else:
            field = self.noise.along(grid, self.angle, self.stretch, shift_m)
        if self.cells:
            field = (1 - self.cells) * field + self.cells * (1.75 * np.abs(field) - 1.4)
        return field

    def filling(self, field: Field) -> Field:
        """Thickness over `thickness_km` [H, W], 0 to 1, from the field."""
        x = (field - np.float32(self.threshold)) / np.float32(self.softness)
        excess = np.float32(self.softness) * np.logaddexp(np.float32(0), x)
        return -np.expm1(-excess / np.float32(self.fullness))

    def depth_of(self, filling: Field) -> Field:
        """Optical thickness [H, W] at 550 nm."""
        return np.float32(self.depth) * filling ** np.float32(self.power)

    def lumpy_depth(self, filling: Field, grid: Grid) -> Field:
        """Optical thickness [H, W] with its lumps; its shade, mixed by the way, has none."""
        metres = grid.metres
        lumps = self.lumps(metres, metres)
        return self.depth_of(filling) * np.exp(np.float32(self.lumpiness) * lumps)

    def shade(self, grid: Grid, sun: tuple[float, float], slabs: int, altitude_km: float) -> Field:
        """Optical thickness [H, W] between the ground and the sun.

        The layer is cut into slabs; each is seen along the sun's ray at its own height, so that
        towers throw long shadows.

        Args:
            grid: of ground points.
            sun: metres towards the sun, to the south and east, for a metre of height.
            slabs: how many.
            altitude_km: of the ground.
        """
        total = np.zeros((grid.size, grid.size), np.float32)
        for k in range(slabs):
            middle = (k + 0.5) / slabs
            metres = 1000 * (self.base_km - altitude_km + middle * self.thickness_km)
            filling = self.filling(self.field(grid, (sun[0] * metres, sun[1] * metres)))
            if slabs == 1:
                return self.depth_of(filling)
            within = np.clip((filling - k / slabs) * slabs, 0, 1)
            total += within * self.depth_of(filling) / np.maximum(filling * slabs, 1e-3)
        return total
