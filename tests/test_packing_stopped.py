"""A build that was stopped goes on, and one that is there is left as it is."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from built import assert_same_records, build, metadata, read_all
from fake_biome import CLEAR, TEST, TRAIN, write_original
from fake_source import OLI, made_up, open_constant, scene

from data_prep import packing, unfinished
from data_prep.packing import pack
from data_prep.sources import OpenScene
from permjax.data import find_datasets
from permjax.sensors import SENSORS

NAME = "landsat8_biome"
ROOT = Path(__file__).parent.parent


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
        with open_constant(index / 1000) as it:
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


def test_a_stop_after_the_files_of_an_empty_split_are_gone_is_made_good(tmp_path, monkeypatch):
    scenes = [
        scene(0, split="train"),
        scene(1, split="test", open=lambda: open_constant(1, label=0)),
    ]

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(unfinished, "write_info", stopped)
    with pytest.raises(KeyboardInterrupt):
        pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=8)
    monkeypatch.undo()
    [directory] = pack(made_up(scenes), tmp_path, tmp_path / "data", patch_size=8)
    [other] = pack(made_up(scenes), tmp_path, tmp_path / "other", patch_size=8)
    assert {path.name for path in directory.iterdir()} == {path.name for path in other.iterdir()}
    assert_same_records(directory, other)
