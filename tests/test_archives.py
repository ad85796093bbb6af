import shutil
import struct
import zipfile
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
    empty = "no file" if "tar" in name else "damaged or cut short"  # Zeros end a tar.
    for content, fault in (
        (b"no archive at all" * 100, "damaged or cut short"),
        (b"", "is empty"),
        (bytes(10240), empty),
    ):
        (tmp_path / name).write_bytes(content)
        files, faults = find_files(tmp_path)
        assert files == []
        assert len(faults) == 1
        assert faults[0].startswith(f"{tmp_path / name}: ")
        assert fault in faults[0]


# Of a zip's entry, in its own header and in the archive's list: where flags and compression stand.
_HEADERS = ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10))


def change_entry(archive: Path, *, flags: int, compression: int) -> None:
    content = bytearray(archive.read_bytes())
    for signature, flags_at, compression_at in _HEADERS:
        start = content.index(signature)
        struct.pack_into("<H", content, start + flags_at, flags)
        struct.pack_into("<H", content, start + compression_at, compression)
    archive.write_bytes(content)


@pytest.mark.parametrize(("flags", "compression"), [(0, 9), (1, 8)], ids=["deflate64", "password"])
def test_a_zip_that_python_cannot_unpack_is_named_and_not_called_damaged(
    tmp_path, flags, compression
):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", "text")
    change_entry(archive, flags=flags, compression=compression)
    files, faults = find_files(tmp_path)
    assert faults == []
    with pytest.raises(OSError, match=r"a\.zip: the archive cannot be read packed .*unpack it"):
        on_disk(files).__enter__()


def test_a_zip_with_a_damaged_name_is_named(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("\u00e4.txt", "text")
    content = archive.read_bytes().replace("\u00e4".encode(), b"\xff\xff")
    archive.write_bytes(content)
    _, [fault] = find_files(tmp_path)
    assert fault.startswith(f"{archive}: the archive is damaged or cut short (")
