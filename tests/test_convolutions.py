"""The fast gradient of a convolution is its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from permjax.convolutions import AXES, convolve

SIDES = st.integers(1, 9)


@given(SIDES, SIDES, st.integers(1, 4), st.integers(1, 3), st.sampled_from(["SAME", "VALID"]))
@settings(max_examples=20)
def test_outputs_and_gradients_are_those_of_lax(height, width, k, strides, padding):
    k = min(k, height, width)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.normal(size=(2, height, width, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(k, k, 3, 4)), jnp.float32)

    def outputs(function):
        def loss(image, kernel):
            y = function(image, kernel, (strides, strides), padding, dimension_numbers=AXES)
            return jnp.sin(y).sum(), y

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(image, kernel)

    pairs = zip(
        jax.tree.leaves(outputs(convolve)),
        jax.tree.leaves(outputs(lax.conv_general_dilated)),
        strict=True,
    )
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_accelerators_keep_their_own_gradient(monkeypatch):
    """Whose forward mode works, which a custom gradient has not."""
    image, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))

    def tangent():
        y = lambda image: convolve(image, kernel, (1, 1), "SAME", dimension_numbers=AXES)  # noqa: E731
        return jax.jvp(y, (image,), (image,))

    with pytest.raises(TypeError, match="custom_vjp"):
        tangent()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    tangent()
