import pytest
from fake_biome import CLEAR, TEST, TRAIN, codes, write_archive, write_original

from data_prep import check
from data_prep.landsat8_biome.scenes import published_splits
from data_prep.sources import data_set


@pytest.fixture
def source(tmp_path):
    write_original(tmp_path / "source", TRAIN)
    write_original(tmp_path / "source", TEST, mask=codes(shadow=False))
    return tmp_path / "source"


def run(source) -> int:
    return check.main(["landsat8_biome", f"--source={source}"])


def snapshot(folder) -> dict:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_sound_folder_is_described_and_nothing_is_written(source, tmp_path, capsys):
    before = snapshot(tmp_path)
    assert run(source) == 0
    assert snapshot(tmp_path) == before
    said = capsys.readouterr().out
    assert "landsat8_biome: 2 of 96 scenes (1 train, 1 test)" in said
    assert "no shadow labelled: clear means clear or cloud shadow (1 scenes)" in said
    rows = [line.rsplit(maxsplit=1) for line in said.splitlines() if "." in line[-8:]]
    shares = {label.strip(): share for label, share in rows}
    # By hand: stripes of 8, 7, 7, 7 and 7 columns of 36; the 9 pixels of fill lie in the first.
    assert shares == {
        "unlabelled": "22.22",
        "clear": "9.72",
        "thick cloud": "19.44",
        "thin cloud": "19.44",
        "cloud shadow": "9.72",
        "clear or cloud shadow": "19.44",
    }


def test_scenes_that_the_publisher_lists_and_that_are_missing_are_named(source, capsys):
    assert run(source) == 0
    listed = sorted(published_splits().keys() - {TRAIN, TEST})
    said = f"missing of those listed: {', '.join(listed[:5])} and 89 more\n"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("name", "count"), [("cloud38", 20), ("sentinel2_catalogue", 256)])
def test_what_is_there_is_not_missing(name, count):
    it = data_set(name)
    listed = it.missing([])
    assert len(listed) == count
    there = listed[3:]
    if name == "sentinel2_catalogue":
        parts = [scene.split("_") for scene in there]
        there = [f"S2A_MSIL1C_{t}_N0206_R064_{tile}_20180102T101010" for t, tile in parts]
    assert it.missing(there) == listed[:3]
    assert data_set("kappaset").missing([]) == []


def test_every_fault_is_listed(source, tmp_path, capsys):
    """And what cannot be read to its end counts for nothing."""
    (source / "BC" / TEST / f"{TEST}_B3.TIF").unlink()
    archive = write_archive(source / f"{CLEAR}.tar.gz", source / "BC" / TRAIN)
    archive.write_bytes(archive.read_bytes()[:3000])
    before = snapshot(tmp_path)
    assert run(source) == 1
    assert snapshot(tmp_path) == before
    said = capsys.readouterr().out
    assert "1 of 96 scenes (1 train)" in said
    assert f"{TEST}_B3.TIF is missing" in said
    assert "no shadow labelled" not in said
    assert f"{CLEAR}.tar.gz: the archive is damaged or cut short" in said


def test_a_folder_without_the_data_set(tmp_path, capsys):
    assert run(tmp_path) == 1
    assert "holds no scene of Landsat 8 Biome" in capsys.readouterr().err


def test_an_unknown_name_is_wrong_use(capsys):
    with pytest.raises(SystemExit) as stop:
        check.main(["landsat", "--source=x"])
    assert stop.value.code == 2
    assert "landsat8_biome" in capsys.readouterr().err
