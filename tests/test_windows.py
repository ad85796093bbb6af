"""Windows: together they are the whole, and no more of them than must be."""

from functools import partial

import jax
import numpy as np
import pytest
from fake_models import BANDS, DESCRIBED, brightness, cloud_masker
from hypothesis import given, settings
from hypothesis import strategies as st

from permjax.bands import BandDescription
from permjax.classes import NO_DATA
from permjax.inference import Masker
from permjax.windows import STEPS_AFTER, STEPS_BEFORE


@settings(max_examples=6)  # Each compiles anew.
@given(height=st.integers(1, 80), width=st.integers(1, 80), window_size=st.integers(12, 40))
def test_windows_together_are_the_whole(height, width, window_size):
    """For a model of single pixels, whatever the sizes, and with holes in the data."""
    rng = np.random.default_rng([height, width])
    image = rng.uniform(0, 1, (height, width, 2)).astype(np.float32)
    image[rng.uniform(size=(height, width)) < 0.3] = np.nan
    whole = Masker(brightness).predict(image, **BANDS)
    tiled = Masker(brightness, window_size=window_size).predict(image, **BANDS)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    assert ((tiled.classes == NO_DATA) == np.isnan(image).all(-1)).all()


@pytest.mark.parametrize("shape", [(160, 200), (203, 131), (97, 230)])
def test_windows_of_a_model_with_context_are_the_whole(shape):
    """No seams: with weights at random, far context included."""
    rng = np.random.default_rng(0)
    image = rng.uniform(0.1, 1, (*shape, 2)).astype(np.float32)
    model = cloud_masker()
    whole = Masker(model).predict(image, **BANDS)
    tiled = Masker(model, window_size=112).predict(image, **BANDS)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    np.testing.assert_array_equal(tiled.classes, whole.classes)


@pytest.mark.parametrize("features", [(8, 8), (8, 8, 8, 8)])
def test_a_model_sees_no_farther_than_its_windows_allow(features):
    """The gradient by the image is zero beyond; and not far within, so little is wasted."""
    model = cloud_masker(features)
    size = 16 * model.step
    bands = BandDescription(*(part[None, :1] for part in DESCRIBED))
    image = np.random.default_rng(0).uniform(0.1, 1, (1, size, size, 1)).astype(np.float32)

    def at(pixel, image):
        return (model(image, bands, np.ones((1, 1), bool))[0, pixel, pixel] ** 2).sum()

    before, after = [], []
    for pixel in (8 * model.step, 9 * model.step - 1):
        seen = np.abs(jax.jit(jax.grad(partial(at, pixel)))(image)[0, :, :, 0]).sum(1).nonzero()[0]
        before.append(pixel - seen.min())
        after.append(seen.max() - pixel)
    assert (STEPS_BEFORE - 3) * model.step < max(before) <= STEPS_BEFORE * model.step
    assert (STEPS_AFTER - 3) * model.step < max(after) <= STEPS_AFTER * model.step


def test_images_of_many_sizes_and_windows_share_compiled_shapes():
    shapes = []

    def model(image, bands, valid):
        shapes.append(image.shape)
        return brightness(image, bands, valid)

    image = np.random.default_rng(0).uniform(0, 1, (37, 53, 2)).astype(np.float32)
    masker = Masker(model, window_size=16)
    masker.predict(image, **BANDS)
    masker.predict(image[::-1], **BANDS)
    assert len(shapes) == 1
    masker = Masker(model)
    shapes.clear()
    for size in range(97, 113):
        masker.predict(np.full((size, size, 2), 0.5), **BANDS)
    assert len(shapes) == 1


def test_windows_without_data_cost_nothing():
    """The model never runs on them."""
    seen = []

    def model(image, bands, valid):
        jax.debug.callback(lambda x: seen.append(float(x)), image.mean())
        return brightness(image, bands, valid)

    image = np.full((100, 400, 2), np.nan, np.float32)
    image[:, 390:] = 0.4
    Masker(model, window_size=32).predict(image, **BANDS)
    jax.effects_barrier()
    assert 0 < len(seen) <= 12
