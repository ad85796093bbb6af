"""What a product may be given as, and what it may not hold."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fake_landsat import Landsat, write_landsat
from fake_safe import Safe, write_safe
from fake_scenes import whole

from permjax import products
from permjax.scenes import open_scene

OLD = Safe(baseline="02.04", offsets={}, long_names=True)


def test_metadata_with_a_long_name_are_the_product(tmp_path):
    folder = write_safe(tmp_path, OLD)
    with open_scene(folder) as scene:
        expected = whole(scene)
    with open_scene(folder / OLD.product_xml) as scene:
        np.testing.assert_array_equal(whole(scene), expected)


@pytest.mark.parametrize("kind", ["Sentinel-2", "Landsat"])
def test_a_folder_with_one_product_is_that_product(tmp_path, kind):
    parent = tmp_path / "unpacked"
    folder = (
        write_safe(parent, Safe(bands=("B02",)))
        if kind == "Sentinel-2"
        else write_landsat(parent, Landsat())
    )
    (parent / "notes").mkdir()
    (parent / "notes" / "a.txt").write_text("of no product")
    with open_scene(folder) as scene:
        name, expected = scene.name, whole(scene)
    with open_scene(parent) as scene:
        assert scene.name == name
        np.testing.assert_array_equal(whole(scene), expected)


def test_a_folder_with_several_products_asks_for_one(tmp_path):
    write_safe(tmp_path, Safe(bands=("B02",)))
    write_landsat(tmp_path, Landsat())
    with pytest.raises(ValueError, match=r"holds 2 products; give one of them, such as .*LE07"):
        open_scene(tmp_path)


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "tar.gz"])
def test_metadata_too_long_for_any_product_are_not_read_whole(tmp_path, monkeypatch, form):
    folder = write_landsat(tmp_path, Landsat())
    mtl = next(folder.glob("*_MTL.txt"))
    mtl.write_bytes(mtl.read_bytes().ljust(100_000))
    path = packed(folder, form)
    with open_scene(path):
        monkeypatch.setattr(products, "_FILE_BYTES", 50_000)
    with pytest.raises(OSError, match=r"^\S+/LE07\S+_MTL\.txt: has more than .* MB, .*fetch it ag"):
        open_scene(path)


def packed(folder: Path, form: str) -> Path:
    path = folder.parent / f"a.{form}"
    if form == "folder":
        return folder
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in folder.iterdir():
                archive.write(file, file.name)
        return path
    with tarfile.open(path, "w:gz" if form == "tar.gz" else "w") as archive:
        for file in folder.iterdir():
            archive.add(file, file.name)
    return path


def test_an_archive_that_unpacks_to_more_than_a_product_is_refused(tmp_path, monkeypatch):
    path, scratch = tmp_path / "a.tgz", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr(products, "_PRODUCT_BYTES", 3_000_000)
    with tarfile.open(path, "w:gz") as archive:
        for band in range(4):
            member = tarfile.TarInfo(f"LE07_B{band}.TIF")
            member.size = 1_000_000
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(OSError, match=r"^\S+a\.tgz: unpacks to more than 0\.0 GB"):
        open_scene(path)
    assert not list(scratch.iterdir())
