"""The fast sum over pairs equals the definition, whatever way it takes, and stays small."""

from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from permjax import pairs
from permjax.layers import PairwiseBandConv

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "silu": jax.nn.silu}


ways = pytest.mark.parametrize("way", ["unrolled", "blocks", "accelerator"])


@contextmanager
def taking(way):
    """Makes the few bands and pixels of a test take a way that is meant for many."""
    with pytest.MonkeyPatch.context() as patch:
        if way != "unrolled":
            patch.setattr(pairs, "UNROLLED_BANDS", 0)
        # Backwards there are always blocks: here of a few rows and five columns.
        patch.setattr(pairs, "CACHE_BYTES", 3000)
        patch.setattr(pairs, "BLOCK_COLUMNS", 5)
        patch.setattr(pairs, "ACCELERATOR_BYTES", 30_000)
        if way == "accelerator":
            patch.setattr(jax, "default_backend", lambda: "gpu")
        jax.clear_caches()  # What was compiled before took another way.
        yield
    jax.clear_caches()


def made(implementation, **form):
    form = {"features": 4, "descriptor_size": 3, "rngs": nnx.Rngs(0)} | form
    layer = PairwiseBandConv(implementation=implementation, **form)
    layer.bias[...] = jnp.linspace(-0.2, 0.3, form["features"], dtype=layer.bias.dtype)
    return layer


def inputs(bands, height, width, seed=0, images=2):
    rng = np.random.default_rng(seed)
    valid = rng.random((images, bands)) < 0.8
    image = np.where(valid[:, None, None], rng.normal(size=(images, height, width, bands)), np.nan)
    return jnp.asarray(image), jnp.asarray(rng.normal(size=(images, bands, 3))), jnp.asarray(valid)


def outputs_and_gradients(layer, image, descriptors, valid):
    """The output, and the gradients of parameters, image and descriptors of a curved loss."""
    graphdef, params = nnx.split(layer)

    def loss(params, image, descriptors):
        y = nnx.merge(graphdef, params)(image, descriptors, valid)
        return jnp.sum(jnp.sin(3 * y)), y

    gradients, y = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(
        params, image, descriptors
    )
    return y, gradients


