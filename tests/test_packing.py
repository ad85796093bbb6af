import numpy as np
import pytest
import tensorflow_datasets as tfds
from built import image_of, metadata, read, read_all
from fake_source import OLI, made_up, open_constant, scene
from hypothesis import given
from hypothesis import strategies as st

from data_prep.packing import cut_parts, pack, scene_splits
from data_prep.patches import SPLITS

# --- Faults -----------------------------------------------------------------------------------


def test_a_scene_that_fails_in_the_middle_leaves_no_record(tmp_path, capsys, monkeypatch):
    """Also where several scenes share a file of records."""
    monkeypatch.setattr("data_prep.packing.MOST_PARTS", 2)
    scenes = [scene(i, f"file{i}: damaged" if i in (1, 4) else None) for i in range(6)]
    it = made_up(scenes, faults=("odd.tif: no name",))
    data_dir = tmp_path / "data"
    with pytest.raises(ValueError, match="odd"):
        pack(it, tmp_path, data_dir, patch_size=8)
    with pytest.raises(ValueError, match="file1: damaged"):
        pack(made_up(scenes), tmp_path, data_dir, patch_size=8)
    assert not list(data_dir.rglob("dataset_info.json"))
    assert not list(data_dir.rglob("*.part"))
    [directory] = pack(it, tmp_path, data_dir, patch_size=8, keep_going=True)
    records = read_all(directory)
    assert {one["scene_id"] for one in records} == {b"s0", b"s2", b"s3", b"s5"}
    assert len(records) == 4 * 3
    for one in records:
        value = int(one["scene_id"][1:]) / 1000
        assert np.nanmax(np.abs(image_of(one) - value)) < 6e-5
    said = capsys.readouterr().err
    left_out = metadata(directory)["left_out"]
    assert sorted(left_out) == [
        "odd.tif: no name",
        "scene s1: file1: damaged",
        "scene s4: file4: damaged",
    ]
    assert all(f"left out: {reason}" in said for reason in left_out)
    assert metadata(directory)["notes"] == {"made up": ["s0", "s2", "s3", "s5"]}


def test_where_no_scene_can_be_used_nothing_is_left(tmp_path):
    it = made_up([scene(0, "file0: damaged", packed=True)])
    for keep_going, message in (
        (False, "^scene s0: file0"),
        (True, "no scene can be used: .*file0"),
    ):
        with pytest.raises(ValueError, match=message):
            pack(it, tmp_path, tmp_path / "data", patch_size=8, keep_going=keep_going)
        assert not (tmp_path / "data").exists()


def test_a_full_disk_is_no_fault_of_a_scene(tmp_path):
    def full():
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        pack(made_up([scene(0, open=full)]), tmp_path, tmp_path / "data", keep_going=True)


def test_where_nothing_can_be_written_no_scene_is_opened(tmp_path):
    opened = []
    (tmp_path / "file").touch()
    it = made_up([scene(0, open=lambda: opened.append(0))])
    with pytest.raises(OSError, match=r"file.data: cannot be written \(Not a directory\): choose"):
        pack(it, tmp_path, tmp_path / "file" / "data", patch_size=8)
    assert not opened


@pytest.mark.parametrize(("sensor", "split"), [("kite", None), (OLI, "dev")])
def test_a_scene_of_no_sensor_or_split_is_refused(sensor, split):
    with pytest.raises(ValueError, match="s0: there is no"):
        scene(0, sensor=sensor, split=split)


# --- Splits and parts -------------------------------------------------------------------------

SCENES = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["a", "b"]), st.booleans()), max_size=40
)
"""Acquisition, config and whether it has a published split, which follows from its number."""


@given(SCENES, st.integers(1, 5))
def test_no_scene_straddles_two_splits_whatever_the_list(drawn, most_parts):
    scenes = [
        scene(
            i,
            scene_id=f"id{number}",
            config=config,
            split=SPLITS[number % 3] if published else None,
        )
        for i, (number, config, published) in enumerate(drawn)
    ]
    splits = scene_splits(scenes)
    assert set(splits) == {one.scene_id for one in scenes}
    assert all(splits[one.scene_id] == one.split for one in scenes if one.split)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("data_prep.packing.MOST_PARTS", most_parts)
        parts = cut_parts(scenes, splits)
    packed = [one for part in parts for one in part.scenes]
    assert sorted(one.name for one in packed) == sorted(one.name for one in scenes)
    for part in parts:
        assert {splits[one.scene_id] for one in part.scenes} == {part.split}
        assert {one.config for one in part.scenes} == {part.config}
    assert len({part.name for part in parts}) == len(parts)


def test_contradictory_splits_and_names_are_refused():
    with pytest.raises(ValueError, match="s0 is published in two splits, train and test"):
        scene_splits([scene(0, split="train"), scene(1, scene_id="s0", split="test")])
    with pytest.raises(ValueError, match="two scenes are called s0"):
        scene_splits([scene(0), scene(0)])


def test_sensors_become_data_sets_of_their_own_with_one_split_a_scene(tmp_path):
    scenes = [
        scene(2 * i + k, scene_id=f"id{i}", config=config)
        for i in range(6)
        for k, config in enumerate(("high", "low"))
    ]
    directories = pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=8)
    assert [path.parent.name for path in directories] == ["high", "low"]
    high, low = (
        {split: {one["scene_id"] for one in read(path, split)} for split in SPLITS}
        for path in directories
    )
    assert high == low


@pytest.mark.parametrize("reason", ["unlabelled", "left out"])
def test_a_split_without_records_is_not_there(tmp_path, reason):
    """Neither for TFDS nor as a file."""
    fault = "s1: cut" if reason == "left out" else None
    label = 0 if reason == "unlabelled" else 1
    scenes = [
        scene(0, split="train"),
        scene(1, split="test", open=lambda: open_constant(1, fault, label)),
        scene(2, split="test", open=lambda: open_constant(2, fault, label)),
    ]
    [directory] = pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=8, keep_going=True)
    assert set(tfds.builder_from_directory(directory).info.splits) == {"train"}
    assert len(read(directory, "train")) == 3
    [records] = directory.glob("*.array_record*")
    assert "-train.array_record-00000-of-00001" in records.name
