"""Cloud masks of xarray objects, lazily where they are dask arrays.

Axes: h and w height and width of a block, N bands, C classes.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.classes import CLASS_COUNT, NO_DATA, CloudClass, decide
from permjax.inference import Masker
from permjax.weights import load_pretrained
from permjax.windows import STEPS_AFTER

if TYPE_CHECKING:
    import xarray as xr

_TRAITS: Final = ("wavelength_nm", "bandwidth_nm", "kind")


def mask_dataset(
    image: "xr.Dataset | xr.DataArray", *, load_masker: Callable[[], Masker] = load_pretrained
) -> "xr.Dataset":
    """The cloud mask of an xarray image, or of many along further dimensions, such as time.

    A DataArray has a dimension of bands, along which lie the coordinates `wavelength_nm`,
    `bandwidth_nm` and, if not all bands are top-of-atmosphere reflectance, `kind`. In a Dataset
    each band is a variable with attributes of these names; variables without a `wavelength_nm` are
    left aside. The last two of the other dimensions are rows and columns. What NumPy arrays hold
    is masked at once. With dask nothing is computed yet: each block is a task, masked with the
    pixels around it, on whatever scheduler then computes it; blocks of 1024 x 1024 or more lose
    little to their overlap. The result is that of the whole image, but for pixels near missing
    data or within 96 pixels of the lower and right edge, which `Masker` pads by an image's size.

    Args:
        image: reflectance unitless, brightness temperature in kelvin, NaN = no data.
        load_masker: called once in each process that masks, and with dask also in this one, which
            asks how far the model sees; must be a function that dask can send there. Default: the
            weights that come with permjax.

    Returns:
        `classes` uint8 [..., y, x], 255 = no data, and `probabilities` float32 [..., y, x, class],
        NaN = no data, with the image's coordinates.

    Raises:
        ValueError: the bands are not described, or wrongly.
    """
    array, bands = _as_array(image)
    *leading, band = array.dims
    if len(leading) < 2:
        raise ValueError(f"an image has rows and columns besides {band!r}; this has {array.dims}")
    array = array.astype(np.float32)
    mask_block = functools.partial(_mask_block, bands=bands, load_masker=load_masker)
    if array.chunks is None:
        masked = mask_block(array.data)
    else:
        masked = _lazily(mask_block, array, _masker(load_masker).step)
    coordinates = {k: v for k, v in array.coords.items() if band not in v.dims and k not in _TRAITS}
    return _dataset(masked, tuple(leading), coordinates)


def _as_array(image: "xr.Dataset | xr.DataArray") -> "tuple[xr.DataArray, BandDescription]":
    """The image with its bands along the last dimension, and their description."""
    import xarray as xr  # noqa: PLC0415  # Whoever has such an image has it; masking files does without.

    if isinstance(image, xr.Dataset):
        image = _stacked(image)
    for trait in _TRAITS[:2]:
        if trait not in image.coords or image.coords[trait].ndim != 1:
            raise ValueError(
                f"the image has no coordinate {trait} along its bands: give one, in nanometres"
            )
    [band] = image.coords["wavelength_nm"].dims
    kind = image.coords.get("kind", Kind.REFLECTANCE.word)
    wavelength_nm, bandwidth_nm = (image.coords[trait].values for trait in _TRAITS[:2])
    bands = describe_bands(
        wavelength_nm, bandwidth_nm, np.asarray(kind).tolist(), image.sizes[band]
    )
    return image.transpose(..., band), bands


def _stacked(dataset: "xr.Dataset") -> "xr.DataArray":
    """The variables of a Dataset that describe themselves as bands, along a dimension `band`."""
    names = [name for name, v in dataset.data_vars.items() if "wavelength_nm" in v.attrs]
    if not names:
        raise ValueError(
            "no variable of the dataset has the attribute wavelength_nm: give each band "
            "wavelength_nm and bandwidth_nm, in nanometres"
        )
    attributes = [dataset[name].attrs for name in names]
    for name, of_band in zip(names, attributes, strict=True):
        if "bandwidth_nm" not in of_band:
            raise ValueError(f"variable {name!r} has a wavelength_nm and no bandwidth_nm: give it")
    described = {
        "wavelength_nm": ("band", [of_band["wavelength_nm"] for of_band in attributes]),
        "bandwidth_nm": ("band", [of_band["bandwidth_nm"] for of_band in attributes]),
        "kind": ("band", [of_band.get("kind", Kind.REFLECTANCE.word) for of_band in attributes]),
    }
    return dataset[names].to_dataarray("band").drop_vars("band").assign_coords(described)


def _lazily(mask_block: Callable[[Any], Any], array: "xr.DataArray", step: int) -> Any:
    """`mask_block` of each dask block [..., h, w, N] with as many pixels around it as matter.

    Args:
        mask_block: see `_mask_block`.
        array: [..., H, W, N].
        step: of the model's coarsest level, in pixels.
    """
    # An extra of the package, needed where there are dask arrays.
    from dask.array.overlap import overlap, trim_internal  # noqa: PLC0415

    rows, columns, band = range(array.ndim)[-3:]
    data = array.data.rechunk(dict.fromkeys(range(rows), 1) | {band: -1})
    reach = STEPS_AFTER * step
    data = data.rechunk({i: _aligned(data.chunks[i], step, reach) for i in (rows, columns)})
    depth = dict.fromkeys(range(array.ndim), 0)
    depth |= {axis: reach for axis in (rows, columns) if len(data.chunks[axis]) > 1}
    around = overlap(data, depth, boundary="none", allow_rechunk=False)
    masked = around.map_blocks(
        mask_block,
        dtype=np.float32,
        chunks=(*around.chunks[:-1], (CLASS_COUNT,)),
        meta=np.empty((0,) * array.ndim, np.float32),
    )
    return trim_internal(masked, depth, boundary="none")


def _aligned(chunks: tuple[int, ...], step: int, reach: int) -> tuple[int, ...]:
    """Chunks of about these sizes that begin at multiples of `step` and are longer than `reach`."""
    length = sum(chunks)
    begins = [0]
    for end in np.cumsum(chunks)[:-1]:
        begin = round(int(end) / step) * step
        if begin - begins[-1] >= reach and length - begin >= reach:
            begins.append(begin)
    return tuple(b - a for a, b in zip(begins, [*begins[1:], length], strict=True))


def _mask_block(
    block: NDArray[np.float32], *, bands: BandDescription, load_masker: Callable[[], Masker]
) -> NDArray[np.float32]:
    """Probabilities [..., h, w, C] of a block [..., h, w, N]."""
    masker = _masker(load_masker)
    probabilities = np.empty((*block.shape[:-1], CLASS_COUNT), np.float32)
    for image in np.ndindex(block.shape[:-3]):
        masked = masker.predict(
            block[image],
            wavelength_nm=bands.wavelength_nm,
            bandwidth_nm=bands.bandwidth_nm,
            kind=bands.kind.tolist(),
        )
        probabilities[image] = masked.probabilities
    return probabilities


@functools.cache
def _masker(load_masker: Callable[[], Masker]) -> Masker:
    """Loaded and compiled once in a process, for all its blocks."""
    return load_masker()


def _dataset(masked: Any, dims: tuple[Any, ...], coordinates: dict[Any, Any]) -> "xr.Dataset":
    """What users get, with the meaning of the codes told as by CF conventions 1.11, 3.5."""
    import xarray as xr  # noqa: PLC0415

    titles = [code.title for code in CloudClass]
    probabilities = xr.DataArray(
        masked, coordinates | {"class": titles}, (*dims, "class"), name="probabilities"
    )
    decided = xr.apply_ufunc(
        decide,
        probabilities,
        input_core_dims=[["class"]],
        dask="parallelized",
        output_dtypes=[np.uint8],
    )
    with_data = probabilities.notnull().all("class")
    classes = decided.where(with_data, np.uint8(NO_DATA)).assign_attrs(
        flag_values=np.arange(CLASS_COUNT, dtype=np.uint8),
        flag_meanings=" ".join(title.replace(" ", "_") for title in titles),
    )
    # On writing; in memory it stays a number.
    classes.encoding["_FillValue"] = NO_DATA
    return xr.Dataset({"classes": classes, "probabilities": probabilities})
