"""What the codes of a mask of Landsat 7 Irish mean: two conventions are about."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from data_prep.codes import bits_of
from permjax import classes
from permjax.rasters import read_dn

_SAMPLED: Final = 64
"""Of so many rows one is compared with the image."""


@dataclass(frozen=True)
class Convention:
    """What codes mean.

    Args:
        note: for people.
        bits: the label of each code.
        shadow: the code of shadow; where a mask has none of it, clear may be shadow.
        clear: the code of clear ground.
        cloud: the code of thick cloud.
        names_fill: fill has a code; if not, it is where any band is 0.
    """

    note: str
    bits: Mapping[int, int]
    shadow: int
    clear: int
    cloud: int
    names_fill: bool

    def label_bits(self, codes: set[int]) -> NDArray[np.uint8]:
        """The label of each code, uint8 [256], in a mask that uses these codes."""
        bits = bits_of(self.bits)
        if self.shadow not in codes:
            bits[self.clear] = classes.CLEAR_OR_SHADOW
        return bits


FILL_IS_ZERO: Final = Convention(
    note="mask codes: 0 fill, 64 shadow, 128 clear, 191 or 192 thin cloud, 255 cloud",
    bits={
        0: classes.UNLABELLED,
        64: classes.CLOUD_SHADOW,
        128: classes.CLEAR,
        191: classes.THIN_CLOUD,  # In older copies.
        192: classes.THIN_CLOUD,
        255: classes.THICK_CLOUD,
    },
    shadow=64,
    clear=128,
    cloud=255,
    names_fill=True,
)
SHADOW_IS_ZERO: Final = Convention(
    note="mask codes: 0 shadow, 128 cloud, 192 thin cloud, 255 clear or fill",
    bits={
        0: classes.CLOUD_SHADOW,
        128: classes.THICK_CLOUD,
        192: classes.THIN_CLOUD,
        255: classes.CLEAR,
    },
    shadow=0,
    clear=255,
    cloud=128,
    names_fill=False,
)
KNOWN: Final = frozenset(FILL_IS_ZERO.bits) | frozenset(SHADOW_IS_ZERO.bits)
_GO_ON: Final = "look whether it is sound, as it may be over snow; --keep_going leaves it out"
_ONLY_WHERE_FILL_IS_ZERO: Final = KNOWN - frozenset(SHADOW_IS_ZERO.bits)


Band = tuple[DatasetReader, int]
"""Open file and index in it, from 1; 0 = no data."""


def convention_of(
    label: DatasetReader, codes: set[int], red: Band, infrared: Band
) -> tuple[Convention, bool]:
    """The convention of a mask, and whether what it calls cloud is darker in red than clear is.

    What the mask has where the image has no data tells, 0 or 255. Without such pixels, codes of one
    convention alone do, or else the corners: a whole scene of Landsat stands askew in its file, so
    that they are fill. Clouds are then brighter than clear ground. Snow is bright in red too, but
    dark near 1.65 um (Dozier 1989, doi:10.1016/0034-4257(89)90101-6), desert is bright there but
    not in red; so clouds that are darker in both contradict the convention.

    Args:
        label: the mask.
        codes: that it uses.
        red: B3, on the grid of the mask.
        infrared: B5, near 1.65 um, on the grid of the mask.

    Raises:
        ValueError: the image contradicts the mask in either convention; the message names the mask.
        OSError: a file is damaged.
    """
    fill, means = _sampled(label, red, infrared)
    proven = bool(codes & _ONLY_WHERE_FILL_IS_ZERO)
    convention = FILL_IS_ZERO if proven or _has_fill_at_a_corner(label) else SHADOW_IS_ZERO
    if fill[0] != fill[255]:
        by_fill = FILL_IS_ZERO if fill[0] > fill[255] else SHADOW_IS_ZERO
        if proven and by_fill != convention:
            only = sorted(codes & _ONLY_WHERE_FILL_IS_ZERO)
            raise ValueError(
                f"{label.name}: has 255 where the image has no data, as only where 0 is shadow, "
                f"and the codes {only}, as only where 0 is fill: {_GO_ON}"
            )
        convention, proven = by_fill, True
    # No comparison with NaN, where there is none of either, holds.
    in_red, in_infrared = means[:, convention.cloud] < means[:, convention.clear]
    if in_red and (in_infrared or not proven):
        raise ValueError(
            f"{label.name}: what is cloud by its {convention.note} is darker than what is clear, "
            f"but nothing speaks for the other convention: {_GO_ON}"
        )
    return convention, bool(in_red)


def _has_fill_at_a_corner(label: DatasetReader) -> bool:
    ends = [[slice(0, 1), slice(size - 1, size)] for size in label.shape]
    return any(read_dn(label, 1, corner)[0, 0] == 0 for corner in product(*ends))


def _sampled(label: DatasetReader, *bands: Band) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """In every 64th row: pixels of each code [256] where a band has no data, its means [N, 256]."""
    fill, sums, counts = np.zeros(256, np.int64), np.zeros((2, 256)), np.zeros((2, 256))
    for row in range(0, label.height, _SAMPLED):
        window = slice(row, row + 1), slice(0, label.width)
        code = read_dn(label, 1, window).ravel()
        dns = [read_dn(file, number, window).ravel() for file, number in bands]
        fill += np.bincount(code[np.any([dn == 0 for dn in dns], axis=0)], minlength=256)
        for i, dn in enumerate(dns):
            sums[i] += np.bincount(code, dn, minlength=256)
            counts[i] += np.bincount(code[dn > 0], minlength=256)
    means = np.full_like(sums, np.nan)
    return fill, np.divide(sums, counts, out=means, where=counts > 0)
