"""Masks of arrays."""

import jax
import numpy as np
import pytest
from fake_models import BANDS, DESCRIBED, brightness, classes_by_hand, cloud_masker
from flax import nnx

from permjax.bands import BandDescription
from permjax.classes import CLASS_COUNT, NO_DATA
from permjax.inference import Masker


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (37, 53, 2)).astype(np.float32)


def test_classes_are_the_most_probable_and_probabilities_sum_to_one(image):
    mask = Masker(brightness).predict(image, **BANDS)
    assert mask.probabilities.shape == (37, 53, CLASS_COUNT)
    assert mask.probabilities.dtype == np.float32
    assert mask.classes.dtype == np.uint8
    np.testing.assert_allclose(mask.probabilities.sum(-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(mask.classes, classes_by_hand(image))


def test_an_image_of_whole_steps_is_masked_as_the_model_does():
    image = np.random.default_rng(0).uniform(0.1, 1, (128, 64, 2)).astype(np.float32)
    model, bands = cloud_masker(), DESCRIBED
    batch = (image[None], BandDescription(*(part[None] for part in bands)), np.ones((1, 2), bool))
    expected = jax.nn.softmax(model(*batch))[0]
    mask = Masker(model).predict(image, **BANDS)
    np.testing.assert_allclose(mask.probabilities, expected, atol=1e-5)


def test_a_flax_module_is_masked_with(image):
    class Line(nnx.Module):
        def __init__(self):
            self.linear = nnx.Linear(2, CLASS_COUNT, rngs=nnx.Rngs(0))

        def __call__(self, image, bands, valid):
            return self.linear(image)

    model = Line()
    expected = jax.nn.softmax(model.linear(image))
    mask = Masker(model, window_size=16).predict(image, **BANDS)
    np.testing.assert_allclose(mask.probabilities, expected, atol=1e-5)


def test_wrong_input_is_refused(image):
    masker = Masker(brightness)
    with pytest.raises(ValueError, match=r"\[height, width, bands\]"):
        masker.predict(image[..., 0], **BANDS)
    with pytest.raises(ValueError, match="3 values for 2 bands"):
        masker.predict(image, wavelength_nm=[490, 665, 833], bandwidth_nm=[31, 106])
    with pytest.raises(ValueError, match=r"band 1 .* values around .*scale its digital numbers"):
        masker.predict(image * 10_000, **BANDS)
    thermal = {"wavelength_nm": [10_895], "bandwidth_nm": [590], "kind": "brightness_temperature"}
    with pytest.raises(ValueError, match="too cold for kelvin"):
        masker.predict(np.full((4, 4, 1), 21.5), **thermal)
    with pytest.raises(ValueError, match="too hot for kelvin"):
        masker.predict(np.full((4, 4, 1), 29_500), **thermal)
    with pytest.raises(ValueError, match="window_size 8 must be"):
        Masker(brightness, window_size=8)


def test_red_and_blue_in_each_others_place_are_doubted():
    """At the top of the atmosphere blue is brighter than red over all that is dark."""
    image = np.random.default_rng(0).uniform((0.075, 0.03), (0.3, 0.25), (64, 64, 2))
    bands = {"wavelength_nm": [490, 665], "bandwidth_nm": [65, 31]}
    masker = Masker(brightness)
    masker.predict(image, **bands)
    with pytest.warns(UserWarning, match="the image: .*are red and blue swapped"):
        masker.predict(image[..., ::-1], **bands)
    masker.predict(image[..., ::-1], **bands, kind="surface_reflectance")


def test_masked_pixels_hold_no_data(image):
    hidden = np.zeros(image.shape, bool)
    hidden[5:9, 3:20] = True
    hidden[20:30, 10, 1] = True
    expected = Masker(brightness).predict(np.where(hidden, np.nan, image), **BANDS)
    mask = Masker(brightness).predict(np.ma.masked_array(image, hidden), **BANDS)
    np.testing.assert_array_equal(mask.classes, expected.classes)
    assert (mask.classes[5:9, 3:20] == NO_DATA).all()
    assert (mask.classes[20:30, 10] != NO_DATA).all()
    diagonal = np.eye(4, dtype=bool)[..., None].repeat(2, -1)
    whole = np.ma.masked_array(np.ones((4, 4, 2), np.uint8), diagonal)
    assert (np.diag(Masker(brightness).predict(whole, **BANDS).classes) == NO_DATA).all()


@pytest.mark.parametrize("level", [0.1, 0.4, 0.6, 0.8, 1.1])
def test_a_class_is_of_what_a_pixel_reflects_not_of_what_is_around(level):
    """No part of an image is stretched by itself: cloud from edge to edge stays cloud."""
    image = np.full((40, 40, 2), level, np.float32)
    alone = Masker(brightness).predict(image, **BANDS).classes
    np.testing.assert_array_equal(alone, classes_by_hand(image))
    beside = np.concatenate([image, np.full((40, 40, 2), 0.02, np.float32)], axis=1)
    among = Masker(brightness).predict(beside, **BANDS).classes
    np.testing.assert_array_equal(among[:, :40], alone)


def test_a_run_that_breaks_off_waits_for_the_device(image):
    """A process that ends while its device computes may crash."""
    waited = []

    class Computed:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

        def block_until_ready(self):
            waited.append(self)
            return self

    def compute(window, bands):
        if np.isnan(window).any():
            raise RuntimeError("broken off")
        h, w, N = window.shape
        return (
            Computed(np.ones((h, w, CLASS_COUNT), np.float32)),
            Computed(np.zeros((h, w), np.uint8)),
            Computed(np.ones(N, bool)),
        )

    image[-1] = np.nan
    masker = Masker(brightness, window_size=16)
    masker._compute = compute
    with pytest.raises(RuntimeError, match="broken off"):
        masker.predict(image, **BANDS)
    assert len(waited) == 2 * 3
