"""Augmentations leave the label true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permjax import augmentation
from permjax.bands import Kind
from permjax.radiometry import NO_DATA_DN
from permjax.sensors import SENSORS

BANDS = SENSORS["landsat8_oli_tirs"].describe()
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def coded(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of one band whose values repeat its label, so that what moves one must move both."""
    label = np.arange(1, height * width + 1, dtype=np.uint8).reshape(height, width)
    return label[..., None].astype(np.float32), label


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 9), seeds)
def test_crop_keeps_image_and_label_together(height, width, size, rng):
    image, label = coded(height, width)
    image, label = augmentation.random_crop(image.astype(np.uint16), label, size, rng)
    assert label.shape == (size, size)
    there = label != 0
    assert there.sum() == min(height, size) * min(width, size)
    np.testing.assert_array_equal(image[there, 0], label[there])
    assert (image[~there] == NO_DATA_DN).all()


@given(seeds)
def test_turn_keeps_image_and_label_together(rng):
    image, label = augmentation.random_turn(*coded(7, 7), rng)
    np.testing.assert_array_equal(image[..., 0], label)
    assert sorted(label.ravel()) == list(range(1, 50))


def test_all_eight_turns_occur():
    turns = (augmentation.random_turn(*coded(3, 3), np.random.default_rng(k)) for k in range(100))
    assert len({label.tobytes() for _, label in turns}) == 8


@given(st.integers(1, 36), st.integers(1, 13), seeds)
def test_bands_are_a_sorted_set_within_the_limit(count, most, rng):
    wavelength_nm = np.linspace(420, 12_000, count)
    kind = np.where(wavelength_nm < 5000, Kind.REFLECTANCE, Kind.BRIGHTNESS_TEMPERATURE)
    chosen = augmentation.random_bands(wavelength_nm, kind, most, rng)
    assert 1 <= len(chosen) <= min(count, most)
    assert (np.diff(chosen) > 0).all()
    assert chosen.max() < count


def test_band_sets_vary_and_include_all_bands_and_visible_ones_alone():
    sets = [
        tuple(
            augmentation.random_bands(BANDS.wavelength_nm, BANDS.kind, 13, np.random.default_rng(k))
        )
        for k in range(300)
    ]
    assert tuple(range(11)) in sets
    assert any((BANDS.wavelength_nm[list(chosen)] < 950).all() for chosen in sets)
    assert {len(chosen) for chosen in sets} == set(range(3, 12))
    rgb, rgb_and_near_infrared = (1, 2, 3), (1, 2, 3, 4)  # B2 to B5 of Landsat 8
    assert sets.count(rgb) > 10
    assert sets.count(rgb_and_near_infrared) > 10


def test_heat_alone_gives_a_set_of_bands_too():
    for k in range(50):
        chosen = augmentation.random_bands(
            np.array([10_900, 12_000]), np.full(2, 2), 4, np.random.default_rng(k)
        )
        assert chosen.tolist() in ([0, 1], [0], [1])


@given(seeds)
def test_descriptions_err_little_and_stay_possible(rng):
    moved = augmentation.random_description(BANDS, rng)
    away = np.abs(moved.wavelength_nm - BANDS.wavelength_nm) / BANDS.bandwidth_nm
    assert 0 < away.max() < 0.35  # seven standard deviations
    assert (np.abs(np.log(moved.bandwidth_nm / BANDS.bandwidth_nm)) < 0.7).all()
    np.testing.assert_array_equal(moved.kind, BANDS.kind)
    assert moved.wavelength_nm.dtype == moved.bandwidth_nm.dtype == np.float32


