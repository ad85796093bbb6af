"""Thermal radiance of ground, clouds and air, as brightness temperature.

Axes: H height, W width, N bands, Z heights of the tables.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.simulated.clouds import optics
from data_prep.simulated.fields import Field
from data_prep.simulated.instrument import KELVIN, Response, band_radiance
from data_prep.simulated.light import Light
from data_prep.simulated.tables import HEIGHTS_KM, tables
from data_prep.simulated.weather import Weather
from permjax.sensors import Sensor


class Thermal:
    """Emission towards the sensor, in the thermal bands of one scene."""

    def __init__(
        self, weather: Weather, sensor: Sensor, spectral: Response, light: Light, sunshine: Field
    ):
        """Takes the geometry of `Light`, and the part [H, W] of sunlight that clouds let down."""
        self.light = light
        self.planck = band_radiance(sensor.bands, sensor.name)
        gas = weather.air.gas_transmittance(1 / weather.view_cosine)
        self.up = (gas @ spectral.emitted.T).astype(np.float64)
        heights = np.array(HEIGHTS_KM)
        middle = weather.air.temperature((heights[1:] + heights[:-1]) / 2)
        emitted = self._emit_column(middle) * np.diff(self.up, axis=0)
        rest = self._emit_column(weather.air.temperature(heights[-1:])) * (1 - self.up[-1:])
        # Radiance [Z, N] of the air above each height.
        self.air = np.concatenate([emitted, rest])[::-1].cumsum(0)[::-1]
        self.solar = spectral.emitted @ tables()["solar"] * weather.sun[2] / np.pi
        ground = light.ground
        air_k = weather.air.temperature(ground.height_km).astype(np.float32)
        warmed = np.maximum(ground.temperature_k - air_k, 0)
        self.ground_k = ground.temperature_k - 0.4 * warmed * (1 - sunshine)
        self.cloud_k = [
            weather.air.temperature(sky.top_km).astype(np.float32) for sky in light.skies
        ]
        self.absorption = [
            optics(sky.layer.phase, sky.layer.radius_um, spectral).absorption for sky in light.skies
        ]

    def _emit_column(self, kelvin: NDArray[np.floating]) -> NDArray[np.float64]:
        rows = [np.interp(kelvin, KELVIN, column) for column in self.planck.T]
        return np.stack(rows, -1)

    def kelvin(self, surface: Field, reflected: Field | float, n: int) -> Field:
        """Brightness temperature [H, W] of one band.

        Args:
            surface: reflectance of the ground, 1 - emissivity.
            reflected: reflectance of the whole scene for sunlight, which matters below 5 um.
            n: number of the band.
        """
        light, column = self.light, self.planck[:, n]
        up, air = light.ground_height(self.up[:, n]), light.ground_height(self.air[:, n])
        own = np.interp(self.ground_k, KELVIN, column)
        # The sky above the ground is about as bright downwards as upwards.
        seen = ((1 - surface) * own + surface * air) * up + air
        for i, sky in enumerate(light.skies):
            emissivity = 1 - np.exp(-self.absorption[i][n] * sky.depth)
            over = light.heights[i](self.air[:, n])
            own = np.interp(self.cloud_k[i], KELVIN, column) * light.heights[i](self.up[:, n])
            seen = over + emissivity * own + (1 - emissivity) * (seen - over)
        seen = seen + reflected * self.solar[n]
        return np.interp(seen, column, KELVIN).astype(np.float32)
