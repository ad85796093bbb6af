"""The laws of CloudMasker."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from permjax.bands import BandDescription, Kind
from permjax.models import CloudMasker, DescriptorEncoder, ModelConfig, normalise

SMALL = ModelConfig(features=(8, 12), descriptor_size=6)


def trained(model: CloudMasker) -> CloudMasker:
    """With numbers in the place of the zeros that training begins with."""
    rngs = nnx.Rngs(1)
    for _, variable in nnx.to_flat_state(nnx.state(model)):
        if not np.any(variable[...]):
            variable[...] = 0.1 * jax.random.normal(rngs.params(), variable.shape)
    return model


@pytest.fixture(scope="module", params=["pairs and sums", "pairs", "sums"])
def model(request):
    config = replace(SMALL, pairs="pairs" in request.param, sums="sums" in request.param)
    masker = trained(CloudMasker(config, rngs=nnx.Rngs(0)))
    return partial(nnx.jit(CloudMasker.__call__), masker)


def scene(height: int = 20, width: int = 24, seed: int = 0):
    """Two images of five bands, one of them thermal."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 1, (2, height, width, 5)).astype(np.float32)
    image[..., 4] = rng.uniform(220, 310, (2, height, width))
    bands = BandDescription(
        np.tile(np.array([490, 560, 665, 1610, 10900], np.float32), (2, 1)),
        np.tile(np.array([65, 35, 30, 90, 600], np.float32), (2, 1)),
        np.tile(np.array([0, 0, 0, 0, Kind.BRIGHTNESS_TEMPERATURE], np.int32), (2, 1)),
    )
    return image, bands, np.ones((2, 5), bool)


def test_order_of_bands_does_not_matter(model):
    image, bands, valid = scene()
    order = np.array([3, 0, 4, 2, 1])
    permuted = BandDescription(*(part[:, order] for part in bands))
    np.testing.assert_allclose(
        model(image[..., order], permuted, valid), model(image, bands, valid), atol=1e-4
    )


def test_bands_that_are_not_there_change_nothing(model):
    image, bands, valid = scene()
    filler = ((0, 0), (0, 2))
    padded = BandDescription(*(np.pad(part, filler) for part in bands))
    more = np.pad(image, ((0, 0), (0, 0), (0, 0), (0, 2)), constant_values=np.nan)
    np.testing.assert_allclose(
        model(more, padded, np.pad(valid, filler)), model(image, bands, valid), atol=1e-4
    )


def test_descriptions_matter(model):
    """The same pixels said to be other wavelengths are another scene."""
    image, bands, valid = scene()
    moved = bands._replace(wavelength_nm=bands.wavelength_nm + np.float32(300))
    assert np.abs(model(image, moved, valid) - model(image, bands, valid)).max() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 30), (16, 16)])
def test_any_height_and_width(model, height, width):
    image, bands, valid = scene(height, width)
    logits = model(image, bands, valid)
    assert logits.shape == (2, height, width, 4)
    assert np.isfinite(logits).all()


def test_far_pixels_do_not_matter(model):
    """No statistics of the patch: what lies beyond the field of view changes nothing at all.

    So the inside of a cloud looks the same however much cloud there is, and a scene may be masked
    in windows.
    """
    image, bands, valid = scene(96, 96)
    changed = image.copy()
    changed[:, 64:] = 0.9
    near, far = model(image, bands, valid), model(changed, bands, valid)
    np.testing.assert_array_equal(near[:, :16], far[:, :16])
    assert np.abs(near[:, 70:] - far[:, 70:]).max() > 1e-3


def test_no_data_gives_finite_logits_and_gradients():
    image, bands, valid = scene()
    image[:, :5] = np.nan
    graphdef, params = nnx.split(CloudMasker(SMALL, rngs=nnx.Rngs(0)))

    def loss(params):
        return jnp.sum(nnx.merge(graphdef, params)(image, bands, valid) ** 2)

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(params)))


def test_descriptor_encoding_is_smooth():
    """One nanometre moves a code by little, at every wavelength from 400 nm to 14 um."""
    encoder = DescriptorEncoder(8, rngs=nnx.Rngs(0))
    wavelength_nm = np.geomspace(400, 14_000, 50, dtype=np.float32)

    def codes(wavelength_nm):
        width = np.full(50, 30, np.float32)
        bands = BandDescription(wavelength_nm, width, np.zeros(50, np.int32))
        return encoder(bands, np.ones(50, bool))

    step = np.abs(codes(wavelength_nm + np.float32(1)) - codes(wavelength_nm)).max(axis=-1)
    spread = np.asarray(codes(wavelength_nm)).std(axis=0).max()
    assert step.max() < 0.2 * spread


def test_normalise_keeps_order_and_units():
    """Brighter stays brighter and warmer stays warmer; no data becomes 0; both scales are alike."""
    reflectance = np.linspace(0, 1.3, 50, dtype=np.float32)
    kelvin = np.linspace(200, 330, 50, dtype=np.float32)
    image = np.stack([reflectance, kelvin], axis=-1)[None, None]
    kind = np.array([[Kind.REFLECTANCE, Kind.BRIGHTNESS_TEMPERATURE]])
    values = np.asarray(normalise(image, kind))
    assert (np.diff(values, axis=2) > 0).all()
    assert np.abs(values).max() < 3
    assert not np.asarray(normalise(np.full_like(image, np.nan), kind)).any()


def test_bfloat16_is_close():
    image, bands, valid = scene()
    exact = CloudMasker(SMALL, rngs=nnx.Rngs(0))(image, bands, valid)
    config = ModelConfig(features=(8, 12), descriptor_size=6, bfloat16=True)
    rounded = CloudMasker(config, rngs=nnx.Rngs(0))(image, bands, valid)
    assert rounded.dtype == jnp.float32
    assert np.abs(rounded - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize("bfloat16", [True, False])
def test_the_first_layer_gives_the_dtype_that_is_computed_in(bfloat16):
    image, bands, valid = scene()
    model = CloudMasker(replace(SMALL, bfloat16=bfloat16), rngs=nnx.Rngs(0))
    y = model.stem(normalise(image, bands.kind), model.encoder(bands, valid), valid)
    assert y.dtype == (jnp.bfloat16 if bfloat16 else jnp.float32)


def test_a_band_is_encoded_by_what_others_are_there():
    _, bands, valid = scene()
    encoder = trained(CloudMasker(SMALL, rngs=nnx.Rngs(0))).encoder
    fewer = valid.copy()
    fewer[:, 3] = False
    change = np.abs(encoder(bands, fewer) - encoder(bands, valid)).max((0, 2))
    assert (change[[0, 1, 2, 4]] > 1e-4).all()


def test_a_model_that_sees_nothing_is_refused():
    with pytest.raises(ValueError, match="sees nothing"):
        ModelConfig(pairs=False, sums=False)


def test_a_model_without_size_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        ModelConfig(features=())
