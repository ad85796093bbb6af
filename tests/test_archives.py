import shutil
from pathlib import Path

import pytest

from data_prep.archives import find_files, on_disk

NAMES = ("scenes/a.txt", "scenes/b.txt", "c.txt")


@pytest.fixture(params=["folder", "zip", "tar", "gztar"])
def source(request, tmp_path) -> Path:
    """Three files in a folder, or in an archive in a folder; and files that are no data."""
    folder = tmp_path / "files"
    for name in (*NAMES, ".hidden", "._a.txt", "__MACOSX/scenes/a.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")
    if request.param == "folder":
        return folder
    packed = tmp_path / "packed"
    packed.mkdir()
    shutil.make_archive(str(packed / "all"), request.param, folder)
    return packed


def test_files_are_found_and_read_wherever_they_lie(source):
    files, faults = find_files(source)
    assert faults == []
    by_name = {file.name: file for file in files}
    assert set(by_name) == set(NAMES)
    assert by_name["scenes/a.txt"].basename == "a.txt"
    assert by_name["scenes/a.txt"].folder == "scenes"
    assert by_name["c.txt"].size_bytes == len("text of c.txt")
    # Also against the order of the archive.
    with on_disk([by_name[name] for name in reversed(NAMES)]) as paths:
        texts = [path.read_text() for path in paths]
        assert [path.name for path in paths] == ["c.txt", "b.txt", "a.txt"]
    assert texts == [f"text of {name}" for name in reversed(NAMES)]
    assert all(path.exists() == (source.name == "files") for path in paths)


def test_errors_name_the_archive_and_copies_go_away(source):
    files, _ = find_files(source)
    seen = []

    def fail():
        with on_disk(files) as paths:
            seen.extend(paths)
            raise ValueError(f"{paths[0]}: is odd")

    with pytest.raises((ValueError, OSError), match=f"^{source}.*txt: is odd") as stop:
        fail()
    assert "permjax_" not in str(stop.value)
    assert all(path.exists() == (source.name == "files") for path in seen)


def test_one_archive_may_be_the_source(source):
    for archive in source.glob("all.*"):
        files, _ = find_files(archive)
        assert {file.name for file in files} == set(NAMES)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_damaged_archives_are_named(tmp_path, name):
    for content, fault in ((b"no archive at all" * 100, "damaged or cut short"), (b"", "is empty")):
        (tmp_path / name).write_bytes(content)
        files, faults = find_files(tmp_path)
        assert files == []
        assert len(faults) == 1
        assert faults[0].startswith(f"{tmp_path / name}: ")
        assert fault in faults[0]
