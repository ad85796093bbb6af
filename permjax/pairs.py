"""The sum over all pairs of bands without the pairs: what makes `PairwiseBandConv` cheap.

Axes: B images, N bands, S phases (the pixels of a square of strides x strides), H W pixels, F
features, P pixels of a block, k side of the kernel. Pixels come last: one instruction then works
on neighbouring pixels, and a feature is one number for all of them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Activation = Callable[[jax.Array], jax.Array]
Padding = Literal["SAME", "VALID"]

UNROLLED_BANDS = 16
"""Up to so many bands the sum over pairs is one kernel from pixels to output, N^2 terms long.

From here on registers do not hold the bands, and compiling N^2 terms takes longer than they save.
"""

CACHE_BYTES = 2**21
"""What the band features of a block should take on a CPU: the second-level cache of its cores."""

ACCELERATOR_BYTES = 2**28
"""The same on an accelerator, which wants much work at once: a small part of its memory."""

BLOCK_COLUMNS = 65
"""Most columns of a block on a CPU, and like all such numbers odd: with a power of two all bands
would fall on the same cache lines."""


class Window(NamedTuple):
    """How the kernel moves, and the function of each pair."""

    size: int
    strides: int
    padding: Padding
    activation: Activation

    @property
    def halo(self) -> int:
        """Rows and columns of phases that a block needs beyond its own."""
        return (self.size - 1) // self.strides


def phases(image: jax.Array, window: Window) -> jax.Array:
    """The padded image, bands first, sorted by the place of a pixel within a stride.

    A view of it for one element of the kernel is then a plain slice, whatever the stride.

    Args:
        image: `[B, H, W, N]`.
        window: size, strides and padding.

    Returns:
        `[B, N, S, H' + halo, W' + halo]` for an output of H' x W' pixels.
    """
    k, s = window.size, window.strides
    padding = [(0, 0, 0)]
    sizes = image.shape[1:3]
    for size, (low, high) in zip(
        sizes, lax.padtype_to_pads(sizes, (k, k), (s, s), window.padding), strict=True
    ):
        output = (low + size + high - k) // s + 1
        # Up to whole strides; or less than there is, if no window reaches the last pixels.
        padding.append((low, (output + window.halo) * s - low - size, 0))
    image = lax.pad(image, jnp.zeros((), image.dtype), [*padding, (0, 0, 0)])
    b, height, width, n = image.shape
    image = image.reshape(b, height // s, s, width // s, s, n).transpose(0, 5, 2, 4, 1, 3)
    return image.reshape(b, n, s * s, height // s, width // s)


def neighbourhoods(image: jax.Array, window: Window) -> jax.Array:
    """What the kernel sees at each of its places: `[B, H, W, N]` to `[B, H', W', k k N]`.

    As a matrix for one product: a convolution with a kernel for each image is slow in XLA.
    """
    k, s = window.size, window.strides
    pads = lax.padtype_to_pads(image.shape[1:3], (k, k), (s, s), window.padding)
    image = jnp.pad(image, [(0, 0), *pads, (0, 0)])
    height, width = ((size - k) // s * s + 1 for size in image.shape[1:3])
    places = [divmod(place, k) for place in range(k * k)]
    views = [image[:, y : y + height : s, x : x + width : s] for y, x in places]
    return lax.optimization_barrier(jnp.concatenate(views, axis=-1))


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def pair_convolution(
    x: jax.Array, kernel: jax.Array, biases: jax.Array, weights: jax.Array, window: Window
) -> jax.Array:
    """`sum over i, j of w_i w_j phi(K_1 * x_i + c_1i + K_2 * x_j + c_2j)`.

    Both halves of the kernel are applied once a band, and no array of pairs is ever made: memory
    grows with N, forward and backward, where the band features are computed again. No gradient
    reaches the weights, which are validity flags. Images of a batch share the memory of blocks as
    leading axes of `x`, not under `vmap`; over devices they are divided by `shard_map`.

    Args:
        x: `[B, N, S, H' + halo, W' + halo]`, finite, as `phases` makes it.
        kernel: `[2, k k, F]`, K_1 and K_2.
        biases: `[B, 2, N, F]`, c_1 and c_2.
        weights: `[B, N]`.
        window: size, strides and phi.

    Returns:
        `[B, H', W', F]`.
    """
    return _sum(x, kernel, biases, weights, window)


# Compiled here, for those who call a layer outside of jit.
@partial(jax.jit, static_argnums=4)
def _sum(
    x: jax.Array, kernel: jax.Array, biases: jax.Array, weights: jax.Array, window: Window
) -> jax.Array:
    if x.shape[1] <= UNROLLED_BANDS:
        return jnp.moveaxis(_unrolled(x, kernel, biases, weights, window), 1, -1)
    blocks = Blocks(x, kernel.shape[-1], window.halo)

    def of_block(part: tuple[jax.Array, ...]) -> jax.Array:
        x, biases, weights = part
        first, second = lax.optimization_barrier(_features(x, kernel, biases, window))
        rows = row_sums(first, second, weights, window.activation)
        return jnp.einsum("n,nfp->fp", weights, rows, precision="highest")

    y = blocks.map(of_block, blocks.cut(x), blocks.repeat(biases), blocks.repeat(weights))
    return blocks.join(y)


def _forward(
    x: jax.Array, kernel: jax.Array, biases: jax.Array, weights: jax.Array, window: Window
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    return pair_convolution(x, kernel, biases, weights, window), (x, kernel, biases, weights)


@partial(jax.jit, static_argnums=0)
def _backward(
    window: Window, saved: tuple[jax.Array, ...], cotangent: jax.Array
) -> tuple[jax.Array | None, ...]:
    """With `phi'` in the place of `phi` the row sums are the gradients of the band features."""
    x, kernel, biases, weights = saved
    blocks = Blocks(x, kernel.shape[-1], window.halo)

    def slope(x: jax.Array) -> jax.Array:
        y, pull_back = jax.vjp(window.activation, x)
        return pull_back(jnp.ones_like(y))[0]

    def of_block(part: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        x, biases, weights, cotangent = part
        features = partial(_features, window=window)
        (first, second), pull_back = jax.vjp(features, x, kernel, biases)
        first, second, cotangent = lax.optimization_barrier((first, second, cotangent))
        shared = weights[:, None, None] * cotangent.reshape(1, cotangent.shape[0], -1)
        # Where blocks reach beyond the image, phi' may be infinite, and nothing depends on it.
        gradients = tuple(
            jnp.where(shared == 0, 0, row_sums(own, others, weights, slope) * shared)
            for own, others in ((first, second), (second, first))
        )
        return pull_back(lax.optimization_barrier(gradients))

    x_blocks, join_x = jax.vjp(blocks.cut, x)
    cotangents = blocks.cut(jnp.moveaxis(cotangent, -1, 1), halo=0)
    repeated = blocks.repeat(biases), blocks.repeat(weights)
    of_x, of_kernel, of_biases = blocks.map(of_block, x_blocks, *repeated, cotangents)
    of_biases = of_biases.reshape(len(x), blocks.count, *biases.shape[1:]).sum(1)
    return *join_x(of_x), of_kernel.sum(0), of_biases, None


pair_convolution.defvjp(_forward, _backward)


def row_sums(
    own: jax.Array,
    others: Sequence[jax.Array] | jax.Array,
    weights: Sequence[jax.Array] | jax.Array,
    phi: Activation,
) -> jax.Array:
    """`sum over j of w_j phi(own + other_j)`, in the shape of `own`; unrolled over j."""
    terms = (weights[j] * phi(own + others[j]) for j in range(len(others)))
    return sum(terms, start=jnp.zeros((), own.dtype))


def _views(x: jax.Array, window: Window) -> list[jax.Array]:
    """What each element of the kernel sees: k k arrays `[..., H', W']` of `[..., S, h, w]`."""
    s, height, width = window.strides, x.shape[-2] - window.halo, x.shape[-1] - window.halo
    places = [divmod(place, window.size) for place in range(window.size**2)]
    return [
        x[..., (row % s) * s + column % s, row // s :, column // s :][..., :height, :width]
        for row, column in places
    ]


def _unrolled(
    x: jax.Array, kernel: jax.Array, biases: jax.Array, weights: jax.Array, window: Window
) -> jax.Array:
    """The sum over pairs `[B, F, H', W']`, written out: compiled, one loop over the output.

    Between the pixels and the output nothing goes through memory.
    """
    views = _views(x, window)

    def feature(half: int, band: int) -> jax.Array:
        start = biases[:, half, band, :, None, None]
        terms = (
            weight[:, None, None] * view[:, band, None]
            for weight, view in zip(kernel[half], views, strict=True)
        )
        return sum(terms, start=start)

    bands = range(x.shape[1])
    first, second = ([feature(half, band) for band in bands] for half in (0, 1))
    of_bands = [weights[:, band, None, None, None] for band in bands]
    rows = (
        w * row_sums(y, second, of_bands, window.activation)
        for y, w in zip(first, of_bands, strict=True)
    )
    return sum(rows, start=jnp.zeros((), x.dtype))


def _features(
    x: jax.Array, kernel: jax.Array, biases: jax.Array, window: Window
) -> tuple[jax.Array, jax.Array]:
    """`K_1 * x_i + c_1i` and `K_2 * x_j + c_2j` of a block, two of `[N, F, P]`.

    A convolution of one channel is slow in XLA, and so is a matrix product that XLA must transpose
    for. Hence the kernel is repeated for each band, and its bias is one more element of it, which
    sees ones: forward and backward are then products of rows as they lie in memory.
    """
    bands = x.shape[0]
    views = [view.reshape(bands, -1) for view in _views(x, window)]
    views = jnp.stack([*views, jnp.ones_like(views[0])], axis=1)  # [N, k k + 1, P]

    def half(kernel: jax.Array, biases: jax.Array) -> jax.Array:
        each_band = jnp.broadcast_to(kernel, (bands, *kernel.shape))
        both = lax.optimization_barrier(jnp.concatenate([each_band, biases[:, None]], axis=1))
        return jnp.einsum("nkf,nkp->nfp", both, views, precision="highest")

    return half(kernel[0], biases[0]), half(kernel[1], biases[1])


class Blocks:
    """The cutting of images into blocks whose band features are meant to stay in the cache.

    Args:
        x: phases `[B, N, S, H' + halo, W' + halo]`.
        features: F.
        halo: of `Window`.
    """

    def __init__(self, x: jax.Array, features: int, halo: int):
        self.images, bands = x.shape[:2]
        self.height, self.width = (size - halo for size in x.shape[-2:])
        self.halo = halo
        on_cpu = jax.default_backend() == "cpu"
        budget = CACHE_BYTES if on_cpu else ACCELERATOR_BYTES
        pixel_bytes = 2 * bands * features * x.dtype.itemsize
        columns = _even_share(self.width, BLOCK_COLUMNS) | 1 if on_cpu else self.width
        rows = _even_share(self.height, max(budget // (pixel_bytes * columns), 1))
        self.at_once = None if on_cpu else max(budget // (pixel_bytes * columns * rows), 1)
        # A block hands its halo on to the next one, and to no other.
        self.rows, self.columns = max(rows, halo), max(columns, halo)
        self.down, self.across = -(-self.height // self.rows), -(-self.width // self.columns)
        self.count = self.down * self.across

    def cut(self, x: jax.Array, halo: int | None = None) -> jax.Array:
        """`[B, ..., H' + halo, W' + halo]` to `[blocks, ..., rows + halo, columns + halo]`."""
        halo = self.halo if halo is None else halo
        x = jnp.moveaxis(_overlapping(x, -1, self.columns, halo), -2, 1)
        x = jnp.moveaxis(_overlapping(x, -2, self.rows, halo), -3, 1)
        return x.reshape(self.images * self.count, *x.shape[3:])

    def join(self, y: jax.Array) -> jax.Array:
        """`[blocks, F, rows columns]` to `[B, H', W', F]`."""
        y = y.reshape(self.images, self.down, self.across, -1, self.rows, self.columns)
        y = y.transpose(0, 1, 4, 2, 5, 3)
        y = y.reshape(self.images, self.down * self.rows, self.across * self.columns, -1)
        return y[:, : self.height, : self.width]

    def repeat(self, of_image: jax.Array) -> jax.Array:
        """`[B, ...]` to `[blocks, ...]`."""
        return jnp.repeat(of_image, self.count, axis=0)

    def map(self, function: Callable[[tuple[jax.Array, ...]], Any], *parts: jax.Array) -> Any:
        """`function` of every block, one after another on a CPU."""
        return lax.map(function, parts, batch_size=self.at_once)


def _even_share(length: int, most: int) -> int:
    """The size of the parts when a length is cut into as few as can be of at most `most`."""
    return -(-length // -(-length // most))


def _overlapping(x: jax.Array, axis: int, size: int, halo: int) -> jax.Array:
    """Cuts an axis into blocks of `size`, each with the first `halo` of the next at its end.

    Slices and reshapes only, whose derivatives are as cheap; `halo` is at most `size`.

    Returns:
        the axis replaced by two, the number of blocks before it.
    """
    x = jnp.moveaxis(x, axis, -1)
    count = -(-(x.shape[-1] - halo) // size)
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, (count + 1) * size - x.shape[-1])])
    own = x[..., : count * size].reshape(*x.shape[:-1], count, size)
    next_ones = x[..., size:].reshape(*x.shape[:-1], count, size)[..., :halo]
    y = jnp.concatenate([own, next_ones], axis=-1)
    return jnp.moveaxis(y, (-2, -1), (axis - 1, axis))
