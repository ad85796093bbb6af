"""The simulator: laws of light, shadow and heat."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.simulated import scene, simulate
from data_prep.simulated.atmosphere import rayleigh_depth, rayleigh_reflectance
from data_prep.simulated.clouds import DEPTHS, Optics, lookup, optics, two_stream
from data_prep.simulated.fields import Grid
from data_prep.simulated.instrument import planck, response
from data_prep.simulated.light import Light
from data_prep.simulated.tables import WAVELENGTH_NM
from data_prep.simulated.thermal import Thermal
from permjax.bands import Kind
from permjax.classes import CLEAR, CLOUD_SHADOW
from tests.fake_weather import (
    AT,
    CIRRUS,
    LANDSAT8,
    NIR,
    RED,
    TEMPERATE,
    make_ground,
    make_layer,
    make_weather,
    seen,
)

# --- Light --------------------------------------------------------------------------------------


def test_reflectance_grows_with_optical_thickness_over_dark_ground() -> None:
    ground, layer = make_ground("water"), make_layer(1.0)
    red = [seen(ground, layer, depth)[RED] for depth in (0, 0.3, 1, 3, 10, 40, 100)]
    assert np.all(np.diff(red) > 0.01)
    assert red[0] < 0.06
    assert red[-1] > 0.75


def test_only_high_cloud_shows_at_1380_nm_in_moist_air() -> None:
    ground = make_ground("forest")
    moist = replace(TEMPERATE, water_cm=3.0)
    clear, low, high = (
        seen(ground, layer, 3, moist)[CIRRUS]
        for layer in (None, make_layer(1.0), make_layer(11.0, "ice", 30))
    )
    assert clear < 0.005
    assert low < 0.01
    assert high > 0.15


def test_snow_of_a_high_dry_plateau_shows_at_1380_nm() -> None:
    dry = replace(TEMPERATE, water_cm=0.15, temperature_k=250)
    plateau = seen(make_ground("snow", 3.3, 225), None, 0, dry, altitude_km=3.3)
    coast = seen(make_ground("snow", 0.0, 265), None, 0, replace(TEMPERATE, water_cm=0.8))
    assert plateau[CIRRUS] > 0.12
    assert coast[CIRRUS] < 0.02
    assert plateau[NIR] > 0.7


@pytest.mark.parametrize("phase", ["liquid", "ice"])
def test_larger_particles_are_darker_in_short_wave_infrared(phase: str) -> None:
    bands = response(LANDSAT8.bands, LANDSAT8.name)
    thick = [
        lookup(optics(phase, radius, bands), 0.7).reflected[np.searchsorted(DEPTHS, 30)]
        for radius in (8.5, 14, 22)
    ]
    for wavelength in (1600, 2200):
        assert np.all(np.diff([row[AT[wavelength]] for row in thick]) < -0.02)
    assert np.ptp([row[RED] for row in thick]) < 0.05


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 1), st.floats(1e-6, 0.5), st.floats(0, 0.9))
def test_clouds_lose_no_light_and_make_none(cosine: float, coalbedo: float, g: float) -> None:
    values = (np.array([x]) for x in (1.0, coalbedo, g, 0.0))
    reflected, total, direct = two_stream(DEPTHS, Optics(*values), cosine)
    assert np.all(reflected >= 0)
    assert np.all(direct <= total + 1e-9)
    assert np.all(reflected + total <= 1 + 1e-6)


@pytest.mark.parametrize("cosine", [0.2, 0.6, 1.0])
def test_clouds_that_absorb_nothing_part_all_light(cosine: float) -> None:
    values = (np.array([x]) for x in (1.0, 0.0, 0.85, 0.0))
    reflected, total, _ = two_stream(DEPTHS, Optics(*values), cosine)
    np.testing.assert_allclose((reflected + total)[DEPTHS < 50], 1, atol=2e-3)


def test_thin_layers_meet_single_scattering() -> None:
    """Within 1 % the light lost from a thin beam is what the layer scatters and absorbs."""
    cloud = Optics(*(np.array([x]) for x in (1.0, 0.2, 0.5, 0.0)))
    reflected, total, _ = two_stream(np.array([1e-3]), cloud, 0.5)
    absorbed = 1 - reflected - total
    np.testing.assert_allclose(absorbed, 0.2 * 1e-3 / 0.5, rtol=0.01)


def test_rayleigh_falls_with_the_fourth_power_of_wavelength() -> None:
    depth = rayleigh_depth(1.0)
    slope = np.gradient(np.log(depth), np.log(WAVELENGTH_NM))
    assert slope[WAVELENGTH_NM > 800] == pytest.approx(-4, abs=0.1)
    assert np.interp(550, WAVELENGTH_NM, depth) == pytest.approx(0.0972, abs=0.001)
    thin = rayleigh_reflectance(depth, 0.7, 1.0, 0.0)
    slope = np.gradient(np.log(thin), np.log(WAVELENGTH_NM))
    assert slope[(WAVELENGTH_NM > 900) & (WAVELENGTH_NM < 3000)] == pytest.approx(-4, abs=0.1)


def test_gases_absorb_more_from_lower_and_along_longer_ways() -> None:
    short, long = TEMPERATE.gas_transmittance(2.0), TEMPERATE.gas_transmittance(4.0)
    assert np.all(np.diff(short, axis=0) > -1e-3)
    assert np.all(long <= short + 1e-6)
    wetter = replace(TEMPERATE, water_cm=4.0).gas_transmittance(2.0)
    at = np.searchsorted(WAVELENGTH_NM, 940)
    assert wetter[0, at] < short[0, at] - 0.05
    oxygen = np.searchsorted(WAVELENGTH_NM, 762.5)
    assert short[0, oxygen] < 0.6
    assert short[0, oxygen + 12] > 0.9


def test_molecular_air_is_darker_over_high_ground() -> None:
    low = seen(make_ground("water"), None, 0)
    high = seen(make_ground("water", 3.0), None, 0, altitude_km=3.0)
    assert high[0] < 0.8 * low[0]


# --- Shadows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("azimuth", "elevation"), [(135, 45), (90, 30), (200, 60), (330, 25)])
def test_shadow_lies_away_from_the_sun_by_height_over_tangent(
    azimuth: float, elevation: float
) -> None:
    layer = replace(make_layer(1.5), threshold=0.4, thickness_km=0.01)
    weather = replace(
        make_weather(layers=[layer], sun_elevation_deg=elevation),
        sun_azimuth=np.radians(azimuth),
    )
    grid = Grid(30.0, 256)
    ground = make_ground("forest")
    even = replace(ground, height_km=np.zeros((256, 256), np.float32))
    sky = scene.sky_over(layer, grid, weather, even)
    length = 1505 / np.tan(np.radians(elevation)) / grid.gsd_m
    # Away from the sun: rows run south, azimuth clockwise from north.
    south = length * np.cos(np.radians(azimuth))
    east = -length * np.sin(np.radians(azimuth))
    assert correlation_peak(sky.depth, sky.shade) == pytest.approx((south, east), abs=2)


def correlation_peak(cloud: np.ndarray, shade: np.ndarray) -> tuple[float, float]:
    """By how many rows and columns a field is another, moved."""
    cloud, shade = (np.log(field + 0.01) for field in (cloud, shade))
    product = np.fft.fft2(shade - shade.mean()) * np.conj(np.fft.fft2(cloud - cloud.mean()))
    correlation = np.fft.ifft2(product / np.abs(product)).real
    row, column = np.unravel_index(correlation.argmax(), correlation.shape)
    rows, columns = correlation.shape
    return ((row + rows // 2) % rows - rows // 2, (column + columns // 2) % columns - columns // 2)


def test_labelled_shadow_is_darker_than_labelled_clear() -> None:
    """Where a scene has both, over the same kind of ground: near-infrared by a quarter."""
    ratios = []
    for seed in range(60):
        patch = simulate(seed, LANDSAT8, 96)
        shadow, clear = patch.label == CLOUD_SHADOW, patch.label == CLEAR
        if shadow.sum() > 300 and clear.sum() > 300:
            nir = patch.image[..., NIR]
            ratios.append(np.median(nir[shadow]) / np.median(nir[clear]))
    assert len(ratios) >= 5
    assert np.median(ratios) < 0.75


# --- Heat ---------------------------------------------------------------------------------------


def test_thick_high_cloud_is_colder_than_the_ground() -> None:
    ground = make_ground("forest")
    thermal = [n for n, band in enumerate(LANDSAT8.bands) if band.kind is not Kind.REFLECTANCE]
    clear = seen(ground, None, 0)[thermal]
    low = seen(ground, make_layer(1.0), 20)[thermal]
    high = seen(ground, make_layer(9.0, "ice", 30), 20)[thermal]
    thin = seen(ground, make_layer(9.0, "ice", 30), 0.5)[thermal]
    assert np.all(high < thin)
    assert np.all(thin < clear)
    assert np.all(high < low)
    assert high == pytest.approx(TEMPERATE.temperature(9.0), abs=2)
    assert np.all((clear > 283) & (clear < 290))


def test_low_cloud_over_an_inversion_is_warmer_than_the_snow() -> None:
    air = replace(TEMPERATE, temperature_k=250, inversion_k=15, water_cm=0.2)
    ground = make_ground("snow", kelvin=248)
    band = AT[10_900]
    assert seen(ground, make_layer(0.5), 20, air)[band] > seen(ground, None, 0, air)[band] + 3


def test_brightness_temperature_of_a_black_ground_without_air_is_its_own() -> None:
    bands = LANDSAT8.bands
    dry = replace(TEMPERATE, water_cm=0.05)
    weather = make_weather(dry)
    ground = make_ground("forest", altitude_km=19.9, kelvin=280)
    light = Light(ground, [], weather, 30)
    heat = Thermal(weather, LANDSAT8, response(bands, LANDSAT8.name), light, ground.brightness)
    black = np.zeros_like(ground.brightness)
    assert heat.kelvin(black, 0.0, AT[10_900]) == pytest.approx(280, abs=0.5)


def test_planck_obeys_wien_and_stefan() -> None:
    nm = np.linspace(1000, 200_000, 200_000)
    radiance = planck(nm, np.array(300.0))
    assert nm[radiance.argmax()] == pytest.approx(2.897772e6 / 300, rel=1e-3)
    exitance = np.pi * radiance.sum() * (nm[1] - nm[0])
    assert exitance == pytest.approx(5.670374e-8 * 300**4, rel=5e-3)
