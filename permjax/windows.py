"""An image cut into windows for a model that sees around each pixel, each pixel read once.

Axes: h and w height and width of a window, N bands, C classes.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from permjax.rasters import Window

ReadWindow = Callable[[Window], NDArray[np.float32]]

STEPS_BEFORE: Final = 5
STEPS_AFTER: Final = 6
"""How far a `CloudMasker` sees around a pixel, in steps of its coarsest level: up and left, down
and right. For L levels the kernels between a pixel and the image reach 2^L 4.6 - 1 pixels up and
left and 2^L 5.5 right and down (at L = 4, where 2^L is the step: 74 and 89); a test measures it."""

ONE_WINDOW: Final = 2048
"""Up to here sizes are rounded up to one of four an octave, beyond to whole steps: images of many
sizes then share few compiled programs."""


class Span(NamedTuple):
    """A window along one axis: pixels [start, stop), of which it decides [first, last)."""

    start: int
    stop: int
    first: int
    last: int


class Part(NamedTuple):
    """The part of an image that a window decides.

    Args:
        window: its place in the image.
        image: [h, w, N].
        probabilities: [h, w, C], NaN where there is no data.
        classes: [h, w], `NO_DATA` where there is no data.
        valid: [N], the bands that hold data in the window.
    """

    window: Window
    image: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    classes: NDArray[np.uint8]
    valid: NDArray[np.bool_]


def spans(length: int, largest: int, step: int) -> list[Span]:
    """Windows of one size along an axis that together decide each of its pixels once.

    What a window decides lies so far inside it that a model of this step sees there what it sees
    in the whole image. Windows begin at whole steps; the last may reach beyond the image.

    Args:
        length: pixels along the axis.
        largest: greatest size of a window, whole steps and more than the overlap.
        step: of the model's coarsest level, in pixels.
    """
    canvas = _canvas(length, step)
    overlap = (STEPS_BEFORE + STEPS_AFTER) * step

    def starts(size: int) -> list[int]:
        last = canvas - size
        return [*range(0, last, size - overlap), last] if last > 0 else [0]

    sizes = [size for size in range(largest, max(largest // 2, overlap), -step)]
    # The fewest pixels to compute; of equals the fewest windows.
    size = canvas if canvas <= largest else min(sizes, key=lambda s: len(starts(s)) * s)
    begins = starts(size)
    cuts = [0, *(min(start + STEPS_BEFORE * step, length) for start in begins[1:]), length]
    windows = zip(begins, pairwise(cuts), strict=True)
    return [Span(start, start + size, *cut) for start, cut in windows if cut[0] < cut[1]]


def _canvas(length: int, step: int) -> int:
    """The length that is masked: the image and, beyond its end, repetitions of its edge."""
    unit = step
    if length <= ONE_WINDOW:
        unit = max(unit, 16, 2 ** (length - 1).bit_length() // 8)
    return -(-length // unit) * unit


def read_windows(
    read: ReadWindow, rows: Sequence[Span], columns: Sequence[Span], N: int
) -> Generator[tuple[Span, Span, NDArray[np.float32]], None, None]:
    """The images [h, w, N] of windows, row by row; each is read while those before are masked.

    No pixel is read twice: what overlaps is kept. Beyond the image its edge is repeated. Closed,
    it waits for the window that is being read.
    """
    images = _images(read, rows, columns, N)
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, images, None)
        while (due := coming.result()) is not None:
            coming = reader.submit(next, images, None)
            yield due


def _images(
    read: ReadWindow, rows: Sequence[Span], columns: Sequence[Span], N: int
) -> Iterator[tuple[Span, Span, NDArray[np.float32]]]:
    height, width = rows[-1].last, columns[-1].last
    overlaps = [min(row.stop, height) - below.start for row, below in pairwise(rows)]
    # What a row of windows shares with the next takes the place of what the one before left.
    shared = np.empty((max(overlaps, default=0), width, N), np.float32)
    for row, above, below in zip(rows, [0, *overlaps], [*overlaps, 0], strict=True):
        bottom = min(row.stop, height)
        left = np.empty((bottom - row.start, 0, N), np.float32)
        for column, next_column in zip(columns, [*columns[1:], None], strict=True):
            right = min(column.stop, width)
            window = (slice(row.start, bottom), slice(column.start, right))
            image = _joined(read, window, shared[:above, window[1]], left)
            done = right if next_column is None else min(next_column.start, right)
            own = done - column.start
            shared[:below, column.start : done] = image[len(image) - below :, :own]
            left = image[:, own:]
            yield row, column, _extended(image, row.stop - row.start, column.stop - column.start)


def _joined(
    read: ReadWindow, window: Window, above: NDArray[np.float32], left: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The image of a window, of which the first rows and the first columns were read before."""
    rows, columns = window
    y, x = above.shape[0], left.shape[1]
    h, w = rows.stop - rows.start, columns.stop - columns.start
    unread = (slice(rows.start + y, rows.stop), slice(columns.start + x, columns.stop))
    if not (y or x):
        return read(unread)
    image = np.empty((h, w, above.shape[2]), np.float32)
    image[:y] = above
    image[y:, :x] = left[y:]
    if y < h and x < w:
        image[y:, x:] = read(unread)
    return image


def _extended(image: NDArray[np.float32], h: int, w: int) -> NDArray[np.float32]:
    beyond = (h - image.shape[0], w - image.shape[1])
    if beyond == (0, 0):
        return image
    return np.pad(image, ((0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
