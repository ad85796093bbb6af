"""What the codes of a mask of Landsat 7 Irish mean: two conventions are about."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

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
        bits = np.zeros(256, np.uint8)
        bits[list(self.bits)] = list(self.bits.values())
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
_ONLY_WHERE_FILL_IS_ZERO: Final = KNOWN - frozenset(SHADOW_IS_ZERO.bits)


def convention_of(label: DatasetReader, codes: set[int]) -> Convention:
    """The convention of a mask: by its codes where they tell, else by its corners.

    A whole scene of Landsat stands askew in its file, so that the corners are fill.

    Args:
        label: the mask.
        codes: that it uses.

    Raises:
        OSError: the file is damaged.
    """
    if codes & _ONLY_WHERE_FILL_IS_ZERO:
        return FILL_IS_ZERO
    ends = [[slice(0, 1), slice(size - 1, size)] for size in label.shape]
    corners = {int(read_dn(label, 1, corner)[0, 0]) for corner in product(*ends)}
    return FILL_IS_ZERO if 0 in corners else SHADOW_IS_ZERO


def cloud_is_darker(
    convention: Convention, label: DatasetReader, image: DatasetReader, number: int
) -> bool:
    """Whether what a convention calls cloud is darker than what it calls clear, as snow makes it.

    Args:
        convention: of the mask.
        label: the mask.
        image: a file of the same size.
        number: of its band to compare, from 1; 0 = no data.

    Raises:
        OSError: a file is damaged.
    """
    sums, counts = np.zeros(256), np.zeros(256)
    for row in range(0, label.height, _SAMPLED):
        window = slice(row, row + 1), slice(0, label.width)
        code, dn = read_dn(label, 1, window).ravel(), read_dn(image, number, window).ravel()
        sums += np.bincount(code, dn, minlength=256)
        counts += np.bincount(code[dn > 0], minlength=256)
    clear, cloud = convention.clear, convention.cloud
    # Where there is none of either, no product is greater.
    return bool(sums[cloud] * counts[clear] < sums[clear] * counts[cloud])
