from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from fake_biome import TEST, TRAIN, write_original
from fake_scenes import labelled_image

from data_prep import build
from data_prep.sources import NAMES, data_set


def test_the_data_sets_are_listed(capsys):
    assert build.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert "simulated" in listed
    assert "geotiff_folder" in listed
    for name in NAMES:
        it = data_set(name)
        [row] = [line for line in listed.splitlines() if line.split()[:1] == [name]]
        assert it.name == name
        for fact in (it.sensor, str(it.scene_count), it.download, it.licence, it.where):
            assert fact in row


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_has_what_its_readers_need(name):
    folder = Path(build.__file__).parent / name
    builder = data_set(name).builder
    assert builder.name == name
    for file in ("README.md", "CITATIONS.bib", "TAGS.txt"):
        assert (folder / file).read_text().strip()
    assert f"| `{name}` |" in (folder.parent / "README.md").read_text()


def test_a_public_data_set_is_packed_from_the_command_line(tmp_path, capsys):
    for scene in (TRAIN, TEST):
        write_original(tmp_path / "source", scene)
    (tmp_path / "source" / "BC" / TEST / f"{TEST}_B2.TIF").unlink()
    arguments = ["landsat8_biome", f"--source={tmp_path / 'source'}", f"--data_dir={tmp_path}"]
    assert build.main(arguments) == 1
    assert f"{TEST}_B2.TIF is missing" in capsys.readouterr().err
    options = ["--keep_going", "--patch_size=32", "--stride=16"]
    assert build.main([*arguments, *options]) == 0
    said = capsys.readouterr()
    assert "landsat8_biome/landsat8_oli_tirs" in said.out
    assert f"{TEST}_B2.TIF is missing" in said.err
    path = tmp_path / "landsat8_biome" / "landsat8_oli_tirs" / "1.0.0"
    splits = tfds.builder_from_directory(path).info.splits
    assert {name: split.num_examples for name, split in splits.items()} == {"train": 4}


def test_a_stride_that_leaves_pixels_out_is_refused(tmp_path, capsys):
    write_original(tmp_path / "source", TRAIN)
    arguments = ["landsat8_biome", f"--source={tmp_path / 'source'}", f"--data_dir={tmp_path}"]
    assert build.main([*arguments, "--patch_size=8", "--stride=9"]) == 1
    assert "error: stride 9 is larger than patch_size 8" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["simulated", "geotiff_folder", "landsat8_biome"])
def test_a_data_dir_that_cannot_be_written_is_said_in_a_sentence(tmp_path, capsys, name):
    source, data_dir = tmp_path / "source", tmp_path / "file" / "data"
    (tmp_path / "file").touch()
    write_original(source, TRAIN)
    labelled_image(source, "a", np.zeros((40, 50)))
    arguments = [] if name == "simulated" else [f"--source={source}"]
    assert build.main([name, f"--data_dir={data_dir}", *arguments]) == 1
    message = f"error: {data_dir}: cannot be written (Not a directory): choose another data_dir\n"
    assert capsys.readouterr().err.endswith(message)


def test_patches_too_large_for_memory_are_refused_in_a_sentence(tmp_path, capsys):
    write_original(tmp_path / "source", TRAIN)
    arguments = ["landsat8_biome", f"--source={tmp_path / 'source'}", "--patch_size=10000000"]
    assert build.main([*arguments, f"--data_dir={tmp_path / 'data'}"]) == 1
    assert "error: patches of 10000000 pixels do not fit in memory" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a data set"),
        (["nothing"], "invalid choice: 'nothing'"),
        (["geotiff_folder", "--data_dir=x"], "--source"),
        (["simulated", "--data_dir=x", "--sensors=landsta"], "did you mean 'landsat'"),
        (["simulated", "--data_dir=x", "--patch_size=0"], "not a whole number above 0"),
    ],
)
def test_wrong_use_is_refused_with_status_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        build.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_what_cannot_be_made_is_said_in_a_sentence_with_status_1(tmp_path, capsys):
    data_dir = tmp_path / "data"
    status = build.main(
        ["geotiff_folder", f"--source={tmp_path / 'none'}", f"--data_dir={data_dir}"]
    )
    assert status == 1
    captured = capsys.readouterr()
    assert captured.err == f"error: {tmp_path / 'none'}: there is no such folder\n"
    assert captured.out == ""
    assert not data_dir.exists()


def test_a_folder_is_packed_from_the_command_line(tmp_path, capsys):
    source, data_dir = tmp_path / "fields", tmp_path / "data"
    labelled_image(source, "a", np.zeros((40, 50)))
    arguments = ["geotiff_folder", f"--source={source}", f"--data_dir={data_dir}"]
    assert build.main([*arguments, "--patch_size=32"]) == 0
    assert "geotiff_folder/fields-sentinel2a_msi" in capsys.readouterr().out
    assert build.main([*arguments, "--patch_size=32"]) == 1
    assert "there is a data set already" in capsys.readouterr().err


def test_simulated_scenes_get_the_sensors_and_counts_asked_for(tmp_path, monkeypatch):
    simulated = pytest.importorskip("data_prep.simulated")
    calls = []

    def fake_build(data_dir, sensors, **options):
        calls.append((data_dir, [sensor.name for sensor in sensors], options))
        return []

    monkeypatch.setattr(simulated, "build", fake_build, raising=False)
    arguments = ["simulated", f"--data_dir={tmp_path}", "--sensors=sentinel2a_msi,landsat7_etm"]
    assert build.main([*arguments, "--train=5", "--test=2", "--seed=3"]) == 0
    [(data_dir, sensors, options)] = calls
    assert (data_dir, sensors) == (tmp_path, ["sentinel2a_msi", "landsat7_etm"])
    assert options == {"train": 5, "validation": 20, "test": 2, "patch_size": 128, "seed": 3}
