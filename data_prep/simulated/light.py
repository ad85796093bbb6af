"""Sunlight through cloud layers and air to the ground and back up to the sensor.

Axes: H height, W width, N bands, Z heights of the tables, D optical thicknesses of the look-ups.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.special import expn

from data_prep.simulated.atmosphere import AEROSOLS, pressure, rayleigh_depth, rayleigh_reflectance
from data_prep.simulated.clouds import Layer, Lookup, Place, lookup, optics
from data_prep.simulated.fields import Field
from data_prep.simulated.instrument import Response
from data_prep.simulated.surface import Ground
from data_prep.simulated.tables import HEIGHTS_KM, WAVELENGTH_NM
from data_prep.simulated.weather import Weather

FREE_AIR_KM: Final = 3.0

# The stratosphere's aerosol at 1 um (optical thickness .005): the 1.38 um bands see about .002
# where the air below is moist and cloudless.
STRATOSPHERE: Final = 0.002


@dataclass(frozen=True)
class Sky:
    """A cloud layer over a grid: what is over each pixel, and between it and the sun.

    `depth` [H, W] straight above, `shade` [H, W] towards the sun, `top_km` [H, W].
    """

    layer: Layer
    depth: Field
    shade: Field
    top_km: Field


@dataclass(frozen=True)
class BandAir:
    """Band means [N] of the clear air of one scene.

    Args:
        gas: transmittance [Z, N] of the gases down to each height along the sun's ray and up.
        path_top: reflectance of the stratosphere's aerosol, above all gases.
        path_low: reflectance of the air between the ground and the low clouds.
        path_high: reflectance of the air above them, and `clear_high` its transmittance.
        down: transmittance of the scattering air, sun to ground; `direct` its direct part.
        up: transmittance of the scattering air, ground to space.
        back: albedo of the air for light from below.
    """

    gas: NDArray[np.float32]
    path_top: NDArray[np.float32]
    path_low: NDArray[np.float32]
    path_high: NDArray[np.float32]
    clear_high: NDArray[np.float32]
    down: NDArray[np.float32]
    direct: NDArray[np.float32]
    up: NDArray[np.float32]
    back: NDArray[np.float32]


def band_air(weather: Weather, spectral: Response) -> BandAir:
    """The clear air of a scene in the bands of a sensor."""
    air, altitude_km, sun = weather.air, weather.climate.altitude_km, weather.sun[2]
    view = weather.view_cosine
    tops = [layer.base_km + layer.thickness_km / 2 for layer in weather.layers]
    cut_km = max(altitude_km, min([*tops, FREE_AIR_KM]))
    molecules, above = rayleigh_depth(pressure(altitude_km)), rayleigh_depth(pressure(cut_km))
    angstrom, albedo, asymmetry = AEROSOLS[air.aerosol]
    column = air.aerosol_depth * np.exp(-altitude_km / 2)
    particles = column * (WAVELENGTH_NM.astype(np.float64) / 550) ** -angstrom
    total = rayleigh_reflectance(molecules, sun, view, weather.view_azimuth)
    high = rayleigh_reflectance(above, sun, view, weather.view_azimuth)
    haze = aerosol_reflectance(particles, albedo, asymmetry, weather)
    # Particles send back (1 - g) / 2 of what they scatter.
    lost = particles * (1 - albedo + albedo * (1 - asymmetry) / 2)

    def passed(cosine: float) -> NDArray[np.float64]:
        # Molecules: what is not sent back arrives (Tanre et al. 1979, as in 6S).
        part = (2 / 3 + cosine) + (2 / 3 - cosine) * np.exp(-molecules / cosine)
        return part / (4 / 3 + molecules) * np.exp(-lost / cosine)

    # Spherical albedo of molecules as 6S's CSALBR has it; of aerosol by two-stream.
    back = 3 * molecules - (4 + 2 * molecules) * expn(3, molecules) + 2 * np.exp(-molecules)
    back = back / (4 + 3 * molecules) + albedo * (1 - asymmetry) * particles / (1 + 2 * particles)
    beam = molecules + particles * (1 - albedo * asymmetry**2)
    mean = spectral.mean
    return BandAir(
        gas=mean(air.gas_transmittance(1 / sun + 1 / view)),
        path_top=mean(STRATOSPHERE * (WAVELENGTH_NM.astype(np.float64) / 1000) ** -1),
        path_low=mean(total - high + haze),
        path_high=mean(high),
        clear_high=mean(np.exp(-above / 2 * (1 / sun + 1 / view))),
        down=mean(passed(sun)),
        direct=mean(np.exp(-beam / sun)),
        up=mean(passed(view)),
        back=mean(back),
    )


def aerosol_reflectance(
    depth: NDArray[np.float64], albedo: float, asymmetry: float, weather: Weather
) -> NDArray[np.float64]:
    """Reflectance of an aerosol layer: single scattering (Henyey and Greenstein 1941).

    Multiple scattering adds half the optical thickness to it: a fit to two-stream albedos of
    layers up to an optical thickness of 1.
    """
    sun, view = weather.sun[2], weather.view_cosine
    sines = np.sqrt((1 - sun**2) * (1 - view**2))
    cosine = -sun * view - sines * np.cos(weather.view_azimuth)
    phase = (1 - asymmetry**2) / (1 + asymmetry**2 - 2 * asymmetry * cosine) ** 1.5
    single = (1 - np.exp(-depth * (1 / sun + 1 / view))) / (4 * (sun + view))
    return albedo * phase * single * (1 + 0.5 * depth)


class Height:
    """Where the heights of an image lie among HEIGHTS_KM; looks up any column [Z]."""

    def __init__(self, height_km: Field):
        """Finds the places of a field [H, W] of heights."""
        position = np.interp(height_km, HEIGHTS_KM, np.arange(len(HEIGHTS_KM)))
        self.index = np.minimum(position.astype(np.intp), len(HEIGHTS_KM) - 2)
        self.part = (position - self.index).astype(np.float32)

    def __call__(self, column: NDArray[np.floating]) -> Field:
        """The field [H, W] of a property given at HEIGHTS_KM."""
        column = column.astype(np.float32)
        return column.take(self.index) + np.diff(column).take(self.index) * self.part


class Light:
    """The geometry of a scene's light: places in the look-ups, found once for all bands."""

    def __init__(self, ground: Ground, skies: list[Sky], weather: Weather, gsd_m: float):
        """Takes the ground and the cloud layers over it, the lowest first."""
        self.ground = ground
        self.skies = skies
        self.sun_cosine = weather.sun[2]
        self.ground_height = Height(ground.height_km)
        self.heights = [Height(sky.top_km) for sky in skies]
        self.over = [Place(sky.depth) for sky in skies]
        self.shade = [Place(sky.shade) for sky in skies]
        self.gsd_m = gsd_m
        self.lifts = [float(np.mean(sky.top_km - ground.height_km)) for sky in skies]
        # Diffuse light spreads below a cloud about as far as the cloud is high.
        self.widths = [max(1, round(min(500 * lift / gsd_m, 60))) for lift in self.lifts]
        self.spread = [Place(self._blur(sky.shade, i)) for i, sky in enumerate(skies)]
        self.near = [Place(self._blur(sky.depth, i)) for i, sky in enumerate(skies)]
        self.relief = [_relief(sky, weather.sun, gsd_m) for sky in skies]

    def _blur(self, field: Field, layer: int) -> Field:
        return uniform_filter(field, self.widths[layer], mode="nearest")

    def lookups(self, spectral: Response) -> list[Lookup]:
        """The look-ups [D, N] of each layer in the bands."""
        return [
            lookup(optics(sky.layer.phase, sky.layer.radius_um, spectral), self.sun_cosine)
            for sky in self.skies
        ]

    def at_ground(self, tables: list[Lookup], direct_part: float) -> tuple[Field, Field, Field]:
        """Light under the clouds over that without them: direct, diffuse, and the clouds' albedo.

        The direct light comes along the sun's ray. Diffuse is what the layers scatter, spread
        sideways, and the skylight through them.

        Args:
            tables: look-ups [D] of each layer in one band.
            direct_part: of the light at the ground under a cloudless sky.
        """
        direct = np.ones_like(self.ground.brightness)
        beam, total, sky, back = direct, direct, direct, np.zeros_like(direct)
        for table, shade, spread, near in zip(
            tables, self.shade, self.spread, self.near, strict=True
        ):
            passing = table.direct + table.scattered
            direct = direct * shade(table.direct)
            beam = beam * spread(table.direct)
            total = total * spread(passing)
            sky = sky * near(passing)
            back = back + near(table.back) * (1 - back)
        diffuse = direct_part * np.maximum(total - beam, 0) + (1 - direct_part) * sky
        # In a gap between clouds less of the ground's light is thrown back than under an overcast.
        return direct_part * direct, diffuse, back * (1 - 0.7 * direct)

    def reflectance(
        self, surface: Field, air: BandAir, tables: list[Lookup], n: int, slant: float = 0.0
    ) -> Field:
        """Reflectance [H, W] at the top of the atmosphere in one band.

        Args:
            surface: reflectance of the ground [H, W].
            air: of the scene.
            tables: look-ups [D] of each layer in the band.
            n: number of the band.
            slant: tangent of the angle southward at which the band sees clouds off their place.
        """
        part = float(air.direct[n] / air.down[n])
        direct, diffuse, back = self.at_ground(tables, min(part, 1.0))
        lit = direct * self.ground.sunlit + diffuse
        bounce = 1 - surface * (air.back[n] + (1 - air.back[n]) * back)
        seen = air.down[n] * air.up[n] * surface * lit / bounce
        seen = (seen + air.path_low[n] * (direct + diffuse)) * self.ground_height(air.gas[:, n])
        if not self.skies:
            return seen + air.path_high[n] * air.gas[3, n] + air.path_top[n]
        for i, table in enumerate(tables):
            move = self._move(i, slant)
            over = self.over[i].moved(move, 0)
            cloud = over(table.reflected) * np.roll(self.relief[i], move, 0)
            for higher in range(i + 1, len(tables)):
                passing = tables[higher].direct + tables[higher].scattered
                cloud = cloud * self.shade[higher](passing)
            through = over(table.upward_direct)
            hazy = over(table.upward) - through
            smooth = uniform_filter(seen, max(3, self.widths[i] // 2), mode="nearest")
            seen = through * seen + hazy * smooth
            seen = seen + cloud * self.heights[i](air.gas[:, n]) * air.clear_high[n]
            if i == 0:
                seen = seen + air.path_high[n] * self.heights[i](air.gas[:, n])
        return seen + air.path_top[n]

    def cloudless(self, surface: Field, air: BandAir, n: int) -> Field:
        """What `reflectance` gives [H, W] over level ground where the layers hold no cloud.

        The parts that depend on where the layers lie are kept, so that both differ by the clouds
        alone.
        """
        path, gas = self._clear_path(air, n)
        return path + gas * (air.down[n] * air.up[n] * surface / (1 - surface * air.back[n]))

    def surface_below(self, seen: Field, air: BandAir, n: int) -> Field:
        """Reflectance of the ground [H, W] for which `cloudless` gives what is seen."""
        path, gas = self._clear_path(air, n)
        through = (seen - path) / gas
        return through / (air.down[n] * air.up[n] + through * air.back[n])

    def passing(self, tables: list[Lookup], slant: float = 0.0) -> Field:
        """Part [H, W] of the ground's own detail that shows through all layers in a band."""
        passing = np.ones_like(self.ground.brightness)
        for i, table in enumerate(tables):
            passing = passing * self.over[i].moved(self._move(i, slant), 0)(table.upward_direct)
        return passing

    def _clear_path(self, air: BandAir, n: int) -> tuple[Field, Field]:
        """Reflectance of the clear air alone, and the gases' transmittance to the ground."""
        gas = self.ground_height(air.gas[:, n])
        high = self.heights[0](air.gas[:, n]) if self.skies else air.gas[3, n]
        return air.path_low[n] * gas + air.path_high[n] * high + air.path_top[n], gas

    def _move(self, layer: int, slant: float) -> int:
        """Pixels southward by which a band of this slant sees a layer off its place."""
        return round(1000 * self.lifts[layer] * slant / self.gsd_m)


def _relief(sky: Sky, sun: tuple[float, float, float], gsd_m: float) -> Field:
    """How much brighter the sunny side of a cloud's top is, and how much darker the other."""
    # The light that cloud scatters evens out what is steeper and finer than some 50 m.
    layer = sky.layer
    flat = np.float32(1000 * min(1.0, 0.8 / layer.thickness_km))
    top = gaussian_filter(sky.top_km * flat, min(max(50 / gsd_m, 0.8), 6), mode="nearest")
    south, east = np.gradient(top, gsd_m)
    rise = sun[2] - sun[0] * south - sun[1] * east
    cosine = rise / np.sqrt(1 + south**2 + east**2) / sun[2]
    thick = 1 - np.exp(-sky.depth / 6)
    return (1 + 0.5 * thick * np.tanh(cosine - 1)).astype(np.float32)
