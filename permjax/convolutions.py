"""A convolution whose gradients are fast on a CPU too.

Axes: B images, H W pixels, F features; k side of the kernel.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

AXES = ("NHWC", "HWIO", "NHWC")


def convolve(image: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **form: Any) -> Any:
    """`lax.conv_general_dilated` as `flax.nnx.Conv` calls it for a plain 2-D convolution.

    The kernel's gradient, which XLA makes a convolution with a kernel of the image's size, is on a
    CPU one matrix product for each element of the kernel instead: up to three times as fast
    (`python benchmarks/train.py`). Same numbers up to rounding; no forward-mode derivative there.

    Args:
        image: `[B, H, W, F]`.
        kernel: `[k, k, F, F']`.
        strides: of both axes.
        padding: "SAME" or "VALID".
        form: what else `flax.nnx.Conv` hands over; on a CPU its defaults alone are understood.
    """
    if jax.default_backend() != "cpu":
        return lax.conv_general_dilated(image, kernel, strides, padding, **form)
    return _convolve(image, kernel, tuple(strides), padding)


def _plain(image: jax.Array, kernel: jax.Array, strides: Any, padding: Any) -> jax.Array:
    return lax.conv_general_dilated(image, kernel, strides, padding, dimension_numbers=AXES)


_convolve = jax.custom_vjp(_plain, nondiff_argnums=(2, 3))


def _forward(image: jax.Array, kernel: jax.Array, strides: Any, padding: Any) -> Any:
    return _plain(image, kernel, strides, padding), (image, kernel)


def _backward(strides: Any, padding: Any, saved: Any, cotangent: jax.Array) -> Any:
    image, kernel = saved
    _, pull_back = jax.vjp(lambda image: _plain(image, kernel, strides, padding), image)
    pads = lax.padtype_to_pads(image.shape[1:3], kernel.shape[:2], strides, padding)
    padded = jnp.pad(image, [(0, 0), *pads, (0, 0)])
    own = cotangent.reshape(-1, cotangent.shape[-1])

    def of_element(place: tuple[int, int]) -> jax.Array:
        """What the pixels that this element of the kernel saw have in common with the gradient."""
        rows, columns = (
            slice(first, first + (count - 1) * step + 1, step)
            for first, count, step in zip(place, cotangent.shape[1:3], strides, strict=True)
        )
        seen = padded[:, rows, columns].reshape(-1, image.shape[-1])
        return lax.dot_general(seen, own, (((0,), (0,)), ((), ())))

    elements = [of_element(place) for place in np.ndindex(*kernel.shape[:2])]
    return pull_back(cotangent)[0], jnp.stack(elements).reshape(kernel.shape)


_convolve.defvjp(_forward, _backward)