@given(seeds)
def test_radiometry_errs_little_and_keeps_no_data(rng):
    image = np.full((32, 32, 11), 0.4, np.float32)
    image[..., BANDS.kind == Kind.BRIGHTNESS_TEMPERATURE] = 290
    image[:4] = np.nan
    changed = augmentation.random_radiometry(image, BANDS, rng)
    assert changed.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(changed), np.isnan(image))
    error = np.abs(np.nanmean(changed, axis=(0, 1)) - np.nanmean(image, axis=(0, 1)))
    thermal = BANDS.kind == Kind.BRIGHTNESS_TEMPERATURE
    assert error[~thermal].max() < 0.4 * 0.4  # six standard deviations
    assert error[thermal].max() < 13


def test_rayleigh_optical_thickness_by_hand():
    """Hansen and Travis 1974, eq. 2.29 at 550 nm: 0.008569 / 0.55^4 x 1.03878 = 0.0973."""
    assert augmentation.rayleigh_optical_thickness(np.array([550.0])) == pytest.approx(0.0973, 1e-3)


def test_surface_estimate_darkens_blue_most_and_leaves_heat_alone():
    image = np.full((2, 2, 11), 0.15, np.float32)
    thermal = BANDS.kind == Kind.BRIGHTNESS_TEMPERATURE
    image[..., thermal] = 290
    surface, bands = augmentation.as_surface_reflectance(image, BANDS, sun_elevation_deg=30)
    np.testing.assert_array_equal(surface[..., thermal], image[..., thermal])
    np.testing.assert_array_equal(bands.kind[thermal], BANDS.kind[thermal])
    assert (bands.kind[~thermal] == Kind.SURFACE_REFLECTANCE).all()
    by_wavelength = np.argsort(BANDS.wavelength_nm[~thermal])
    assert (np.diff(surface[0, 0, ~thermal][by_wavelength]) > 0).all()
    assert surface[0, 0, 0] < 0.08  # coastal blue: path reflectance about 0.12 at this sun
    assert surface[0, 0, 6] == pytest.approx(0.15, abs=2e-3)  # 2.2 um: hardly any scattering


def test_surface_estimate_leaves_bands_of_surface_reflectance_alone():
    image = np.full((2, 2, 11), 0.15, np.float32)
    reflective = BANDS.kind != Kind.BRIGHTNESS_TEMPERATURE
    surface_kind = np.where(reflective, Kind.SURFACE_REFLECTANCE, BANDS.kind).astype(np.int32)
    surface = BANDS._replace(kind=surface_kind)
    same, bands = augmentation.as_surface_reflectance(image, surface, sun_elevation_deg=30)
    np.testing.assert_array_equal(same, image)
    np.testing.assert_array_equal(bands.kind, surface_kind)

    first_is_surface = np.where(np.arange(11) == 0, Kind.SURFACE_REFLECTANCE, BANDS.kind)
    mixed = BANDS._replace(kind=first_is_surface.astype(np.int32))
    changed, bands = augmentation.as_surface_reflectance(image, mixed, sun_elevation_deg=30)
    all_changed, _ = augmentation.as_surface_reflectance(image, BANDS, sun_elevation_deg=30)
    np.testing.assert_array_equal(changed[..., 0], image[..., 0])
    np.testing.assert_array_equal(changed[..., 1:], all_changed[..., 1:])
    assert (changed[..., 1] < image[..., 1]).all()
    np.testing.assert_array_equal(bands.kind, surface_kind)


def test_surface_estimate_without_a_sun_elevation_is_finite():
    image = np.full((2, 2, 11), 0.15, np.float32)
    surface, _ = augmentation.as_surface_reflectance(image, BANDS, sun_elevation_deg=float("nan"))
    assert np.isfinite(surface).all()


def test_half_the_resolution_keeps_means_and_all_that_a_pixel_may_be():
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    image[3, 3] = np.nan
    label = np.array([[1, 2, 4, 4], [1, 1, 4, 4], [8, 1, 2, 2], [1, 0, 2, 2]], np.uint8)
    coarse, sets = augmentation.halve(image, label)
    np.testing.assert_array_equal(coarse[..., 0], [[2.5, 4.5], [10.5, np.nan]])
    np.testing.assert_array_equal(sets, [[3, 4], [0, 2]])
