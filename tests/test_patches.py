import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st

from data_prep.patches import (
    FRACTIONS,
    SPLITS,
    Patch,
    assign_splits,
    cut_patches,
    features,
    prepare,
    record,
)
from permjax.bands import describe_bands
from permjax.radiometry import dequantise

BANDS = describe_bands([665, 10_895], [31, 590], ["surface_reflectance", "brightness_temperature"])


def patch(**changes) -> Patch:
    rng = np.random.default_rng(0)
    image = np.stack([rng.uniform(0, 1, (6, 5)), rng.uniform(200, 300, (6, 5))], axis=-1)
    image[1, 2] = np.nan
    parts = {
        "image": image.astype(np.float32),
        "label": rng.integers(0, 16, (6, 5)).astype(np.uint8),
        "bands": BANDS,
        "scene_id": "scene",
        "sensor": "landsat8_oli_tirs",
        "gsd_m": 30.0,
        "sun_elevation_deg": float("nan"),
    }
    return Patch(**parts | changes)


# --- Patches ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.zeros((6, 5, 2))}, "image must be float32"),
        ({"image": np.zeros((6, 5), np.float32)}, "image must be float32"),
        ({"label": np.zeros((5, 6), np.uint8)}, "label must be uint8"),
        ({"label": np.zeros((6, 5), bool)}, "label must be uint8"),
        ({"label": np.full((6, 5), 255, np.uint8)}, "label holds 255"),
        ({"bands": describe_bands([665], [31])}, "2 bands need descriptions"),
        ({"sensor": ""}, "scene_id and sensor"),
        ({"gsd_m": float("nan")}, "gsd_m must be"),
        ({"sun_elevation_deg": 1000.0}, "sun_elevation_deg is 1000"),
    ],
)
def test_a_patch_whose_parts_do_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=f"scene 'scene'.*{message}"):
        patch(**changes)


class TinyBuilder(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    fail = False

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=features())

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        yield "0", record(patch())
        if self.fail:
            raise KeyboardInterrupt


def test_a_record_reads_back_as_the_patch(tmp_path, capfd):
    path = prepare(TinyBuilder(data_dir=tmp_path))
    assert capfd.readouterr() == ("", "")  # Our own progress bar has the terminal for itself.
    [back] = tfds.builder_from_directory(path).as_data_source("test")  # pyright: ignore[reportCallIssue]
    original = patch()
    image = dequantise(back["image"], back["scale"], back["offset"])
    half_step = back["scale"] * 0.501
    np.testing.assert_array_equal(np.isnan(image), np.isnan(original.image))
    assert (np.abs(np.nan_to_num(image - original.image)) <= half_step).all()
    np.testing.assert_array_equal(back["label"], original.label)
    for name, values in BANDS._asdict().items():
        np.testing.assert_array_equal(back[name], values)
    assert (back["scene_id"], back["sensor"]) == (b"scene", b"landsat8_oli_tirs")
    assert back["gsd_m"] == 30
    assert np.isnan(back["sun_elevation_deg"])


def test_a_data_set_is_written_whole_or_not_at_all_and_never_over_another(tmp_path):
    builder = TinyBuilder(data_dir=tmp_path)
    builder.fail = True
    with pytest.raises(KeyboardInterrupt):
        prepare(builder)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    builder.fail = False
    prepare(builder)
    with pytest.raises(FileExistsError, match="there is a data set already"):
        prepare(builder)


# --- Cutting ------------------------------------------------------------------------------


def cut(label: np.ndarray, patch_size: int, stride: int | None = None, image=None):
    if image is None:
        image = np.arange(label.size, dtype=np.float32).reshape(*label.shape, 1)
    return list(
        cut_patches(
            lambda rows, columns: (image[rows, columns], label[rows, columns]),
            label.shape[0],
            label.shape[1],
            patch_size,
            stride,
        )
    )


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12))
def test_every_labelled_pixel_is_labelled_in_exactly_one_square(height, width, patch_size):
    label = np.random.default_rng(0).integers(0, 16, (height, width)).astype(np.uint8)
    counts = np.zeros((height + patch_size, width + patch_size), int)
    labels = np.zeros_like(counts)
    for square in cut(label, patch_size):
        rows = slice(square.row, square.row + patch_size)
        here = rows, slice(square.column, square.column + patch_size)
        assert square.image.shape == (patch_size, patch_size, 1)
        assert square.label.shape == (patch_size, patch_size)
        counts[here] += square.label > 0
        labels[here] += square.label
    np.testing.assert_array_equal(counts[:height, :width], label > 0)
    np.testing.assert_array_equal(labels[:height, :width], label)
    assert not counts[height:].any()
    assert not counts[:, width:].any()


