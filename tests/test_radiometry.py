import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from permjax.bands import Kind
from permjax.radiometry import (
    NO_DATA_DN,
    brightness_temperature,
    dequantise,
    earth_sun_distance_au,
    linear,
    quantise,
    range_factors,
    reflectance_factors,
    toa_reflectance,
)

KINDS = list(Kind)


def test_reflectance_is_divided_by_the_sine_of_the_suns_elevation():
    """(10000 x 2e-5 - 0.1) = 0.1 with the sun overhead, twice that at 30 degrees."""
    dn = np.array([[10_000, 55_000]], np.uint16)
    overhead = toa_reflectance(dn, 2e-5, -0.1, 90)
    np.testing.assert_allclose(overhead, [[0.1, 1.0]], rtol=1e-6)
    np.testing.assert_allclose(toa_reflectance(dn, 2e-5, -0.1, 30), 2 * overhead, rtol=1e-6)
    assert overhead.dtype == np.float32


@pytest.mark.parametrize("elevation", [0, -5, 91, math.nan])
def test_reflectance_needs_the_sun(elevation):
    with pytest.raises(ValueError, match="above the horizon"):
        toa_reflectance(np.ones(1, np.uint16), 2e-5, -0.1, elevation)


def test_brightness_temperature_inverts_plancks_law():
    """Radiance of a black body at 250, 275 and 300 K in band 10 gives these temperatures back."""
    k1, k2 = 774.8853, 1321.0789
    kelvin = np.array([250.0, 275.0, 300.0])
    radiance = k1 / (np.exp(k2 / kelvin) - 1)
    dn = (radiance - 0.1) / 3.342e-4
    np.testing.assert_allclose(brightness_temperature(dn, 3.342e-4, 0.1, k1, k2), kelvin, rtol=1e-5)


def test_brightness_temperature_of_no_radiance_is_no_data():
    dn = np.array([0, 1, 2], np.uint16)
    kelvin = brightness_temperature(dn, 1.0, -1.0, 774.9, 1321.1)
    np.testing.assert_array_equal(np.isnan(kelvin), [True, True, False])


def test_level_2_factors_are_linear():
    dn = np.array([1, 40_000], np.uint16)
    np.testing.assert_allclose(linear(dn, 2.75e-5, -0.2), [-0.1999725, 0.9], rtol=1e-6)
    np.testing.assert_allclose(linear(dn, 0.00341802, 149), [149.003418, 285.7208], rtol=1e-6)


@given(
    arrays(np.float32, (3, 2), elements=st.floats(-0.125, 6.25, width=32)),
    arrays(np.float32, (3, 1), elements=st.floats(0, 655, width=32)),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=3),
)
def test_quantised_images_come_back_within_half_a_step(reflectance, kelvin, holes):
    image = np.concatenate([reflectance, kelvin], axis=1)[None]
    for row, band in holes:
        image[0, row, band] = np.nan
    dn, scale, offset = quantise(image, KINDS)
    assert dn.dtype == np.uint16
    back = dequantise(dn, scale, offset)
    assert back.dtype == np.float32
    # A thousandth more for the rounding of float32 itself.
    half = scale * 0.501 + np.spacing(np.abs(np.nan_to_num(image)))
    np.testing.assert_array_equal(np.isnan(back), np.isnan(image))
    assert (np.abs(back - image) <= half)[~np.isnan(image)].all()
    again, *_ = quantise(back, KINDS)
    np.testing.assert_array_equal(again, dn)


def test_what_is_out_of_range_goes_to_the_nearest_end_and_never_to_no_data():
    image = np.array([[-1.0, 7.0, np.inf, np.nan]], np.float32).T
    dn, scale, offset = quantise(image, [Kind.REFLECTANCE])
    assert dn.ravel().tolist() == [0, NO_DATA_DN - 1, NO_DATA_DN, NO_DATA_DN]
    np.testing.assert_allclose(dequantise(dn, scale, offset)[:2, 0], [-0.2, 6.3534], rtol=1e-5)


def test_sentinel_2_numbers_are_kept_exactly():
    """Its products are in steps of 1/10000: whole steps of the stored form."""
    reflectance = (np.arange(0, 20_000, 7) / np.float32(10_000)).astype(np.float32)[:, None]
    dn, *_ = quantise(reflectance, [Kind.REFLECTANCE])
    np.testing.assert_array_equal(dn[:, 0], np.arange(0, 20_000, 7) + 2_000)


def test_radiance_given_as_a_range_of_digital_numbers():
    """Landsat 7 band 1 at low gain: -6.2 W m-2 sr-1 um-1 at digital number 1, 293.7 at 255."""
    mult, add = range_factors(-6.2, 293.7, 1, 255)
    radiance = linear(np.array([1, 128, 255], np.uint8), mult, add)
    np.testing.assert_allclose(radiance, [-6.2, 143.75, 293.7], rtol=1e-5)
    with pytest.raises(ValueError, match="no range"):
        range_factors(293.7, -6.2, 1, 255)


def test_reflectance_from_radiance_needs_sunlight_distance_and_elevation():
    """By hand: L = 100, ESUN = 1970, d = 0.99, sun at 30 degrees: pi x 100 x 0.9801 / 985."""
    mult, add = reflectance_factors(0.5, 10, 1970, 0.99)
    dn = np.array([180], np.uint8)  # 180 x 0.5 + 10 = 100
    expected = np.pi * 100 * 0.9801 / 985
    np.testing.assert_allclose(toa_reflectance(dn, mult, add, 30), [expected], rtol=1e-5)
    for irradiance, distance_au in ((0, 1), (1970, -1)):
        with pytest.raises(ValueError, match="must be positive"):
            reflectance_factors(0.5, 10, irradiance, distance_au)


@pytest.mark.parametrize(
    ("day", "distance_au"), [(3, 0.98330), (93, 0.99969), (185, 1.01670), (277, 1.00008)]
)
def test_earth_sun_distance(day, distance_au):
    """Perihelion, aphelion and the days between: the orbit's eccentricity is 0.0167."""
    assert earth_sun_distance_au(day) == pytest.approx(distance_au, abs=5e-4)


@pytest.mark.parametrize("day", [0, 367])
def test_there_are_366_days(day):
    with pytest.raises(ValueError, match="1 to 366"):
        earth_sun_distance_au(day)
