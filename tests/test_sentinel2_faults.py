import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fake_safe import Safe, product_xml, write_jp2, write_safe
from fake_scenes import whole
from hypothesis import given
from hypothesis import strategies as st

from permjax.scenes import open_scene

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>", "", "has no PROCESSING_LEVEL"),
        ("Sentinel-2B<", "Sentinel-9<", "the satellite 'Sentinel-9' is none of"),
        (">10000<", ">0<", "has no positive QUANTIFICATION_VALUE"),
        (">10000<", ">many<", "QUANTIFICATION_VALUE = many is not a number"),
        ('"5">-1000<', '"5">nan<', "RADIO_ADD_OFFSET = nan is not a number"),
        ('band_id="5"', 'band_id="x"', "has the band_id 'x'"),
        ('band_id="5"', 'band_id="55"', "has no offset for band_id 5"),
        (">04.00<", "><", "has no PROCESSING_BASELINE"),
        ("</n1:General_Info>", "", "is damaged or cut short"),
    ],
)
def test_faulty_metadata_are_named(tmp_path, old, new, message):
    folder = write_safe(tmp_path)
    path = folder / "MTD_MSIL1C.xml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=f"MTD_MSIL1C.xml: .*{message}"):
        open_scene(folder)


@pytest.mark.parametrize("level", ["1C", "2A"])
def test_offsets_may_not_be_missing_since_baseline_04(tmp_path, level):
    folder = write_safe(tmp_path, Safe(level=level, offsets={}, baseline="05.09"))
    with pytest.raises(ValueError, match=r"has no \w+_ADD_OFFSET, which .* \(this is 05.09\)"):
        open_scene(folder)


def test_what_is_said_of_a_product_must_agree(tmp_path):
    folder = write_safe(tmp_path)
    with pytest.raises(ValueError, match="is a level 1 product"):
        open_scene(folder, surface=True)
    with pytest.raises(ValueError, match="is of sentinel2b_msi, not of landsat8_oli_tirs"):
        open_scene(folder, sensor="landsat8_oli_tirs")
    with pytest.raises(ValueError, match="leave out bands and scale"):
        open_scene(folder, scale=1e-4)
    open_scene(folder, sensor="sentinel2").__exit__()


def test_bands_must_cover_the_same_ground(tmp_path):
    safe = Safe()
    folder = write_safe(tmp_path, safe)
    write_jp2(folder / safe.image("B04", 10), np.ones((30, 30)), 10)
    with pytest.raises(ValueError, match=r"B04.jp2: covers \(300.0, 300.0\) m.*the same ground"):
        open_scene(folder)


def test_a_product_must_be_one(tmp_path):
    folder = write_safe(tmp_path)
    (folder / "MTD_MSIL2A.xml").write_text(product_xml(Safe(level="2A")))
    with pytest.raises(ValueError, match="metadata of 2 products"):
        open_scene(folder)
    (folder / "MTD_MSIL2A.xml").unlink()
    shutil.rmtree(folder / "GRANULE")
    with pytest.raises(FileNotFoundError, match="holds no band images"):
        open_scene(folder)


@pytest.mark.parametrize("content", ["nothing", "half"])
def test_damaged_images_are_named(tmp_path, content):
    safe = Safe(side_m=4800, bands=("B04",))
    folder = write_safe(tmp_path, safe)
    path = folder / safe.image("B04", 10)
    data = path.read_bytes()
    path.write_bytes(b"" if content == "nothing" else data[: len(data) // 2])
    with pytest.raises(OSError, match=r"B04\.jp2"), open_scene(folder) as scene:
        whole(scene)


def error_of(path: Path) -> str | None:
    """The error on reading a scene, which may be of two types only; None = it reads."""
    try:
        with open_scene(path) as scene:
            whole(scene)
    except (OSError, ValueError) as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def zipped(tmp_path_factory) -> tuple[Path, bytes]:
    parent = tmp_path_factory.mktemp("zipped")
    folder = write_safe(parent, Safe(bands=("B02", "B05"), side_m=120))
    path = parent / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for part in sorted(folder.rglob("*")):
            file.write(part, part.relative_to(parent))
    return path, path.read_bytes()


@given(
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_zip_reads_or_is_named(zipped, cut, changes):
    path, content = zipped
    damaged = bytearray(content[: int(len(content) * max(cut, 1 - cut))])
    for place, byte in changes:
        damaged[int(place * len(damaged))] = byte
    path.write_bytes(damaged)
    assert "a.zip" in (error_of(path) or "a.zip")


@given(
    place=st.floats(0, 0.999), old=st.integers(0, 40), new=st.binary(max_size=8), tile=st.booleans()
)
def test_damaged_metadata_read_or_are_named(safe_folder, place, old, new, tile):
    folder, contents = safe_folder
    path = list(contents)[tile]
    content = contents[path]
    start = int(place * len(content))
    path.write_bytes(content[:start] + new + content[start + old :])
    error = error_of(folder)
    path.write_bytes(content)
    assert folder.name in (error or folder.name)


@pytest.fixture(scope="module")
def safe_folder(tmp_path_factory) -> tuple[Path, dict[Path, bytes]]:
    safe = Safe(bands=("B02", "B05"), side_m=120, georeferenced=False)
    folder = write_safe(tmp_path_factory.mktemp("damaged"), safe)
    paths = (folder / safe.product_xml, folder / safe.tile / "MTD_TL.xml")
    return folder, {path: path.read_bytes() for path in paths}
