"""The stored form of labelled data: patches, their records, and which split a scene belongs to.

Axes: H height, W width, N bands.
"""

import hashlib
import io
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from numpy.typing import NDArray

from permjax.bands import BandDescription
from permjax.classes import CLASS_COUNT, UNLABELLED
from permjax.radiometry import quantise

SPLITS: Final = ("train", "validation", "test")
FRACTIONS: Final[Mapping[str, float]] = {"train": 0.7, "validation": 0.1, "test": 0.2}


@dataclass(frozen=True, eq=False)
class Patch:
    """A labelled square of a scene, checked when it is made.

    Args:
        image: float32 [H, W, N], reflectance unitless, thermal bands in kelvin, NaN = no data.
        label: uint8 [H, W], the classes a pixel may be, as bits of `permjax.classes`.
        bands: descriptions of the N bands, arrays [N].
        scene_id: the acquisition; all patches of one scene belong to one split.
        sensor: key of `permjax.sensors.SENSORS`.
        gsd_m: size of a pixel on the ground, metres.
        sun_elevation_deg: degrees above the horizon, NaN = unknown.

    Raises:
        ValueError: the parts do not fit together; the message names the scene.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    bands: BandDescription
    scene_id: str
    sensor: str
    gsd_m: float
    sun_elevation_deg: float

    def __post_init__(self) -> None:
        fault = next(self._faults(), None)
        if fault:
            raise ValueError(f"patch of scene {self.scene_id!r}: {fault}")

    def _faults(self) -> Iterator[str]:
        """What is wrong; a check may rely on those before it."""
        image, label = self.image, self.label
        if image.dtype != np.float32 or image.ndim != 3 or image.size == 0:
            yield f"image must be float32 [H, W, N], not {image.dtype} {image.shape}"
        if label.dtype != np.uint8 or label.shape != image.shape[:2]:
            expected = f"uint8 {image.shape[:2]} as the image"
            yield f"label must be {expected}, not {label.dtype} {label.shape}"
        if label.max() >= 1 << CLASS_COUNT:
            yield f"label holds {label.max()}; the bits of {CLASS_COUNT} classes are below 16"
        shapes = [np.shape(part) for part in self.bands]
        if shapes != [image.shape[2:]] * len(shapes):
            yield f"{image.shape[2]} bands need descriptions of as many values, not {shapes}"
        if not self.scene_id or not self.sensor:
            yield "scene_id and sensor must be given"
        if not 0 < self.gsd_m < math.inf:
            yield f"gsd_m must be a positive number of metres, not {self.gsd_m}"
        if not (math.isnan(self.sun_elevation_deg) or -90 <= self.sun_elevation_deg <= 90):
            yield f"sun_elevation_deg is {self.sun_elevation_deg}: give degrees, NaN if unknown"


def features() -> tfds.features.FeaturesDict:
    """The features of a stored record: image x scale + offset is physical, 65535 = no data."""
    per_band = {"scale": np.float32, "offset": np.float32, "wavelength_nm": np.float32}
    per_band |= {"bandwidth_nm": np.float32, "kind": np.int32}
    return tfds.features.FeaturesDict(
        {
            # Bytes: the one encoding for several unknown dimensions, and the fastest.
            "image": tfds.features.Tensor(
                shape=(None, None, None), dtype=np.uint16, encoding="bytes"
            ),
            "label": tfds.features.Tensor(shape=(None, None), dtype=np.uint8, encoding="bytes"),
            **{k: tfds.features.Tensor(shape=(None,), dtype=v) for k, v in per_band.items()},
            "scene_id": tfds.features.Text(),
            "sensor": tfds.features.Text(),
            "gsd_m": np.float32,
            "sun_elevation_deg": np.float32,
        }
    )


def record(patch: Patch) -> dict[str, Any]:
    """The record of a patch in the form of `features`; the image within half a step."""
    H, W, N = patch.image.shape
    # A row of pixels as one long row of bands: numpy takes many times as long over short ones.
    rows = patch.image.reshape(H, W * N)
    dn, scale, offset = quantise(rows, np.tile(patch.bands.kind, W))
    return {
        "image": dn.reshape(H, W, N),
        "scale": scale[:N],
        "offset": offset[:N],
        "wavelength_nm": np.asarray(patch.bands.wavelength_nm, np.float32),
        "bandwidth_nm": np.asarray(patch.bands.bandwidth_nm, np.float32),
        "kind": np.asarray(patch.bands.kind, np.int32),
        "label": patch.label,
        "scene_id": patch.scene_id,
        "sensor": patch.sensor,
        "gsd_m": np.float32(patch.gsd_m),
        "sun_elevation_deg": np.float32(patch.sun_elevation_deg),
    }


@contextmanager
def quiet_tfds() -> Iterator[None]:
    """Leaves the terminal to our own progress bar and notices; errors are still logged."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def prepare(builder: tfds.core.DatasetBuilder) -> Path:
    """Writes the data set of a builder as array_record files, whole or not at all.

    Returns:
        its directory.

    Raises:
        FileExistsError: it is there already.
    """
    directory = Path(builder.data_dir)
    if directory.exists():
        raise FileExistsError(
            f"{directory}: there is a data set already: remove it, or choose another data_dir"
        )
    # The downloads folder, which nothing needs, is made elsewhere and goes away.
    with quiet_tfds(), tempfile.TemporaryDirectory() as downloads:
        builder.download_and_prepare(download_dir=downloads, file_format="array_record")
    return directory