def assert_close(ours, theirs, tolerance):
    """Finite, and equal relative to the greatest value of the array."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.all(np.isfinite(a))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1e-3))


forms = given(
    bands=st.integers(1, 7),
    height=st.integers(5, 14),
    width=st.integers(5, 14),
    kernel_size=st.sampled_from([1, 2, 3, 5]),
    strides=st.sampled_from([1, 1, 2, 3, 6]),
    padding=st.sampled_from(["SAME", "VALID"]),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    seed=st.integers(0, 1000),
)


def compare(bands, height, width, activation, seed, tolerance, **form):
    form["activation"] = ACTIVATIONS[activation]
    given = inputs(bands, height, width, seed)
    ours = outputs_and_gradients(made("factored", **form), *given)
    assert_close(ours, outputs_and_gradients(made("reference", **form), *given), tolerance)


@ways
@forms
@settings(max_examples=6)
def test_equals_the_reference_in_float64(way, **form):
    """The same function: with 16 digits no rounding hides a wrong pixel, band or kernel element."""
    with taking(way), jax.enable_x64(True):
        compare(**form, tolerance=1e-9)


@ways
@forms
# The same examples each time: at the corner of ReLU rounding may choose the other slope.
@settings(max_examples=6, derandomize=True)
def test_equals_the_reference_in_float32(way, **form):
    with taking(way):
        compare(**form, tolerance=1e-5)


@pytest.mark.parametrize("bands", [pairs.UNROLLED_BANDS, pairs.UNROLLED_BANDS + 1, 130])
def test_equals_the_reference_on_both_sides_of_the_choice_and_for_many_bands(bands):
    given = inputs(bands, 5, 4, images=1)
    ours = outputs_and_gradients(made("factored"), *given)
    assert_close(ours, outputs_and_gradients(made("reference"), *given), 1e-5)


@ways
def test_bfloat16_rounds_images_and_outputs_and_nothing_between(way):
    """Of inputs that bfloat16 holds, output and gradients are those of float32, rounded once."""
    image, descriptors, valid = inputs(6, 7, 6)
    image = jnp.asarray(image, jnp.bfloat16).astype(jnp.float32)
    exact, rounded = made("factored"), made("factored", dtype=jnp.bfloat16)
    for layer in (exact, rounded):
        layer.kernel[...] = layer.kernel[...].astype(jnp.bfloat16).astype(jnp.float32)

    def results(layer):
        y = layer(image, descriptors, valid)
        cotangent = jnp.cos(jnp.arange(y.size)).reshape(y.shape)
        loss = lambda image: jnp.sum(layer(image, descriptors, valid) * cotangent)  # noqa: E731
        return y.astype(jnp.float32), jax.grad(loss)(image)

    with taking(way):
        assert rounded(image, descriptors, valid).dtype == jnp.bfloat16
        assert_close(results(rounded), results(exact), 2**-7)
        close = np.isclose(results(rounded)[0], results(exact)[0], rtol=2**-8, atol=1e-6)
        assert close.all()


@pytest.mark.parametrize("width", [4, 11])
def test_blocks_that_reach_beyond_the_image_do_no_harm(width):
    """With phi = sqrt the slope is infinite there: zeros of padding, no bias, and no NaN."""
    layer = made("factored", activation=jnp.sqrt, padding="VALID")
    layer.bias[...] = jnp.zeros(4)
    layer.kernel[...] = jnp.abs(layer.kernel[...])
    image = jnp.asarray(np.random.default_rng(0).uniform(1, 2, (7, width, 3)), jnp.float32)
    with taking("blocks"):
        loss = lambda image: layer(image, jnp.zeros((3, 3)), jnp.ones(3, bool)).sum()  # noqa: E731
        assert np.isfinite(jax.grad(loss)(image)).all()


@ways
def test_the_same_under_jit_vmap_and_remat(way):
    layer = made("factored")
    image, descriptors, valid = inputs(5, 7, 6)
    image = jnp.nan_to_num(image)

    @jax.vmap
    def of_image(image, descriptors, valid):
        remembered = jax.checkpoint(lambda image: layer(image, descriptors, valid))
        return jax.grad(lambda image: jnp.sum(jnp.sin(3 * remembered(image))))(image)

    with taking(way):
        y, gradients = outputs_and_gradients(layer, image, descriptors, valid)
        assert_close(layer(image, descriptors, valid), y, 1e-5)
        assert_close(jax.vmap(layer)(image, descriptors, valid), y, 1e-5)
        assert_close(of_image(image, descriptors, valid), gradients[1], 1e-5)


def temporary_bytes(bands, implementation, backward):
    """XLA's own account of a program on 64 x 64 pixels, which is compiled and not run."""
    graphdef, params = nnx.split(made(implementation, features=32))

    def loss(params, image, descriptors, valid):
        return jnp.sum(jnp.sin(nnx.merge(graphdef, params)(image, descriptors, valid)))

    function = jax.jit(jax.grad(loss, (0, 1, 2)) if backward else loss)
    lowered = function.lower(
        params, jnp.ones((64, 64, bands)), jnp.ones((bands, 3)), jnp.ones(bands, bool)
    )
    analysis = lowered.compile().memory_analysis()
    assert analysis
    return analysis.temp_size_in_bytes


@pytest.mark.parametrize("backward", [False, True])
def test_memory_grows_with_the_bands_and_not_with_the_pairs(backward):
    small, large = (temporary_bytes(bands, "factored", backward) for bands in (32, 64))
    assert large < 2.5 * small
    assert large < temporary_bytes(64, "reference", backward) / (10 if backward else 20)


def test_the_program_grows_with_the_bands_and_not_with_the_pairs():
    def lines(bands):
        layer = made("factored")
        image, descriptors, valid = inputs(bands, 5, 5, images=1)
        loss = jax.grad(lambda image: jnp.sum(layer(image, descriptors, valid)))
        return jax.jit(loss).lower(image).as_text().count("\n")

    assert lines(128) < 2.2 * lines(64)


def test_an_image_smaller_than_the_kernel_is_refused_without_padding():
    with pytest.raises(ValueError, match="2 x 4 pixels are fewer than the kernel's 3 x 3"):
        made("factored", padding="VALID")(*inputs(2, 2, 4))
