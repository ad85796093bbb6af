"""PairwiseBandConv, the convolution over sets of described bands, in pure Flax NNX.

Axes: H height, W width, N bands, D descriptor components, F features; `...` any leading axes.
"""

from math import prod
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from permjax.pairs import Activation, Padding, Window, neighbourhoods, pair_convolution, phases

Array = jax.Array | np.ndarray


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
        activation: phi, an elementwise function without parameters.
        implementation: "factored" splits `K * [x_i, x_j]` into `K_1 * x_i + K_2 * x_j` and sums
            over pairs that never lie in memory. "reference" is the definition, one batched
            convolution over all pairs. They agree to rounding. Only the reference has forward-mode
            derivatives (`jvp`, `hessian`).
        dtype: of the image and the output; that of the parameters if None. Between them "factored"
            computes in float32 at least.
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
        if isinstance(activation, nnx.Module):
            raise ValueError("activation is a function without parameters, not a module")
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
            ValueError: the axes do not agree, or the image is empty or smaller than the kernel.
        """
        image, descriptors, valid = jnp.asarray(image), jnp.asarray(descriptors), jnp.asarray(valid)
        window = Window(self.kernel.shape[0], self.strides, self.padding, self.activation)
        _check(image, descriptors, valid, self.descriptor_kernel.shape[1], window)
        leading = image.shape[:-3]
        image = image.reshape(prod(leading), *image.shape[-3:])
        descriptors = descriptors.reshape(prod(leading), *descriptors.shape[-2:])
        valid = valid.reshape(prod(leading), valid.shape[-1])

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
            window,
        )
        return y.astype(dtype).reshape(*leading, *y.shape[1:])


def _check(
    image: jax.Array, descriptors: jax.Array, valid: jax.Array, size: int, window: Window
) -> None:
    """Raises ValueError unless the axes agree, with D = `size`, and a window fits the image."""
    *leading, height, width, n = image.shape
    if descriptors.shape != (*leading, n, size) or valid.shape != (*leading, n):
        raise ValueError(
            f"the image {image.shape} needs descriptors {(*leading, n, size)} and flags "
            f"{(*leading, n)}, not {descriptors.shape} and {valid.shape}"
        )
    if not height * width * n:
        raise ValueError(f"the image {image.shape} has no pixels or no bands")
    if window.padding == "VALID" and min(height, width) < window.size:
        raise ValueError(
            f"{height} x {width} pixels are fewer than the kernel's {window.size} x {window.size}"
        )


class BandSumConv(nnx.Module):
    """A convolution of every band by a kernel that its descriptor sets, averaged over the bands.

        y = 1/m * sum over i of  v_i (K(d_i) * x_i + W d_i) + b,   K(d) = sum over c of d_c K_c

    As in `PairwiseBandConv` the order of the bands and bands with `v = 0` change nothing; without
    a valid band y = b. For one set of bands it is an ordinary convolution,
    whose kernels are told by the descriptions instead of learnt band by band; it costs O(n).

    Args:
        features: F, the number of output features.
        descriptor_size: D, the number of components of a descriptor.
        kernel_size: k, the side of the square kernels.
        strides: step between output pixels, in pixels.
        dtype: of the image and the output; that of the parameters if None.
        rngs: source of the initial parameters.
    """

    def __init__(
        self,
        features: int,
        descriptor_size: int,
        kernel_size: int = 3,
        *,
        strides: int = 1,
        dtype: jnp.dtype | None = None,
        rngs: nnx.Rngs,
    ):
        initial = nnx.initializers.lecun_normal(in_axis=(0, 1))
        shape = (kernel_size**2, descriptor_size, features)
        self.kernel = nnx.Param(initial(rngs.params(), shape))
        initial = nnx.initializers.lecun_normal()
        self.descriptor_kernel = nnx.Param(initial(rngs.params(), (descriptor_size, features)))
        self.bias = nnx.Param(jnp.zeros(features))
        self.window = Window(kernel_size, strides, "SAME", lambda x: x)
        self.dtype = dtype

    def __call__(self, image: Array, descriptors: Array, valid: Array) -> jax.Array:
        """Convolve all bands.

        Args:
            image: `[B, H, W, N]`.
            descriptors: `[B, N, D]`.
            valid: bool `[B, N]`, False for a band that is not there.

        Returns:
            `[B, H', W', F]`; H' = ceil(H / strides).

        Raises:
            ValueError: the axes do not agree, or the image is empty.
        """
        dtype = self.dtype or self.kernel.dtype
        image, descriptors, valid = jnp.asarray(image), jnp.asarray(descriptors), jnp.asarray(valid)
        _check(image, descriptors, valid, self.descriptor_kernel.shape[0], self.window)
        weights = valid / jnp.maximum(valid.sum(-1, keepdims=True), 1)
        described = jnp.where(valid[..., None], descriptors, 0) * weights[..., None]
        image = jnp.where(valid[:, None, None, :], image, 0).astype(dtype)
        kernel = jnp.einsum("bnd,kdf->bknf", described, self.kernel[...], precision="highest")
        bias = jnp.einsum("bnd,df->bf", described, self.descriptor_kernel[...], precision="highest")
        views = neighbourhoods(image, self.window)
        kernel = kernel.reshape(len(image), -1, kernel.shape[-1]).astype(dtype)
        y = jnp.einsum("bhwc,bcf->bhwf", views, kernel)
        return y + (bias + self.bias[...])[:, None, None].astype(dtype)


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
        window: size, strides, padding and phi.

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
            precision="highest",
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
    """
    exact = jnp.promote_types(image.dtype, jnp.float32)
    halves = jnp.moveaxis(kernel, 2, 0).reshape(2, window.size**2, -1)
    biases = jnp.einsum("bnd,pdf->bpnf", descriptors, descriptor_kernel, precision="highest")
    biases = biases.at[:, 0].add(bias)
    x = phases(image, window).astype(exact)
    return pair_convolution(x, halves.astype(exact), biases, weights.astype(exact), window)
