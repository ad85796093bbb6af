from pathlib import Path

import numpy as np
import pytest
from built import build
from fake_irish import (
    FIRST,
    SECOND,
    SHAPE,
    codes,
    stem,
    write_archive,
    write_mask,
    write_mtl,
    write_original,
    write_repacked,
)
from fake_scenes import write_geotiff
from refused import left_out, stops

NAME = "landsat7_irish"


def change(ending: str, content: bytes | int | None):
    """Gives a file other content: bytes, its first bytes, or None of it at all."""

    def do(folder: Path) -> None:
        [path] = folder.glob(f"*_{ending}")
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:content])

    return do


def put_mask(mask: np.ndarray):
    return lambda folder: write_mask(folder, SECOND, mask) and None


def put_band(band: np.ndarray):
    return lambda folder: write_geotiff(folder / f"{stem(SECOND)}_B50.TIF", band[None])


def edit_mtl(old: str, new: str):
    def do(folder: Path) -> None:
        path = folder / f"{stem(SECOND)}_MTL.txt"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return do


def rename(old: str, new: str):
    def do(folder: Path) -> None:
        [path] = folder.glob(f"*{old}*")
        path.rename(path.with_name(path.name.replace(old, new)))

    return do


def two_bands(folder: Path) -> None:
    change("B40.TIF", None)(folder)
    change("B61.TIF", None)(folder)


def night(folder: Path) -> None:
    write_mtl(folder, SECOND, sun_elevation_deg=-3.0)


FAULTS = {
    "cut band": (change("B30.TIF", 1500), r"_B30\.TIF: band 1 cannot be read"),
    "no band's header": (change("B30.TIF", b"II*"), r"_B30\.TIF: is not a raster file"),
    "empty band": (change("B40.TIF", b""), r"_B40\.TIF: is empty \(0 bytes\)"),
    "missing band": (change("B70.TIF", None), r"p2_r27: L7\.\.\._B70\.TIF is missing"),
    "missing bands": (two_bands, r"_B40\.TIF is missing, and so are B61"),
    "missing mask": (
        change("newmask2015.TIF", None),
        r"p2_r27: the mask .* is missing",
    ),
    "empty mask": (change("newmask2015.TIF", b""), r"newmask2015\.TIF: is empty \(0 bytes\)"),
    "cut mask": (change("newmask2015.TIF", 1500), r"newmask2015\.TIF: band 1 cannot be read"),
    "mask size": (put_mask(codes()[:20]), r"015\.TIF: has 20 x 60 pixels, but .*B10\.TIF has 72 x"),
    "mask type": (put_mask(codes().astype("uint16")), r"015\.TIF: must be one uint8 band of codes"),
    "code": (put_mask(np.full(SHAPE, 7, np.uint8)), r"newmask2015\.TIF: holds the codes \[7\]"),
    "band size": (put_band(np.ones((8, 8), np.uint8)), r"_B50\.TIF: has 8 x 8 pixels"),
    "band type": (put_band(np.ones(SHAPE, np.uint16)), r"_B50\.TIF: holds uint16, not uint8"),
    "empty mtl": (change("MTL.txt", b""), r"_MTL\.txt: is empty \(0 bytes\)"),
    "cut mtl": (change("MTL.txt", 700), r"_MTL\.txt: is damaged or cut short: its last line"),
    "other day": (edit_mtl("= 2001-06-04", "= 2001-06-20"), r"_MTL\.txt: is of 2001-06-20, but"),
    "other satellite": (edit_mtl("Landsat7", "Landsat5"), r"_MTL\.txt: is of Landsat5"),
    "other path in MTL": (
        edit_mtl("WRS_PATH = 002", "WRS_PATH = 003"),
        "WRS_PATH = 003, but the",
    ),
    "other row in MTL": (edit_mtl("G_ROW = 027", "G_ROW = 028"), "STARTING_ROW = 028, but the sc"),
    "no number": (edit_mtl("LMAX_BAND61 = 17.040", "LMAX_BAND61 = x"), r"MTL\.txt: LMAX_BAND61 ="),
    "no range": (edit_mtl("= 191.600", "= -191.6"), r"MTL\.txt: band B1: radiance from -6\.2 to -"),
    "night": (night, r"_MTL\.txt: SUN_ELEVATION = -3"),
    "other row": (rename("_p2_r27_", "_p2_r28_"), r"p2_r28_newmask2015\.TIF: is of another path"),
    "band of another": (rename("027_02720010604_B20", "028_02820010604_B20"), "is of another path"),
    "two days": (rename("20010604_B20", "20010620_B20"), "several days, 20010604 and 20010620"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_its_file_and_stops_or_is_left_out(tmp_path, capsys, fault):
    do, message = FAULTS[fault]
    source, data_dir = tmp_path / "source", tmp_path / "data"
    write_original(source, FIRST)
    do(write_original(source, SECOND))
    assert left_out(NAME, source, data_dir, message, capsys, patch_size=72) == {FIRST}


@pytest.mark.parametrize("fault", ["cut band", "missing mask", "code", "no range", "two days"])
def test_a_fault_in_an_archive_names_the_archive(tmp_path, fault):
    do, message = FAULTS[fault]
    folder = write_original(tmp_path / "original", SECOND)
    do(folder)
    archive = write_archive(tmp_path / "source" / f"{SECOND}.tar.gz", folder)
    assert str(archive) in stops(NAME, tmp_path / "source", tmp_path / "data", message)


@pytest.mark.parametrize(
    "name", ["austral/226_98/L71226098_09820011112_B10.TIF", "p226_r98/L71226098_B10.TIF"]
)
def test_names_out_of_convention_are_refused(tmp_path, name):
    path = tmp_path / "source" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=f"{name}: the name is out of convention"):
        build(NAME, tmp_path / "source", tmp_path / "data")


def test_a_stack_of_other_bands_is_refused(tmp_path):
    folder = write_repacked(tmp_path / "source")
    write_geotiff(folder / f"{stem(FIRST)}.TIF", np.ones((8, *SHAPE), np.uint8))
    with pytest.raises(ValueError, match=r"12\.TIF: has 8 bands, not the 9 from B10 to B80"):
        build(NAME, tmp_path / "source", tmp_path / "data")


def test_a_folder_without_scenes_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="holds no scene of Landsat 7 Irish"):
        build(NAME, tmp_path, tmp_path / "data")
