import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from built import assert_same_records, build, image_of, metadata, read, read_all
from fake_biome import CLEAR, TEST, TRAIN, write_original
from hypothesis import given
from hypothesis import strategies as st

from data_prep import packing
from data_prep.landsat8_biome import DATA_SET
from data_prep.packing import cut_parts, pack, scene_splits
from data_prep.patches import SPLITS
from data_prep.sources import DataSet, Found, OpenScene, SourceScene
from permjax.data import find_datasets
from permjax.sensors import SENSORS

NAME = "landsat8_biome"
ROOT = Path(__file__).parent.parent
OLI = "landsat8_oli_tirs"


@contextmanager
def open_constant(value: float, fault: str | None) -> Iterator[OpenScene]:
    """A scene of 20 x 8 pixels of one value; with a fault, half of it can be read."""

    def read(rows: slice, columns: slice):
        if fault and rows.start >= 8:
            raise OSError(fault)
        shape = rows.stop - rows.start, columns.stop - columns.start
        return np.full((*shape, 1), value, np.float32), np.ones(shape, np.uint8)

    bands = SENSORS[OLI].describe(["B4"])
    yield OpenScene(20, 8, bands, 30.0, 45.0, read, notes=("made up",))


def scene(index: int, fault: str | None = None, **changes) -> SourceScene:
    parts = {
        "name": f"s{index}",
        "scene_id": f"s{index}",
        "sensor": OLI,
        "size_bytes": 160,
        "open": lambda: open_constant(index / 1000, fault),
    }
    return SourceScene(**parts | changes)


def made_up(scenes: list[SourceScene], faults: tuple[str, ...] = ()) -> DataSet:
    return DataSet(
        NAME, "", "", 1, "", "", "", lambda _: Found(scenes, list(faults)), DATA_SET.builder
    )


# --- A stop -----------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path) -> Path:
    for seed, name in enumerate((TRAIN, TEST, CLEAR)):
        write_original(tmp_path / "source", name, seed=seed, shape=(200, 180))
    return tmp_path / "source"


KILLED = """
import os, signal, sys
from data_prep import build, parts
record, count = parts.record, 0
def stop_at_the_40th(patch):
    global count
    count += 1
    if count == 40:
        os.kill(os.getpid(), signal.SIGKILL)
    return record(patch)
parts.record = stop_at_the_40th
build.main(sys.argv[1:])
"""
"""A run that is killed while it writes the second of three scenes of 35 patches."""


def test_a_killed_run_goes_on_and_gives_the_records_of_an_uninterrupted_one(tmp_path, source):
    data_dir = tmp_path / "killed"
    arguments = [NAME, f"--source={source}", f"--data_dir={data_dir}", "--patch_size=32"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    journal = data_dir / NAME / ".unfinished" / "journal"
    done = list(journal.glob("*.json"))
    assert len(done) == 1
    first = done[0].stat().st_mtime_ns
    assert list((journal.parent / "records").rglob("*.part"))  # What the kill cut off.
    assert not list(data_dir.glob("*/*/*/dataset_info.json"))

    with pytest.raises(FileExistsError, match="patch_size 32, not 64"):
        build(NAME, source, data_dir, patch_size=64)
    assert done[0].stat().st_mtime_ns == first
    resumed = build(NAME, source, data_dir, patch_size=32)
    whole = build(NAME, source, tmp_path / "whole", patch_size=32)
    assert_same_records(resumed, whole)
    assert len(read_all(resumed)) == 3 * 35
    assert not journal.parent.exists()
    assert {p.name for p in resumed.iterdir()} == {p.name for p in whole.iterdir()}
    [dataset] = find_datasets(data_dir, [SENSORS[OLI]], "real")
    assert dataset.path == resumed


def test_whole_parts_are_kept_and_not_written_again(tmp_path):
    opened = []

    @contextmanager
    def counted(index: int) -> Iterator[OpenScene]:
        opened.append(index)
        with open_constant(index / 1000, None) as it:
            yield it

    scenes = [scene(i, open=lambda i=i: counted(i), packed=True) for i in range(4)]
    stopping = [*scenes[:2], scene(2, "s2: cut", packed=True), scenes[3]]
    with pytest.raises(ValueError, match="s2: cut"):
        pack(made_up(stopping), tmp_path, tmp_path / "data", patch_size=8)
    assert opened == [0, 1]
    pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=8)
    assert opened == [0, 1, 2, 3]


def test_a_scene_left_out_before_a_stop_is_tried_again(tmp_path):
    def stopped():
        raise KeyboardInterrupt

    broken = [scene(0, "s0: cut", packed=True), scene(1, open=stopped, packed=True)]
    with pytest.raises(KeyboardInterrupt):
        pack(made_up(broken), tmp_path, tmp_path / "data", patch_size=8, keep_going=True)
    scenes = [scene(i) for i in range(2)]
    directory, other = (
        pack(made_up(scenes), tmp_path, tmp_path / name, patch_size=8, keep_going=True)[0]
        for name in ("data", "other")
    )
    assert len(read_all(directory)) == 6
    assert metadata(directory)["left_out"] == []
    assert_same_records(directory, other)


def test_a_stop_at_the_very_end_is_made_good(tmp_path, monkeypatch):
    """Stopped between two configs that move to their places."""
    scenes = [scene(i, config=f"c{i % 2}") for i in range(4)]
    rename, moved = Path.rename, []

    def once(path: Path, target: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(KeyboardInterrupt):
        pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=8)
    monkeypatch.undo()
    directories = pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=8)
    others = pack(made_up(scenes), tmp_path, tmp_path / "other", patch_size=8)
    assert moved == directories[:1]
    for one, two in zip(directories, others, strict=True):
        assert_same_records(one, two)


def test_what_is_there_is_left_or_refused(tmp_path, source):
    directory = build(NAME, source, tmp_path / "data", patch_size=64)
    before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    assert build(NAME, source, tmp_path / "data", patch_size=64) == directory
    for options in ({"patch_size": 32}, {"patch_size": 64, "stride": 32}):
        with pytest.raises(FileExistsError, match="made with other settings"):
            build(NAME, source, tmp_path / "data", **options)
    write_original(source, "LC80070662014234LGN00")
    with pytest.raises(FileExistsError, match="scenes 3, not 4"):
        build(NAME, source, tmp_path / "data", patch_size=64)
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == before


def test_a_run_with_other_settings_that_ended_meanwhile_is_not_taken_for_this_one(
    tmp_path, monkeypatch
):
    scenes = [scene(i) for i in range(4)]

    def meanwhile(*_: object) -> None:
        monkeypatch.undo()
        pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=4)

    monkeypatch.setattr(packing, "remove_abandoned", meanwhile)
    with pytest.raises(FileExistsError, match="patch_size 4, not 8"):
        pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=8)


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
