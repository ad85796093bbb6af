"""The laws of PairwiseBandConv, for each implementation of it, and of BandSumConv."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from permjax.layers import BandSumConv, PairwiseBandConv

DESCRIPTOR_SIZE = 3


def layer(implementation: Any, **settings) -> PairwiseBandConv:
    settings = {"features": 4, "kernel_size": 3, "rngs": nnx.Rngs(0)} | settings
    made = PairwiseBandConv(
        descriptor_size=DESCRIPTOR_SIZE, implementation=implementation, **settings
    )
    made.bias[...] = jnp.linspace(-0.2, 0.3, settings["features"])
    return made


def inputs(bands: int, height: int = 6, width: int = 5, batch: tuple[int, ...] = (2,), seed=0):
    rng = np.random.default_rng(seed)
    return (
        jnp.asarray(rng.normal(size=(*batch, height, width, bands)), jnp.float32),
        jnp.asarray(rng.normal(size=(*batch, bands, DESCRIPTOR_SIZE)), jnp.float32),
        jnp.ones((*batch, bands), bool),
    )


def sums(**settings) -> BandSumConv:
    settings = {"features": 4, "rngs": nnx.Rngs(0)} | settings
    made = BandSumConv(descriptor_size=DESCRIPTOR_SIZE, **settings)
    made.bias[...] = jnp.linspace(-0.2, 0.3, settings["features"])
    return made


both = pytest.mark.parametrize("implementation", ["reference", "factored"])


def test_equals_the_formula_worked_out_by_loops():
    """The reference is the definition: explicit loops over pixels, pairs and kernel in float64."""
    conv = layer("reference", features=2)
    image, descriptors, valid = inputs(3, batch=())
    valid = valid.at[1].set(False)
    kernel = np.asarray(conv.kernel[...], np.float64)
    descriptor_kernel = np.asarray(conv.descriptor_kernel[...], np.float64)
    bias = np.asarray(conv.bias[...], np.float64)
    x = np.pad(np.asarray(image, np.float64), ((1, 1), (1, 1), (0, 0)))
    d = np.asarray(descriptors, np.float64)
    expected = np.zeros((6, 5, 2))
    for i in (0, 2):
        for j in (0, 2):
            pair = d[i] @ descriptor_kernel[0] + d[j] @ descriptor_kernel[1] + bias
            for row in range(6):
                for column in range(5):
                    around = x[row : row + 3, column : column + 3]
                    sums = np.einsum("yx,yxf->f", around[..., i], kernel[:, :, 0])
                    sums += np.einsum("yx,yxf->f", around[..., j], kernel[:, :, 1])
                    expected[row, column] += np.maximum(sums + pair, 0) / 4
    np.testing.assert_allclose(conv(image, descriptors, valid), expected, rtol=1e-5, atol=1e-6)


@both
@given(order=st.permutations(range(5)))
@settings(max_examples=5, deadline=None)
def test_order_of_bands_does_not_matter(implementation, order):
    conv = layer(implementation)
    image, descriptors, valid = inputs(5)
    valid = valid.at[:, 3].set(False)
    order = jnp.asarray(order)
    permuted = conv(image[..., order], descriptors[:, order], valid[:, order])
    np.testing.assert_allclose(permuted, conv(image, descriptors, valid), rtol=1e-5, atol=1e-6)


@both
@pytest.mark.parametrize("filler", [0.0, 7.0, np.nan, np.inf])
def test_bands_that_are_not_there_change_nothing(implementation, filler):
    conv = layer(implementation)
    image, descriptors, valid = inputs(3)
    padded = conv(
        jnp.pad(image, ((0, 0), (0, 0), (0, 0), (1, 2)), constant_values=filler),
        jnp.pad(descriptors, ((0, 0), (1, 2), (0, 0)), constant_values=filler),
        jnp.pad(valid, ((0, 0), (1, 2))),
    )
    np.testing.assert_allclose(padded, conv(image, descriptors, valid), rtol=1e-5, atol=1e-6)


@both
def test_each_image_of_a_batch_has_its_own_bands(implementation):
    conv = layer(implementation)
    image, descriptors, valid = inputs(4, batch=(3,))
    valid = jnp.asarray([[1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0]], bool)
    together = conv(image, descriptors, valid)
    for b in range(3):
        there = np.flatnonzero(valid[b])
        alone = conv(image[b][..., there], descriptors[b][there], valid[b][there])
        np.testing.assert_allclose(together[b], alone, rtol=1e-5, atol=1e-6)


@both
def test_one_band_is_the_pair_of_it_with_itself(implementation):
    conv = layer(implementation)
    image, descriptors, valid = inputs(1)
    twice = conv(
        jnp.concatenate([image, image], -1),
        jnp.concatenate([descriptors, descriptors], 1),
        jnp.concatenate([valid, valid], 1),
    )
    np.testing.assert_allclose(conv(image, descriptors, valid), twice, rtol=1e-5, atol=1e-6)


@both
def test_without_a_valid_band_the_output_is_zero(implementation):
    image, descriptors, valid = inputs(2)
    assert not np.any(layer(implementation)(image * jnp.nan, descriptors, ~valid))


@both
def test_other_activations(implementation):
    """phi is free: a smooth one agrees with the formula on a single pixel."""
    conv = layer(implementation, activation=jnp.tanh, kernel_size=1)
    image, descriptors, valid = inputs(2, 1, 1, batch=())
    k, w = conv.kernel[...][0, 0], conv.descriptor_kernel[...]
    expected = sum(
        jnp.tanh(
            image[0, 0, i] * k[0] + image[0, 0, j] * k[1]
            + descriptors[i] @ w[0] + descriptors[j] @ w[1] + conv.bias[...]
        ) / 4
        for i in range(2) for j in range(2)
    )  # fmt: skip
    np.testing.assert_allclose(conv(image, descriptors, valid)[0, 0], expected, rtol=1e-5)


def test_gradients_follow_the_order_of_bands():
    image, descriptors, valid = inputs(4)
    order = jnp.asarray([2, 0, 3, 1])

    def of_inputs(image, descriptors, valid):
        loss = lambda image, descriptors: jnp.sum(  # noqa: E731
            jnp.sin(layer("factored")(image, descriptors, valid))
        )
        return jax.grad(loss, (0, 1))(image, descriptors)

    of_image, of_descriptors = of_inputs(image, descriptors, valid)
    permuted = of_inputs(image[..., order], descriptors[:, order], valid[:, order])
    np.testing.assert_allclose(permuted[0], of_image[..., order], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(permuted[1], of_descriptors[:, order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("made", [partial(layer, "reference"), partial(layer, "factored"), sums])
def test_axes_that_do_not_agree_are_refused(made):
    conv, (image, descriptors, valid) = made(), inputs(3)
    for wrong in (
        (image, descriptors[:, :2], valid),
        (image, descriptors[..., :1], valid),
        (image, descriptors[0], valid[0]),
        (image, descriptors, valid[:, :2]),
    ):
        with pytest.raises(ValueError, match=r"needs descriptors \(2, 3, 3\) and flags \(2, 3\)"):
            conv(*wrong)
    with pytest.raises(ValueError, match="no pixels or no bands"):
        conv(image[..., :0], descriptors[:, :0], valid[:, :0])


@both
def test_no_images_give_no_output(implementation):
    image, descriptors, valid = inputs(3, batch=(0,))
    loss = lambda image: layer(implementation)(image, descriptors, valid).sum()  # noqa: E731
    assert jax.grad(loss)(image).shape == image.shape


def test_a_module_is_no_activation():
    with pytest.raises(ValueError, match="without parameters"):
        layer("factored", activation=nnx.PReLU())


@given(order=st.permutations(range(5)))
@settings(max_examples=5, deadline=None)
def test_sums_do_not_depend_on_the_order_of_bands(order):
    image, descriptors, valid = inputs(5)
    valid = valid.at[:, 3].set(False)
    order = jnp.asarray(order)
    permuted = sums()(image[..., order], descriptors[:, order], valid[:, order])
    np.testing.assert_allclose(permuted, sums()(image, descriptors, valid), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("filler", [0.0, 7.0, np.nan, np.inf])
def test_bands_that_are_not_there_change_no_sum(filler):
    image, descriptors, valid = inputs(3)
    padded = sums()(
        jnp.pad(image, ((0, 0), (0, 0), (0, 0), (1, 2)), constant_values=filler),
        jnp.pad(descriptors, ((0, 0), (1, 2), (0, 0)), constant_values=filler),
        jnp.pad(valid, ((0, 0), (1, 2))),
    )
    np.testing.assert_allclose(padded, sums()(image, descriptors, valid), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("strides", [1, 2, 3])
def test_for_one_set_of_bands_the_sum_is_an_ordinary_convolution(strides):
    """Of kernels K(d_i) / m and the bias b + sum over i of W d_i / m."""
    layer, (image, descriptors, valid) = sums(strides=strides), inputs(4)
    d = descriptors[0]
    kernel = jnp.einsum("nd,kdf->knf", d, layer.kernel[...]).reshape(3, 3, 4, -1) / 4
    bias = layer.bias[...] + (d @ layer.descriptor_kernel[...]).sum(0) / 4
    expected = jax.lax.conv_general_dilated(
        image, kernel, (strides, strides), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    ours = layer(image, jnp.stack([d, d]), valid)
    np.testing.assert_allclose(ours, expected + bias, rtol=1e-5, atol=1e-5)


def test_without_a_valid_band_the_sum_is_its_bias():
    image, descriptors, valid = inputs(2)
    y = sums()(image * jnp.nan, descriptors, ~valid)
    np.testing.assert_allclose(y, jnp.broadcast_to(sums().bias[...], y.shape))
