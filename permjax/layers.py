"""PairwiseBandConv, the convolution over sets of described bands, in pure Flax NNX.

Axes: H height, W width, N bands, D descriptor components, F features; `...` any leading axes.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

Array = jax.Array | np.ndarray
Activation = Callable[[jax.Array], jax.Array]
Padding = Literal["SAME", "VALID"]


class PairwiseBandConv(nnx.Module):
    """A convolution of every ordered pair of bands, averaged over the pairs.

    For bands `x_1..x_n` with descriptors `d_1..d_n` and validity flags `v_i`

        y = 1/m^2 * sum over i, j of  v_i v_j * phi(K * [x_i, x_j] + W [d_i, d_j] + b),  m = sum v_i

    with one kernel `K` (k x k, 2 -> F) for all pairs, the descriptors entering as a bias through
    `W` (2 D -> F) and phi an elementwise function. Permuting the bands together with their
    descriptors and flags changes nothing; a band with `v = 0` changes nothing, whatever its pixels
    hold (NaN included), and so neither does padding with such bands. Without a valid band y = 0.
    The definition is from A. Francis, "Sensor-Independent Deep Learning for Cloud Masking".

    Args:
        features: F, the number of output features.
        descriptor_size: D, the number of components of a descriptor.
        kernel_size: k, the side of the square kernel.
        strides: step between output pixels, in pixels.
        padding: "SAME" (zeros around the image) or "VALID".
        activation: phi, elementwise.
        implementation: "factored" splits `K * [x_i, x_j]` into `K_1 * x_i + K_2 * x_j`: n
            convolutions and a sum over pairs that never lies in memory at once. "reference" is the
            definition, one batched convolution over all pairs. They agree to rounding.
        dtype: of the computation; that of the parameters if None.
        rngs: source of the initial parameters.
    """

    def __init__(
        self,
        features: int,
        descriptor_size: int,
        kernel_size: int = 3,
        *,
        strides: int = 1,
        padding: Padding = "SAME",
        activation: Activation = jax.nn.relu,
        implementation: Literal["factored", "reference"] = "factored",
        dtype: jnp.dtype | None = None,
        rngs: nnx.Rngs,
    ):
        if implementation not in ("factored", "reference"):
            raise ValueError(f"implementation is 'factored' or 'reference', not {implementation!r}")
        initial = nnx.initializers.he_normal(in_axis=(0, 1, 2))
        self.kernel = nnx.Param(initial(rngs.params(), (kernel_size, kernel_size, 2, features)))
        descriptor_initial = nnx.initializers.lecun_normal(in_axis=(0, 1))
        self.descriptor_kernel = nnx.Param(
            descriptor_initial(rngs.params(), (2, descriptor_size, features))
        )
        self.bias = nnx.Param(jnp.zeros(features))
        self.strides = strides
        self.padding: Padding = padding
        self.activation = activation
        self.implementation = implementation
        self.dtype = dtype

    def __call__(self, image: Array, descriptors: Array, valid: Array) -> jax.Array:
        """Convolve all pairs of bands.

        Args:
            image: `[..., H, W, N]`.
            descriptors: `[..., N, D]`.
            valid: bool `[..., N]`, False for a band that is not there.

        Returns:
            `[..., H', W', F]`; H' = ceil(H / strides) with "SAME" padding.

        Raises:
            ValueError: if the band axes do not agree.
        """
        if not image.shape[-1] == descriptors.shape[-2] == valid.shape[-1]:
            raise ValueError(
                f"the image has {image.shape[-1]} bands, but there are {descriptors.shape[-2]} "
                f"descriptors and {valid.shape[-1]} validity flags"
            )
        leading = image.shape[:-3]
        image = image.reshape(-1, *image.shape[-3:])
        descriptors = descriptors.reshape(-1, *descriptors.shape[-2:])
        valid = jnp.asarray(valid).reshape(-1, valid.shape[-1])

        convolve = reference if self.implementation == "reference" else factored
        dtype = self.dtype or self.kernel.dtype
        y = convolve(
            jnp.where(valid[:, None, None, :], image, 0).astype(dtype),
            # Descriptions are few and must not blur: they stay in the precision of the parameters.
            jnp.where(valid[..., None], descriptors, 0),
            valid / jnp.maximum(valid.sum(-1, keepdims=True), 1),
            self.kernel[...].astype(dtype),
            self.descriptor_kernel[...],
            self.bias[...],
            Window(self.strides, self.padding, self.activation),
        )
        return y.astype(dtype).reshape(*leading, *y.shape[1:])


class Window(NamedTuple):
    """How the kernel moves, and the function of each pair."""

    strides: int
    padding: Padding
    activation: Activation


def reference(
    image: jax.Array,
    descriptors: jax.Array,
    weights: jax.Array,
    kernel: jax.Array,
    descriptor_kernel: jax.Array,
    bias: jax.Array,
    window: Window,
) -> jax.Array:
    """The definition: one convolution a pair, mapped over all pairs.

    Args:
        image: `[B, H, W, N]`, finite.
        descriptors: `[B, N, D]`, finite.
        weights: `v_i / m`, `[B, N]`.
        kernel: K, `[k, k, 2, F]`.
        descriptor_kernel: W, `[2, D, F]`.
        bias: b, `[F]`.
        window: strides, padding and phi.

    Returns:
        `[B, H', W', F]`.
    """

    def pair(i: jax.Array, j: jax.Array) -> jax.Array:
        y = lax.conv_general_dilated(
            jnp.stack([image[..., i], image[..., j]], axis=-1),
            kernel,
            (window.strides, window.strides),
            window.padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        y_descriptors = descriptors[:, i] @ descriptor_kernel[0]
        y_descriptors += descriptors[:, j] @ descriptor_kernel[1]
        y = window.activation(y + y_descriptors[:, None, None] + bias)
        return (weights[:, i] * weights[:, j])[:, None, None, None] * y

    bands = jnp.arange(image.shape[-1])
    pairs = jax.vmap(jax.vmap(pair, (None, 0)), (0, None))(bands, bands)
    return pairs.sum((0, 1))


def factored(
    image: jax.Array,
    descriptors: jax.Array,
    weights: jax.Array,
    kernel: jax.Array,
    descriptor_kernel: jax.Array,
    bias: jax.Array,
    window: Window,
) -> jax.Array:
    """The same as `reference`, with each half of the kernel applied once a band.

    `K * [x_i, x_j] + W [d_i, d_j] + b = (K_1 * x_i + W_1 d_i + b) + (K_2 * x_j + W_2 d_j)`.
    On a CPU pixels are taken in blocks whose features stay in the cache, one after another.
    """
    k, features = kernel.shape[0], kernel.shape[-1]
    halves = jnp.moveaxis(kernel, 2, -2).reshape(k * k, 2 * features)
    biases = jnp.einsum("bnd,pdf->bnpf", descriptors, descriptor_kernel).at[:, :, 0].add(bias)
    biases = biases.reshape(*weights.shape, 2 * features)

    def of_pixels(part: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        around, biases, weights = part  # [N, P, k k], [N, 2 F], [N]
        both = [x @ halves + c.astype(x.dtype) for x, c in zip(around, biases, strict=True)]
        first, second = [y[:, :features] for y in both], [y[:, features:] for y in both]
        # Without the barrier XLA recomputes the band features inside the sum over pairs.
        return pair_sum(*lax.optimization_barrier((first, second)), weights, window.activation)

    bands = [neighbourhoods(image[..., n], k, window) for n in range(image.shape[-1])]
    around = jnp.stack(bands, axis=1)  # [B, N, H', W', k k]
    b, n, height, width, _ = around.shape
    around = around.reshape(b, n, height * width, k * k)
    if jax.default_backend() != "cpu":
        y = jax.vmap(jax.checkpoint(of_pixels))((around, biases, weights))
        return y.reshape(b, height, width, features)
    count = -(-height * width // PIXELS_IN_CACHE)
    size = -(-height * width // count)
    around = jnp.pad(around, ((0, 0), (0, 0), (0, count * size - height * width), (0, 0)))
    blocks = jnp.moveaxis(around.reshape(b, n, count, size, k * k), 2, 1)
    each_block = (part.repeat(count, axis=0) for part in (biases, weights))
    parts = (blocks.reshape(-1, n, size, k * k), *each_block)
    y = lax.map(jax.checkpoint(of_pixels), parts).reshape(b, count * size, features)
    return y[:, : height * width].reshape(b, height, width, features)


PIXELS_IN_CACHE = 512
"""Pixels of a block: 13 bands of 2 x 32 float32 features are 1.7 MB, the cache of a core."""


def neighbourhoods(band: jax.Array, k: int, window: Window) -> jax.Array:
    """The k x k pixels around each output pixel: `[B, H, W]` to `[B, H', W', k k]`.

    A convolution of one channel is slow in XLA on a CPU; a matrix product with this is not.
    """
    s = window.strides
    pads = lax.padtype_to_pads(band.shape[1:], (k, k), (s, s), window.padding)
    band = jnp.pad(band, [(0, 0), *pads])
    height, width = (size - k + 1 for size in band.shape[1:])
    views = [band[:, y : y + height : s, x : x + width : s] for y in range(k) for x in range(k)]
    return jnp.stack(views, axis=-1)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def pair_sum(
    first: list[jax.Array], second: list[jax.Array], weights: jax.Array, activation: Activation
) -> jax.Array:
    """`sum over i, j of w_i w_j phi(first_i + second_j)`, one row of pairs at a time.

    The backward pass goes over the pairs again, so memory grows with N and not with its square.
    No gradient reaches the weights, which are validity flags.

    Args:
        first: N arrays `[..., F]`.
        second: likewise.
        weights: `[N]`.
        activation: phi.

    Returns:
        `[..., F]`, summed in float32 at least.
    """
    return _row_sums(first, second, weights, activation).sum(0).astype(first[0].dtype)


def _pair_sum_forward(
    first: list[jax.Array], second: list[jax.Array], weights: jax.Array, activation: Activation
) -> tuple[jax.Array, tuple[list[jax.Array], list[jax.Array], jax.Array]]:
    return pair_sum(first, second, weights, activation), (first, second, weights)


def _pair_sum_backward(
    activation: Activation,
    saved: tuple[list[jax.Array], list[jax.Array], jax.Array],
    cotangent: jax.Array,
) -> tuple[list[jax.Array], list[jax.Array], None]:
    """With `phi'` in the place of `phi` the row sums are the gradients of `first_i`."""
    # Without the barrier XLA recomputes the cotangent in every row.
    first, second, weights = saved
    first, second, cotangent = lax.optimization_barrier((first, second, cotangent))

    def slope(x: jax.Array) -> jax.Array:
        return jax.jvp(activation, (x,), (jnp.ones_like(x),))[1]

    def gradients(of: list[jax.Array], others: list[jax.Array]) -> list[jax.Array]:
        return list((_row_sums(of, others, weights, slope) * cotangent).astype(cotangent.dtype))

    return gradients(first, second), gradients(second, first), None


pair_sum.defvjp(_pair_sum_forward, _pair_sum_backward)


def _row_sums(
    rows: list[jax.Array], others: list[jax.Array], weights: jax.Array, function: Activation
) -> jax.Array:
    """`w_i * sum over j of w_j function(row_i + other_j)` for each i: `[N, ..., F]`."""
    accumulator = jnp.promote_types(rows[0].dtype, jnp.float32)

    def row_sum(row: tuple[jax.Array, jax.Array]) -> jax.Array:
        y, w = row
        terms = (v * function(y + x) for x, v in zip(others, weights, strict=True))
        return w * sum(terms, start=jnp.zeros((), accumulator))

    return lax.map(row_sum, (jnp.stack(rows), weights))
