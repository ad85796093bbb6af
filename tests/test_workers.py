"""Packing by several processes, and what is left when they are stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from built import assert_same_records, build, metadata, read_all
from fake_biome import CLEAR, TEST, TRAIN, write_archive, write_original

from data_prep import workers
from permjax.locks import locked

NAME = "landsat8_biome"
ROOT = Path(__file__).parent.parent

STOPPED = """
import os, signal, sys
from data_prep import build, progress, workers
workers.WORTH_BYTES = 0
signal.signal(signal.SIGTERM, signal.default_int_handler)  # As the command does.
advance, count = progress.SceneProgress.advance, 0
def stop_at_the_fifth(self, *event):
    global count
    count += 1
    if count == 5:
        os.kill(os.getpid(), signal.{signal})
    advance(self, *event)
progress.SceneProgress.advance = stop_at_the_fifth
sys.exit(build.main(sys.argv[1:]))
"""
"""A run of two processes beside the first, which is stopped while they write."""


@pytest.fixture
def source(tmp_path) -> Path:
    """Three scenes, each in an archive."""
    for seed, name in enumerate((TRAIN, TEST, CLEAR)):
        folder = write_original(tmp_path / "loose", name, seed=seed, shape=(200, 180))
        write_archive(tmp_path / "source" / f"{name}.tar.gz", folder)
    return tmp_path / "source"


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 1), ("SIGKILL", -signal.SIGKILL)])
def test_processes_stop_with_the_first_and_the_next_run_goes_on(tmp_path, source, name, code):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    data_dir = tmp_path / "data"
    arguments = [NAME, f"--source={source}", f"--data_dir={data_dir}", "--patch_size=32"]
    script = STOPPED.replace("{signal}", name)
    environment = os.environ | {"TMPDIR": str(scratch)}
    stopped = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, env=environment, check=False
    )
    assert stopped.returncode == code
    assert not list(data_dir.rglob("dataset_info.json"))
    if name == "SIGTERM":
        assert not list(scratch.glob("permjax_*"))
        assert not list(data_dir.rglob("*.part"))
    command = [sys.executable, "-m", "data_prep.build", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    assert not list(scratch.glob("permjax_*"))
    whole = build(NAME, source, tmp_path / "whole", patch_size=32)
    [directory] = [path.parent for path in data_dir.rglob("dataset_info.json")]
    assert_same_records(directory, whole)


def test_processes_write_what_one_writes_and_find_the_same_faults(tmp_path, source, monkeypatch):
    archive = source / f"{TEST}.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-2000])
    one = build(NAME, source, tmp_path / "one", patch_size=32, keep_going=True)
    monkeypatch.setattr(workers, "WORTH_BYTES", 0)
    with pytest.raises(ValueError, match=rf"{TEST}.tar.gz: .*cut short"):
        build(NAME, source, tmp_path / "two", patch_size=32)
    assert not list((tmp_path / "two").rglob("*.part"))
    two = build(NAME, source, tmp_path / "two", patch_size=32, keep_going=True)
    assert_same_records(two, one)
    assert len(read_all(two)) == 2 * 35
    assert metadata(two) == metadata(one)


def test_scenes_of_one_archive_are_sent_to_other_processes(tmp_path, source, monkeypatch):
    folders = sorted((tmp_path / "loose" / "BC").iterdir())
    together = write_archive(tmp_path / "all.tar.gz", *folders)
    monkeypatch.setattr(workers, "WORTH_BYTES", 0)
    one = build(NAME, together, tmp_path / "together", patch_size=32)
    monkeypatch.undo()
    assert len(read_all(one)) == 3 * 35
    other = build(NAME, tmp_path / "loose", tmp_path / "apart", patch_size=32)
    assert_same_records(one, other)


def test_a_second_run_at_the_same_time_is_refused(tmp_path, source):
    data_dir = tmp_path / "data"
    (data_dir / NAME).mkdir(parents=True)
    with (
        locked(data_dir / NAME / ".lock", ""),
        pytest.raises(BlockingIOError, match="another run is packing this data set"),
    ):
        build(NAME, source, data_dir, patch_size=32)
    assert len(read_all(build(NAME, source, data_dir, patch_size=32))) == 3 * 35
    assert not (data_dir / NAME / ".lock").exists()


def test_scratch_of_the_dead_is_removed_and_that_of_the_living_kept(tmp_path, source, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    living, dead = (tmp_path / f"permjax_{name}" for name in ("living", "dead"))
    for folder in (living, dead):
        folder.mkdir()
        (folder / "B1.TIF").write_bytes(b"0")
    dead.with_suffix(".lock").touch()
    with locked(living.with_suffix(".lock"), ""):
        build(NAME, source, tmp_path / "data", patch_size=32)
        assert living.exists()
    assert not list(tmp_path.glob("permjax_dead*"))
