"""Cloud masks made ready for use: small patches taken away, clouds and shadows grown, recoded.

Axes: H and W height and width of a strip of a mask.
"""

from collections.abc import Iterable, Iterator
from math import ceil
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from permjax.classes import CLASS_COUNT, CLOUD, NO_DATA, CloudClass

Style = Literal["classes", "cloud", "valid"]
Strip = NDArray[np.uint8]

CODES: Final[dict[Style, tuple[int, ...]]] = {
    "classes": tuple(int(code) for code in CloudClass),
    "cloud": tuple(int(CLOUD >> code & 1) for code in CloudClass),
    "valid": tuple(int(code == CloudClass.CLEAR) for code in CloudClass),
}
"""What each class is in a mask of each style: itself; 1 = cloud; 1 = neither cloud nor shadow.
No data is 255 in all."""


def check_style(style: str) -> Style:
    """The style of this name.

    Raises:
        ValueError: there is none.
    """
    for known in get_args(Style):
        if style == known:
            return known
    raise ValueError(f"unknown style {style!r}; known are {', '.join(get_args(Style))}")


def recode(classes: Strip, style: Style) -> Strip:
    """Classes [H, W] as the codes of a style."""
    table = np.full(NO_DATA + 1, NO_DATA, np.uint8)
    table[:CLASS_COUNT] = CODES[style]
    return table[classes]


def refine(
    strips: Iterable[Strip], dilate_m: float, min_size_m: float, gsd_m: float
) -> Iterator[Strip]:
    """Takes small patches away, then grows clouds and shadows; as for the whole mask at once.

    Pixels of cloud, of shadow, or clear ones that touch by sides or corners are a patch. One that
    is smaller than a square with sides of `min_size_m` becomes what is around it, from its edge
    inwards: a cloud in the clear becomes clear, one inside a shadow becomes shadow. Then all
    within `dilate_m` of a cloud becomes cloud, thick within that of thick cloud, and what is clear
    within it of a shadow becomes shadow. Pixels without data stay so.

    Strips are held back until the rows that matter to them have come: `dilate_m` and, since a
    small patch may be a line and lie beside another, twice as many rows as `min_size_m` has pixels
    in its square.

    Args:
        strips: classes [H, W], from the top of the mask down.
        dilate_m: 0 = nothing grows.
        min_size_m: 0 = nothing is too small.
        gsd_m: size of a pixel.

    Yields:
        classes [H, W], of other heights than came.

    Raises:
        ValueError: a length is negative, or the size of a pixel unknown.
    """
    for name, length in (("dilate", dilate_m), ("min_size", min_size_m)):
        if not 0 <= length < np.inf:
            raise ValueError(f"{name} must be a length in metres, 0 or more, not {length:g}")
    if not dilate_m and not min_size_m:
        yield from strips
        return
    if not gsd_m > 0:
        raise ValueError(
            "the size of a pixel is unknown, so dilate and min_size mean nothing: give the gsd"
        )
    radius = dilate_m / gsd_m
    smallest = ceil((min_size_m / gsd_m) ** 2)
    reach = int(radius) + 2 * smallest
    held, done = None, 0  # Rows that still matter, of which the first `done` were given out.
    for strip in strips:
        held = strip if held is None else np.concatenate([held, strip])
        ready = len(held) - reach
        if ready - done >= reach:  # Not for every row: each time all that is held is refined.
            yield _refined(held, radius, smallest)[done:ready]
            held, done = held[max(ready - reach, 0) :], min(ready, reach)
    if held is not None and len(held) > done:
        yield _refined(held, radius, smallest)[done:]


def _refined(classes: Strip, radius: float, smallest: int) -> Strip:
    refined = _without_small(classes, smallest)
    thick, thin, shadow = (refined == code for code in list(CloudClass)[1:])
    changes = (
        (near(shadow, radius) & ~thick & ~thin, CloudClass.CLOUD_SHADOW),
        (near(thin, radius) & ~thick, CloudClass.THIN_CLOUD),
        (near(thick, radius) & ~thin, CloudClass.THICK_CLOUD),
    )
    for where, code in changes:
        refined[where] = code
    refined[classes == NO_DATA] = NO_DATA
    return refined


