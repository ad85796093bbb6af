"""The simulator: the same scene for all sensors, sensors and fields."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.simulated import simulate, virtual_sensor
from data_prep.simulated.clouds import DEPTHS, Place
from data_prep.simulated.fields import Grid, Noise
from data_prep.simulated.instrument import KELVIN, band_radiance, response
from data_prep.simulated.layouts import LAYOUTS
from data_prep.simulated.light import band_air
from data_prep.simulated.surface import NAMES
from data_prep.simulated.tables import HEIGHTS_KM, WAVELENGTH_NM
from data_prep.simulated.weather import BIOMES, draw
from permjax.bands import Kind
from permjax.classes import CLEAR, CLOUD_SHADOW, THICK_CLOUD, THIN_CLOUD
from permjax.sensors import SENSORS, Band, Sensor
from tests.fake_weather import AT, GRID, LANDSAT8, SENTINEL2A, make_weather

# --- The whole ----------------------------------------------------------------------------------


def test_same_seed_gives_same_patch_to_the_bit() -> None:
    first, second = simulate(5, LANDSAT8, 64), simulate(5, LANDSAT8, 64)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.label, second.label)
    assert not np.array_equal(first.image, simulate(6, LANDSAT8, 64).image)


@pytest.mark.parametrize("seed", range(8))
def test_sensors_of_one_grid_share_the_label(seed: int) -> None:
    """The label is the scene's, not the sensor's."""
    first, second = simulate(seed, SENTINEL2A, 64), simulate(seed, SENSORS["sentinel2b_msi"], 64)
    np.testing.assert_array_equal(first.label, second.label)
    assert first.scene_id == second.scene_id
    assert first.sun_elevation_deg == second.sun_elevation_deg


def test_sensors_of_other_grids_see_the_same_clouds() -> None:
    """Landsat's middle third is Sentinel-2's patch: cloud of one is cloud of the other."""
    agreements = []
    for seed in range(12):
        fine, coarse = simulate(seed, SENTINEL2A, 96), simulate(seed, LANDSAT8, 96)
        cloud = (fine.label & (THICK_CLOUD | THIN_CLOUD) > 0).reshape(32, 3, 32, 3).mean((1, 3))
        other = coarse.label[32:64, 32:64] & (THICK_CLOUD | THIN_CLOUD) > 0
        agreements.append(((cloud > 0.5) == other).mean())
    assert np.mean(agreements) > 0.97


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=lambda sensor: sensor.name)
def test_every_sensor_sees_sensible_values(sensor: Sensor) -> None:
    for seed in (1, 4):
        patch = simulate(seed, sensor, 32)
        check_values(patch.image, patch.bands.kind)
        assert set(np.unique(patch.label)) <= set(range(1, 16))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_virtual_sensors_see_sensible_values(seed: int) -> None:
    sensor = virtual_sensor(seed)
    assert sensor == virtual_sensor(seed)
    assert 3 <= len(sensor.bands) <= 14
    patch = simulate(seed, sensor, 32)
    check_values(patch.image, patch.bands.kind)


def check_values(image: np.ndarray, kind: np.ndarray) -> None:
    assert np.isfinite(image).all()
    thermal = np.asarray(kind) == Kind.BRIGHTNESS_TEMPERATURE
    assert image[..., ~thermal].min(initial=0) >= 0
    assert image[..., ~thermal].max(initial=0) < 2
    assert image[..., thermal].min(initial=300) > 170
    assert image[..., thermal].max(initial=300) < 345


def test_scenes_are_of_all_kinds() -> None:
    """Clear, overcast and broken skies, and all four classes, within some hundred scenes."""
    labels = [simulate(seed, SENSORS["landsat5_mss"], 32).label for seed in range(120)]
    cloud = np.array([(label & (THICK_CLOUD | THIN_CLOUD) > 0).mean() for label in labels])
    assert (cloud == 0).mean() > 0.1
    assert (cloud == 1).mean() > 0.05
    assert ((cloud > 0.1) & (cloud < 0.9)).mean() > 0.2
    for bits in (CLEAR, THICK_CLOUD, THIN_CLOUD, CLOUD_SHADOW):
        assert np.mean([(label == bits).mean() for label in labels]) > 0.01


def test_every_biome_has_a_layout() -> None:
    assert set(BIOMES) == set(LAYOUTS)
    grid = Grid(30.0, 48)
    for layout in LAYOUTS.values():
        parts = layout(grid, 3, np.random.default_rng(3), np.zeros((48, 48), np.float32))
        assert set(parts) <= set(NAMES)
        np.testing.assert_allclose(sum(parts.values()), 1, atol=1e-5)


# --- Sensors and fields -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sensor", [LANDSAT8, SENTINEL2A, SENSORS["terra_modis"], virtual_sensor(3)]
)
def test_band_mean_of_a_constant_is_the_constant(sensor: Sensor) -> None:
    bands = response(sensor.bands, sensor.name)
    np.testing.assert_allclose(bands.mean(np.full(len(WAVELENGTH_NM), 0.37)), 0.37, rtol=1e-4)
    ramp = bands.mean(WAVELENGTH_NM)
    centres = np.array([band.wavelength_nm for band in sensor.bands])
    widths = np.array([band.bandwidth_nm for band in sensor.bands])
    assert np.all(np.abs(ramp - centres) < np.maximum(0.5 * widths, 8))


def test_band_radiance_rises_with_temperature() -> None:
    radiance = band_radiance(LANDSAT8.bands, LANDSAT8.name)
    assert radiance.shape == (len(KELVIN), len(LANDSAT8.bands))
    assert np.all(np.diff(radiance[:, AT[10_900]]) > 0)


def test_instruments_saturate_and_count_in_steps() -> None:
    """Eight bits of Landsat 5: at most 256 values a band, and bright cloud is cut off."""
    sensor = SENSORS["landsat5_tm"]
    weather_sun = draw(0).sun[2]
    patch = simulate(0, sensor, 64)
    blue = patch.image[..., 0]
    assert len(np.unique(blue)) <= 256
    assert blue.max() <= 0.31 / weather_sun + 1e-6


def test_fields_are_the_same_on_every_grid() -> None:
    """A field sampled coarsely is the fine field but for the octaves that a pixel averages."""
    noise = Noise((1, 2), 5000, 0.5)
    fine, coarse = Grid(10.0, 129), Grid(30.0, 43)
    difference = noise(fine.metres, fine.metres)[1::3, 1::3] - noise(coarse.metres, coarse.metres)
    assert difference.std() < 0.1


def test_fields_have_unit_variance() -> None:
    values = [Noise((seed,), 500, 0.6)(GRID.metres, GRID.metres) for seed in range(20)]
    assert np.std(values) == pytest.approx(1, abs=0.1)
    assert np.mean(values) == pytest.approx(0, abs=0.1)


def test_lookups_meet_their_nodes() -> None:
    column = np.sqrt(DEPTHS).astype(np.float32)
    np.testing.assert_allclose(
        Place(DEPTHS.astype(np.float32))(column)[:-1], column[:-1], rtol=1e-3
    )


def test_clear_air_has_a_value_for_every_band_and_height() -> None:
    bands = response(SENTINEL2A.bands, SENTINEL2A.name)
    air = band_air(make_weather(), bands)
    assert air.gas.shape == (len(HEIGHTS_KM), 13)
    assert np.all((air.down > 0.3) & (air.down <= 1))


def test_misfit_of_a_described_band_is_modelled() -> None:
    """A band that no measured response resembles is modelled from its description."""
    odd = Band("odd", 1100.0, 40.0, Kind.REFLECTANCE, 30.0)
    mean = response((odd,), "landsat8_oli_tirs").mean(WAVELENGTH_NM)
    assert mean[0] == pytest.approx(1100, abs=4)
