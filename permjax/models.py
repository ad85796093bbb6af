"""CloudMasker: described bands in, four class logits a pixel out.

Axes: B batch, H height, W width, N bands, D descriptor components, F features, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from permjax.bands import BandDescription, Kind
from permjax.classes import CLASS_COUNT
from permjax.convolutions import convolve
from permjax.layers import Array, BandSumConv, PairwiseBandConv

# The descriptors span the windows in which optical sensors have bands: 400 nm to 14 um in
# wavelength, 1 nm to 2 um in bandwidth. Outside the encoding goes on smoothly.
WAVELENGTH_RANGE_NM = (400.0, 14_000.0)
BANDWIDTH_RANGE_NM = (1.0, 2_000.0)


@dataclass(frozen=True)
class ModelConfig:
    """The size of a CloudMasker.

    Attributes:
        features: of the levels at 1/2, 1/4, 1/8, ... of the image's resolution.
        descriptor_size: D, components of an encoded band description.
        pairs: the first layer sums over pairs of bands.
        sums: the first layer sums over bands; one of the two at least.
        bfloat16: compute in bfloat16 (for accelerators); parameters stay float32.
    """

    features: tuple[int, ...] = (32, 48, 96, 160)
    descriptor_size: int = 32
    pairs: bool = True
    sums: bool = True
    bfloat16: bool = False

    def __post_init__(self):
        if not self.features or min(self.features) < 1 or self.descriptor_size < 1:
            raise ValueError("features and descriptor_size of the model must be positive")
        if not (self.pairs or self.sums):
            raise ValueError(
                "a model without pairs and without sums sees nothing: leave one of them"
            )


class DescriptorEncoder(nnx.Module):
    """Encodes band descriptions as vectors, smoothly, so that unseen bands interpolate.

    The logarithms of wavelength and bandwidth enter through sines and cosines of few low
    frequencies (Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency
    Functions"), the kind one-hot, then a perceptron with one hidden layer. To each code is added
    what follows from it and the mean of the codes of all valid bands (Zaheer et al. 2017, "Deep
    Sets"): a band means something else where others are missing. That part begins at zero.
    """

    def __init__(self, size: int, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(2 * (5 + 2) + 2 + len(Kind), 2 * size, rngs=rngs)
        self.out = nnx.Linear(2 * size, size, rngs=rngs)
        self.own = nnx.Linear(size, 2 * size, rngs=rngs)
        self.mean = nnx.Linear(size, 2 * size, use_bias=False, rngs=rngs)
        zeros = nnx.initializers.zeros
        self.change = nnx.Linear(2 * size, size, kernel_init=zeros, rngs=rngs)

    def __call__(self, bands: BandDescription, valid: Array) -> jax.Array:
        """Encode: arrays `[..., N]` to `[..., N, D]`; bands that are not valid change no other."""
        wavelength = _log_position(bands.wavelength_nm, WAVELENGTH_RANGE_NM)
        bandwidth = _log_position(bands.bandwidth_nm, BANDWIDTH_RANGE_NM)
        traits = jnp.concatenate(
            [
                _waves(wavelength, octaves=5),
                _waves(bandwidth, octaves=2),
                wavelength[..., None],
                bandwidth[..., None],
                jax.nn.one_hot(bands.kind, len(Kind)),
            ],
            axis=-1,
        )
        valid = jnp.asarray(valid)[..., None]
        code = jnp.where(valid, self.out(jax.nn.gelu(self.hidden(traits))), 0)
        mean = code.sum(-2, keepdims=True) / jnp.maximum(valid.sum(-2, keepdims=True), 1)
        return code + self.change(jax.nn.gelu(self.own(code) + self.mean(mean)))


class BandStem(nnx.Module):
    """The first layer: any number of described bands to features, at half the resolution.

    The sum of a `PairwiseBandConv`, which tells what bands are to each other, and a `BandSumConv`,
    which takes from each band what its description calls for.
    """

    def __init__(self, config: ModelConfig, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        sizes = config.features[0], config.descriptor_size
        self.dtype = dtype
        self.pairs = (
            PairwiseBandConv(*sizes, strides=2, dtype=dtype, rngs=rngs) if config.pairs else None
        )
        self.sums = BandSumConv(*sizes, strides=2, dtype=dtype, rngs=rngs) if config.sums else None

    def __call__(self, image: jax.Array, codes: jax.Array, valid: Array) -> jax.Array:
        """`[B, H, W, N]`, `[B, N, D]`, bool `[B, N]` to `[B, H/2, W/2, F]` of the layers' dtype."""
        layers = (layer for layer in (self.pairs, self.sums) if layer is not None)
        return sum(
            (layer(image, codes, valid) for layer in layers), start=jnp.zeros((), self.dtype)
        )


def _log_position(value: Array, limits: tuple[float, float]) -> jax.Array:
    low, high = jnp.log(jnp.asarray(limits, jnp.float32))
    return (jnp.log(jnp.maximum(value, 1e-3)) - low) / (high - low)


def _waves(position: jax.Array, octaves: int) -> jax.Array:
    angles = position[..., None] * jnp.pi * 2.0 ** jnp.arange(octaves)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def normalise(image: Array, kind: Array) -> jax.Array:
    """Bring reflectance and brightness temperature to one scale of about -2 to 2.

    Reflectance as a logarithm, so that differences of bands are band ratios and dark surfaces keep
    their contrast; temperature linearly about 270 K, where cloud and ground part. The statistics
    of the image play no part: the inside of a cloud looks the same however much of it there is.

    Args:
        image: `[B, H, W, N]`, reflectance unitless, temperature in kelvin, NaN = no data.
        kind: `Kind`, `[B, N]`.

    Returns:
        `[B, H, W, N]`, with 0 where there is no data.
    """
    thermal = (kind == Kind.BRIGHTNESS_TEMPERATURE)[:, None, None, :]
    reflectance = jnp.log((jnp.clip(image, 0, 2) + 0.05) / 0.25)
    temperature = (jnp.clip(image, 150, 350) - 270) / 25
    return jnp.nan_to_num(jnp.where(thermal, temperature, reflectance))


def _conv(a: int, b: int, strides: int, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> nnx.Conv:
    """A 3 x 3 convolution from `a` to `b` features."""
    form: dict[str, Any] = {"conv_general_dilated": convolve}
    return nnx.Conv(a, b, (3, 3), strides=strides, dtype=dtype, rngs=rngs, **form)


class ConvBlock(nnx.Module):
    """A 3 x 3 convolution after a normalisation of each pixel by itself, added to its input.

    LayerNorm over features alone: no statistics of the patch, the batch or a sensor.
    """

    def __init__(self, features: int, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(features, dtype=dtype, rngs=rngs)
        self.first = _conv(features, features, 1, dtype=dtype, rngs=rngs)
        self.second = nnx.Linear(features, features, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, F]` to the same."""
        return x + self.second(jax.nn.relu(self.first(self.norm(x))))


class CloudMasker(nnx.Module):
    """Class logits for images of any described bands, any height and width.

    A `BandStem` at half the resolution, then an encoder-decoder with a level for each entry
    of `config.features`. The order of the bands does not matter, and neither do bands that are
    not valid. Images are padded at the lower right by their edge to a multiple of the coarsest
    level's step.

    Args:
        config: the size of the model.
        rngs: source of the initial parameters.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        dtype = jnp.bfloat16 if config.bfloat16 else jnp.float32
        widths = config.features
        self.config, self.step = config, 2 ** len(widths)
        self.encoder = DescriptorEncoder(config.descriptor_size, rngs=rngs)
        self.stem = BandStem(config, dtype=dtype, rngs=rngs)
        self.downs = nnx.List(_conv(a, b, 2, dtype=dtype, rngs=rngs) for a, b in pairwise(widths))
        self.down_blocks = nnx.List(
            nnx.List(ConvBlock(b, dtype=dtype, rngs=rngs) for _ in range(2)) for b in widths[1:]
        )
        self.ups = nnx.List(
            # Zeros: a model starts with what lies next to a pixel; context comes in as it learns.
            nnx.Linear(b, a, kernel_init=nnx.initializers.zeros, dtype=dtype, rngs=rngs)
            for a, b in pairwise(widths)
        )
        self.up_blocks = nnx.List(ConvBlock(a, dtype=dtype, rngs=rngs) for a in widths[:-1])
        self.head_norm = nnx.LayerNorm(widths[0], dtype=dtype, rngs=rngs)
        self.head = nnx.Linear(widths[0], 4 * CLASS_COUNT, kernel_init=_equal_quarters, rngs=rngs)

    def __call__(self, image: Array, bands: BandDescription, valid: Array) -> jax.Array:
        """Logits of each class.

        Args:
            image: `[B, H, W, N]`, reflectance unitless, temperature in kelvin, NaN = no data.
            bands: descriptions with arrays `[B, N]`.
            valid: bool `[B, N]`, False for a band that is not there.

        Returns:
            float32 `[B, H, W, C]`.
        """
        height, width = image.shape[1:3]
        pads = [(0, 0), (0, -height % self.step), (0, -width % self.step), (0, 0)]
        x = jnp.pad(normalise(image, bands.kind), pads, mode="edge")
        x = self.stem(x, self.encoder(bands, valid), valid)
        skips = []
        for down, blocks in zip(self.downs, self.down_blocks, strict=True):
            skips.append(x)
            x = down(x)
            for block in blocks:
                x = block(x)
        levels = zip(reversed(self.ups), reversed(self.up_blocks), reversed(skips), strict=True)
        for up, block, skip in levels:
            x = block(_double(up(x)) + skip)
        logits = _depth_to_space(self.head(self.head_norm(x)))
        return logits[:, :height, :width].astype(jnp.float32)


def _equal_quarters(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
    """Initial weights alike for the four pixels of each square, so that no pattern stands in them.

    Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution".
    """
    quarter = nnx.initializers.lecun_normal()(key, (shape[0], shape[1] // 4), dtype)
    return jnp.tile(quarter, (1, 4))


def _double(x: jax.Array) -> jax.Array:
    """Repeat every pixel twice along both axes: `[B, H, W, F]` to `[B, 2 H, 2 W, F]`."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def _depth_to_space(x: jax.Array) -> jax.Array:
    """Each pixel's features as a square of 2 x 2: `[B, H, W, 4 C]` to `[B, 2 H, 2 W, C]`."""
    b, h, w, f = x.shape
    x = x.reshape(b, h, w, 2, 2, f // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, 2 * h, 2 * w, f // 4)