class Square(NamedTuple):
    """A labelled square cut from a scene: its upper left pixel, image and label."""

    row: int
    column: int
    image: NDArray[np.float32]
    label: NDArray[np.uint8]


ReadSquare = Callable[[slice, slice], tuple[NDArray[np.float32], NDArray[np.uint8]]]


def cut_patches(
    read: ReadSquare, height: int, width: int, patch_size: int, stride: int | None = None
) -> Iterator[Square]:
    """Squares of `patch_size` that cover a scene, read one at a time.

    At the lower and right edge the last square is moved inwards, so that it lies in the scene;
    what an earlier square would have held is then unlabelled in it. With `stride` equal to
    `patch_size`, the default, every labelled pixel is therefore labelled in exactly one square.
    A scene smaller than the square is filled up with NaN and unlabelled pixels. Squares without
    a labelled pixel that has data are left out.

    Args:
        read: gives image float32 [h, w, N] and label uint8 [h, w] of a slice of rows and columns.
        height: of the scene in pixels.
        width: of the scene in pixels.
        patch_size: side of a square in pixels.
        stride: pixels from one square to the next; smaller than `patch_size` to overlap.

    Raises:
        ValueError: as `checked_stride`.
    """
    stride = checked_stride(patch_size, stride)
    rows = _starts(height, patch_size, stride)
    columns = _starts(width, patch_size, stride)
    for row, seen_rows in rows:
        for column, seen_columns in columns:
            image, label = read(
                slice(row, min(row + patch_size, height)),
                slice(column, min(column + patch_size, width)),
            )
            label = np.where(_missing(image), np.uint8(UNLABELLED), label)
            label[:seen_rows] = UNLABELLED
            label[:, :seen_columns] = UNLABELLED
            if label.any():
                yield Square(row, column, *_filled(image, label, patch_size))


def checked_stride(patch_size: int, stride: int | None) -> int:
    """Pixels from one square to the next; None = `patch_size`.

    Raises:
        ValueError: a size is not positive, or squares would leave pixels between them out.
    """
    stride = patch_size if stride is None else stride
    if patch_size < 1 or stride < 1:
        raise ValueError(f"patch_size {patch_size} and stride {stride} must be 1 pixel or more")
    if stride > patch_size:
        raise ValueError(
            f"stride {stride} is larger than patch_size {patch_size}, so that pixels between "
            f"patches would be lost: take a stride of {patch_size} or less"
        )
    return stride


def _missing(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where no band has data, [h, w]."""
    missing = np.isnan(image[..., 0])
    for band in range(1, image.shape[2]):
        if not missing.any():
            break  # As in most squares: the other bands need not be looked at.
        missing &= np.isnan(image[..., band])
    return missing


def _filled(
    image: NDArray[np.float32], label: NDArray[np.uint8], patch_size: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Image and label of a full square, without data where the scene has none."""
    missing = [(0, patch_size - size) for size in label.shape]
    if not np.any(missing):
        return image, label
    image = np.pad(image, [*missing, (0, 0)], constant_values=np.nan)
    return image, np.pad(label, missing)


def _starts(length: int, patch_size: int, stride: int) -> list[tuple[int, int]]:
    """First pixel of each square along one axis, and how many pixels the edge moved it inwards."""
    last = max(length - patch_size, 0)
    regular = range(0, last + stride, stride)
    return [(min(start, last), max(start - last, 0)) for start in regular]


def assign_splits(
    scene_ids: Iterable[str], fractions: Mapping[str, float] = FRACTIONS
) -> dict[str, str]:
    """The split of each scene: by scene, and the same whatever the order of the list.

    Scenes are ordered by a hash of their id, so that neighbours in name do not go together, and
    dealt one by one to the split that is furthest below its share. Each split of a positive
    fraction gets a scene as soon as there are enough: one scene tests, two train and test, three
    or more serve all.

    Args:
        scene_ids: ids of the scenes; repeated ones count once.
        fractions: share of each split; they sum to 1.

    Raises:
        ValueError: a fraction is negative, of an unknown split, or they do not sum to 1.
    """
    unknown = set(fractions) - set(SPLITS)
    if unknown or min(fractions.values()) < 0 or not math.isclose(sum(fractions.values()), 1):
        raise ValueError(
            f"fractions of the splits {', '.join(SPLITS)} must be positive and sum to 1, "
            f"not {dict(fractions)}"
        )
    ordered = sorted(set(scene_ids), key=lambda name: hashlib.sha256(name.encode()).digest())
    counts = _split_counts(len(ordered), fractions)
    splits = [split for split, count in counts.items() for _ in range(count)]
    return dict(zip(ordered, splits, strict=True))


def _split_counts(total: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """How many of `total` scenes each split gets: first one each, then by what is still owed."""
    counts = {split: 0 for split in ("test", "train", "validation") if fractions.get(split)}
    for index in range(total):
        empty = [split for split, count in counts.items() if count == 0]
        owed = {split: fractions[split] * (index + 1) - n for split, n in counts.items()}
        counts[empty[0] if empty else max(owed, key=owed.__getitem__)] += 1
    return counts
