"""The four classes of a cloud mask, and labels as sets of classes.

A label is a uint8 whose bit `k` says that the pixel may be of class `k`; so a data set that does
not tell thin cloud from thick, or leaves shadow out, still says exactly what it knows.
"""

from enum import IntEnum
from typing import Any, Final


class CloudClass(IntEnum):
    """A class of the cloud mask; its value is the class code in mask files."""

    CLEAR = 0
    THICK_CLOUD = 1
    THIN_CLOUD = 2
    CLOUD_SHADOW = 3

    @property
    def bit(self) -> int:
        """The label bit of this class."""
        return 1 << self.value

    @property
    def title(self) -> str:
        """The class name for people: `thick cloud`."""
        return self.name.lower().replace("_", " ")


CLASS_COUNT: Final = len(CloudClass)

NO_DATA: Final = 255
"""The code of a pixel without data in a mask file."""

# Label bits, by the words of the data sets that need them.
UNLABELLED: Final = 0
CLEAR: Final = CloudClass.CLEAR.bit
THICK_CLOUD: Final = CloudClass.THICK_CLOUD.bit
THIN_CLOUD: Final = CloudClass.THIN_CLOUD.bit
CLOUD_SHADOW: Final = CloudClass.CLOUD_SHADOW.bit
CLOUD: Final = THICK_CLOUD | THIN_CLOUD
CLEAR_OR_SHADOW: Final = CLEAR | CLOUD_SHADOW


def decide(probabilities: Any) -> Any:
    """The class codes that probabilities speak for, thick and thin cloud together against the rest.

    A pixel that is surely cloud but of doubtful thickness is cloud, though neither class alone may
    be the most probable one; cloud is then thick or thin, whichever is more probable.

    Args:
        probabilities: `[..., C]`, an array of NumPy or JAX; a NaN compares as less.

    Returns:
        uint8 `[...]`.
    """
    where = probabilities.__array_namespace__().where
    clear, thick, thin, shadow = (probabilities[..., k] for k in CloudClass)
    cloud = where(thick >= thin, CloudClass.THICK_CLOUD, CloudClass.THIN_CLOUD)
    ground = where(shadow > clear, CloudClass.CLOUD_SHADOW, CloudClass.CLEAR)
    rest = where(shadow > clear, shadow, clear)
    return where(thick + thin > rest, cloud, ground).astype("uint8")


def is_cloud(codes: Any) -> Any:
    """Where class codes say cloud, thick or thin: an array `[...]` to bool of the same shape."""
    return (codes == CloudClass.THICK_CLOUD) | (codes == CloudClass.THIN_CLOUD)


COLOURS: Final[dict[CloudClass, tuple[int, int, int]]] = {
    # Okabe and Ito's palette, told apart with every common colour blindness
    # (https://jfly.uni-koeln.de/color/): bluish green, white, sky blue, dark blue.
    CloudClass.CLEAR: (0, 158, 115),
    CloudClass.THICK_CLOUD: (255, 255, 255),
    CloudClass.THIN_CLOUD: (86, 180, 233),
    CloudClass.CLOUD_SHADOW: (0, 60, 120),
}
"""sRGB colour of each class, in pictures and in the colour table of mask files."""