def test_the_last_squares_are_moved_into_the_scene():
    squares = cut(np.ones((10, 4), np.uint8), 4)
    assert [(square.row, square.column) for square in squares] == [(0, 0), (4, 0), (6, 0)]
    assert all(np.isfinite(square.image).all() for square in squares)
    assert squares[-1].label.tolist() == [[0] * 4] * 2 + [[1] * 4] * 2


def test_a_small_scene_is_filled_up_with_no_data():
    [square] = cut(np.ones((2, 3), np.uint8), 4)
    assert np.isfinite(square.image[:2, :3]).all()
    assert np.isnan(square.image).sum() == 16 - 6
    assert square.label.sum() == 6


def test_squares_overlap_with_a_smaller_stride():
    squares = cut(np.ones((8, 4), np.uint8), 4, stride=2)
    assert [square.row for square in squares] == [0, 2, 4]
    assert all(square.label.all() for square in squares)


def test_squares_without_label_or_without_data_are_left_out():
    label = np.ones((4, 8), np.uint8)
    label[:, :4] = 0
    assert [square.column for square in cut(label, 4)] == [4]
    image = np.ones((4, 8, 2), np.float32)
    image[:, 4:] = np.nan
    assert cut(label, 4, image=image) == []


@pytest.mark.parametrize(("patch_size", "stride"), [(0, 1), (4, 0), (4, -1)])
def test_squares_must_advance(patch_size, stride):
    with pytest.raises(ValueError, match="1 pixel or more"):
        cut(np.ones((4, 4), np.uint8), patch_size, stride)


def test_squares_must_not_leave_pixels_out():
    with pytest.raises(ValueError, match="stride 9 is larger than patch_size 8"):
        cut(np.ones((20, 20), np.uint8), 8, 9)


# --- Splits -------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=5), max_size=40), st.randoms())
def test_splits_are_by_scene_whatever_the_list(scene_ids, random):
    splits = assign_splits(scene_ids)
    assert set(splits) == set(scene_ids)
    shuffled = [*scene_ids, *scene_ids]
    random.shuffle(shuffled)
    assert assign_splits(shuffled) == splits
    counts = {split: list(splits.values()).count(split) for split in SPLITS}
    if len(splits) >= len(SPLITS):
        assert min(counts.values()) >= 1
    for split, count in counts.items():
        assert abs(count - FRACTIONS[split] * len(splits)) < 2


@pytest.mark.parametrize(
    ("count", "expected"), [(1, (0, 0, 1)), (2, (1, 0, 1)), (3, (1, 1, 1)), (10, (7, 1, 2))]
)
def test_short_lists_get_sensible_counts(count, expected):
    splits = list(assign_splits(map(str, range(count))).values())
    assert tuple(splits.count(split) for split in SPLITS) == expected


def test_neighbours_in_name_are_spread_over_the_splits():
    """A list is usually in the order of regions or dates; the test must not be one of them."""
    splits = assign_splits(f"{i:03}" for i in range(100))
    tested = [int(name) for name, split in splits.items() if split == "test"]
    assert min(tested) < 30
    assert max(tested) > 70


def test_a_split_may_be_asked_for_alone():
    assert set(assign_splits("abc", {"train": 1.0}).values()) == {"train"}


@pytest.mark.parametrize("fractions", [{"train": 0.5}, {"train": 1.5, "test": -0.5}, {"dev": 1.0}])
def test_wrong_fractions_are_refused(fractions):
    with pytest.raises(ValueError, match="positive and sum to 1"):
        assign_splits("abc", fractions)