def _without_small(classes: Strip, smallest: int) -> Strip:
    """Patches of less than `smallest` pixels overgrown, step by step, by what is around them.

    Of several classes beside a pixel the first in their order overgrows it. What nothing has
    reached after `smallest` steps, as where all patches are small, becomes clear.
    """
    clear, shadow = (classes == code for code in (CloudClass.CLEAR, CloudClass.CLOUD_SHADOW))
    cloud = (classes == CloudClass.THICK_CLOUD) | (classes == CloudClass.THIN_CLOUD)
    small = np.logical_or.reduce([small_patches(p, smallest) for p in (clear, cloud, shadow)])
    # With an edge, so that each pixel has eight neighbours.
    grown = np.pad(np.where(small, np.uint8(NO_DATA), classes), 1, constant_values=NO_DATA)
    codes, width = grown.ravel(), grown.shape[1]
    around = [dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    left = np.flatnonzero(np.pad(small, 1))
    for _ in range(smallest):
        least = np.min([codes[left + step] for step in around], axis=0)
        codes[left] = least
        if (least == NO_DATA).all():
            break
        left = left[least == NO_DATA]
    codes[left] = CloudClass.CLEAR
    return grown[1:-1, 1:-1].copy()


def near(pixels: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Where one of `pixels` [H, W] is no farther than `radius` pixels, centre to centre."""
    grown = pixels.copy()
    height, width = pixels.shape
    if radius < 1 or not pixels.any():
        return grown
    reach = min(int(radius), width)
    # Of a row's running sum two values tell whether the pixels between them hold any.
    sums = np.pad(np.cumsum(pixels, axis=1, dtype=np.int32), ((0, 0), (reach + 1, 0)))
    sums = np.pad(sums, ((0, 0), (0, reach)), mode="edge")
    for y in range(min(int(radius), height - 1) + 1):
        x = min(int((radius**2 - y**2) ** 0.5), reach)
        right = sums[:, reach + 1 + x : reach + 1 + x + width]
        wide = right > sums[:, reach - x : reach - x + width]
        grown[y:] |= wide[: height - y]
        grown[: height - y] |= wide[y:]
    return grown


def small_patches(pixels: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """The patches of `pixels` [H, W], joined by sides or corners, of less than `smallest` pixels.

    Rows are taken as runs of pixels, and runs that touch take the lesser of their numbers until
    all of a patch have one.
    """
    if smallest <= 1 or not pixels.any():
        return np.zeros_like(pixels)
    width = pixels.shape[1] + 1  # A column that is never set parts the rows.
    flat = np.pad(pixels, ((0, 0), (0, 1))).ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    starts, stops = edges[::2], edges[1::2]
    label = np.arange(len(starts))
    # The runs of the next row that touch a run follow each other.
    first = np.searchsorted(stops, starts + width, "left")
    count = np.maximum(np.searchsorted(starts, stops + width, "right") - first, 0)
    upper = np.repeat(label, count)
    lower = np.arange(len(upper)) + np.repeat(first - np.cumsum(count) + count, count)
    while (differ := label[upper] != label[lower]).any():
        a, b = label[upper[differ]], label[lower[differ]]
        np.minimum.at(label, np.maximum(a, b), np.minimum(a, b))
        while (label[label] != label).any():
            label = label[label]
    size = np.bincount(label, weights=stops - starts)
    small = size[label] < smallest
    marks = np.zeros(len(flat) + 1, np.int8)
    marks[starts[small]] = 1
    marks[stops[small]] -= 1
    return np.cumsum(marks[:-1], dtype=np.int8).astype(bool).reshape(-1, width)[:, :-1]
