"""What a person, or a script, at the command line sees."""

import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from fake_safe import write_safe
from fake_scenes import BANDS, landsat_folder, tagged_geotiff, write_geotiff
from rasterio.crs import CRS

from permjax.bands import Kind
from permjax.mask_jobs import plan
from permjax.mask_options import MaskOptions, parse_bands
from permjax.weights import PRETRAINED, weights_name

ROOT = Path(__file__).parent.parent
GRID = (Affine(30, 0, 500_000, 0, -30, 1_400_000), CRS.from_epsg(32616))


def permjax(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from permjax.cli import main; main()", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=env, timeout=300
    )


@pytest.fixture
def scene(tmp_path, dn):
    return tagged_geotiff(tmp_path / "scene.tif", dn, BANDS, grid=GRID)


def test_sensors_lists_every_sensor():
    done = permjax("sensors")
    assert done.returncode == 0
    assert "sentinel2a_msi" in done.stdout
    assert "planetscope_superdove" in done.stdout


def test_sensors_shows_bands_and_their_source():
    done = permjax("sensors", "landsat8-oli-tirs")
    assert done.returncode == 0
    assert "10890" in done.stdout
    assert "brightness_temperature" in done.stdout
    assert "Barsi" in done.stdout


def test_one_scene_into_one_file(scene, tmp_path):
    mask = tmp_path / "cloud.tif"
    done = permjax("mask", scene, mask, "--quicklook", "--probabilities")
    assert done.returncode == 0, done.stderr
    assert f"{mask}: cloud " in done.stdout
    with rasterio.open(mask) as file, rasterio.open(scene) as source:
        assert file.shape == source.shape
        assert file.dtypes == ("uint8",)
        assert file.nodata == 255
        assert file.tags()["weights"] == weights_name(PRETRAINED)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("scene.tif", "cloud.tif", "cloud_quicklook.png", "cloud_probabilities.tif"),
    }


def test_skip_existing_and_what_was_written_among_the_scenes(run, scene, tmp_path):
    """Also what lies beside a mask: its probabilities and its picture."""
    beside = ("--probabilities", "--quicklook")
    assert run("mask", scene, f"--output_dir={tmp_path}", *beside)[0] == 0
    mask = tmp_path / "scene_cloud.tif"
    written = mask.stat().st_mtime_ns
    among = sorted(tmp_path.glob("scene*"))
    assert len(among) == 4
    status, out, err = run("mask", *among, f"--output_dir={tmp_path}", "--skip_existing")
    assert (status, out) == (0, "")
    assert f"{mask}: is there, skipped" in err
    for path in set(among) - {scene}:
        assert f"{path}: was written by permjax, left out" in err
    assert mask.stat().st_mtime_ns == written
    assert sorted(tmp_path.glob("scene*")) == among


def test_a_scene_is_never_taken_for_the_mask_to_write(run, scene, tmp_path):
    other = Path(shutil.copy(scene, tmp_path / "other.tif"))
    status, _, err = run("mask", scene, other)
    assert status == 2
    assert "is no cloud mask, and is not overwritten" in err
    assert other.read_bytes() == scene.read_bytes()


@pytest.mark.parametrize("taken", ["scene_cloud.tif", "scene_cloud_quicklook.png"])
@pytest.mark.parametrize("skip", [(), ("--skip_existing",)])
def test_what_is_no_mask_is_never_written_over(run, scene, tmp_path, taken, skip):
    """Be it a scene or a note of the user's, and in the place of a picture too."""
    (tmp_path / taken).write_text("a note of the user's")
    for words in (
        (scene, tmp_path / taken, f"--output_dir={tmp_path}"),
        (scene, tmp_path / "scene_cloud.tif"),
    ):
        status, out, err = run("mask", *words, "--quicklook", *skip)
        assert (status, out) == (2, "")
        assert f"{tmp_path / taken}: is there, is no cloud mask, and is not overwritten" in err
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", taken}
    assert (tmp_path / taken).read_text() == "a note of the user's"


def test_warnings_name_the_scene(run, scene, tmp_path):
    """In one form, so that of many it can be told which."""
    with rasterio.open(scene, "r+") as file:
        file.update_tags(level="L2A")
    words = ("--bands=490:65,665:30,10900:600:brightness_temperature", f"--output_dir={tmp_path}")
    status, _, err = run("mask", scene, *words)
    assert status == 0
    assert "warning: scene: " in err
    assert err.count("warning: ") == err.count("warning: scene: ")
    assert "note: " not in err


def test_scenes_are_masked_though_nobody_reads_what_is_told(scene, tmp_path):
    """As with `permjax mask ... | head -c 0`, and with nobody at standard error either."""
    scenes = [shutil.copy(scene, tmp_path / f"{name}.tif") for name in "ab"]
    code = "from permjax.cli import main; main()"
    words = [sys.executable, "-c", code, "mask", *scenes, f"--output_dir={tmp_path / 'masks'}"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=writer, check=False, cwd=ROOT, timeout=300)
    os.close(writer)
    assert done.returncode == 0
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {
        *("a_cloud.tif", "b_cloud.tif"),
    }


def test_two_scenes_of_one_name_are_refused(tmp_path):
    paths = (tmp_path / "a" / "x.tif", tmp_path / "b" / "x.jp2")
    with pytest.raises(ValueError, match="would both be masked into"):
        plan(MaskOptions(paths, output_dir=tmp_path))


@pytest.mark.parametrize(
    ("scene", "name"),
    [
        ("S2B.SAFE", "S2B"),
        ("S2A.SAFE.zip", "S2A"),
        ("LC09_T1.tar", "LC09_T1"),
        ("LC08_T1.tar.gz", "LC08_T1"),
        ("folder/", "folder"),
        ("a.b.tif", "a.b"),
        ("S2B_MSIL1C.SAFE/MTD_MSIL1C.xml", "S2B_MSIL1C"),
        ("S2A_2015.SAFE/S2A_OPER_MTD_SAFL1C_PDMC_2015.xml", "S2A_2015"),
        ("LC08_T1/LC08_T1_MTL.txt", "LC08_T1"),
    ],
)
def test_names_of_masks(scene, name, tmp_path):
    """A product that is given by its metadata is called as its folder is."""
    (job,) = plan(MaskOptions((Path(scene),), output_dir=tmp_path))
    assert job.cloud_mask == tmp_path / f"{name}_cloud.tif"


def test_bands_on_the_command_line():
    bands = parse_bands("665:30, 560:35,10900:600:brightness_temperature", surface=True)
    np.testing.assert_array_equal(bands.wavelength_nm, [665, 560, 10900])
    np.testing.assert_array_equal(bands.bandwidth_nm, [30, 35, 600])
    surface, thermal = Kind.SURFACE_REFLECTANCE, Kind.BRIGHTNESS_TEMPERATURE
    np.testing.assert_array_equal(bands.kind, [surface, surface, thermal])


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("sensors", "sentinal"), 2, "did you mean 'sentinel'"),
        (("mask", "absent.tif", "mask.tif"), 1, "absent.tif: there is no such"),
        (("mask", "a.tif", "mask.tif", "--workdir=absent"), 2, "no run in absent"),
        (("mask",), 2, "name a scene and its MASK"),
        (("mask", "--output_dir=masks"), 2, "name at least one scene"),
        (("mask", "a.tif", "b.tif", "c.tif"), 2, "--output_dir"),
        (("mask", "a.tif", "mask.tif", "--sensor=landsat88"), 2, "unknown sensor 'landsat88'"),
        (("mask", "a.tif", "mask.tif", "--bands=665"), 2, "is not CENTRE:WIDTH"),
        (("mask", "a.tif", "mask.tif", "--bands=0.665:0.03"), 2, "micrometres"),
        (("mask", "a.tif", "mask.tif", "--bands=red:30"), 2, "not a number"),
        (("mask", "a.tif", "mask.tif", "--bands=665:30:warmth"), 2, "unknown kind 'warmth'"),
        (("mask", "a.tif", "mask.tif", "--style=pretty"), 2, "style"),
        (("mask", "a.tif", "mask.tif", "--scale=x"), 2, "scale"),
        (("mask", "a.tif", "mask.tif", "--scale=0"), 2, "--scale=0: must be a number above 0"),
        (("mask", "a.tif", "mask.tif", "--scale=inf"), 2, "--scale=inf"),
        (("mask", "a.tif", "mask.tif", "--offset=-0.1"), 2, "without --scale"),
        (("mask", "a.tif", "mask.tif", "--scale=1", "--offset=nan"), 2, "--offset=nan"),
        (("mask", "a.tif", "mask.tif", "--gsd=-5"), 2, "--gsd=-5"),
        (("mask", "a.tif", "mask.tif", "--gsd=nan"), 2, "--gsd=nan"),
        (("mask", "a.tif", "mask.tif", "--dilate=-1"), 2, "--dilate=-1: must be a length"),
        (("mask", "a.tif", "mask.tif", "--min_size=nan"), 2, "--min_size=nan"),
        (("mask", "a.tif", "mask.tif", "--sensor=landsat"), 2, "is a family: name one of landsat"),
        (
            ("mask", "a.tif", "mask.tif", "--sensor=planetscope-superdove", "--bands=665:30"),
            *(2, "--sensor and --bands both describe"),
        ),
        (("mask", "a.tif", "mask.png"), 2, "mask.png: a mask is a GeoTIFF"),
        (("mask", "a.SAFE", "b.SAFE"), 2, "b.SAFE: a mask is a GeoTIFF"),
        (("musk",), 2, "mask"),
    ],
)
def test_wrong_input_is_one_sentence(run, words, status, message):
    done, _, err = run(*words)
    assert done == status
    assert message in err
    assert not Path("mask.tif").exists()


def test_digital_numbers_and_wrong_counts_are_refused(run, tmp_path, dn):
    path = tmp_path / "plain.tif"
    write_geotiff(path, dn[:2], GRID)
    mask = tmp_path / "mask.tif"
    for words, message in (
        (("--bands=665:30,842:115",), "scale"),
        (("--bands=665:30,842:115", "--scale=1"), "reflectance"),
        (("--bands=665:30,842:115,560:35", "--scale=0.0001"), "2 bands"),
    ):
        status, _, err = run("mask", path, mask, *words)
        assert status == 1
        assert message in err
    assert run("mask", path, mask, "--bands=665:30,842:115", "--scale=0.0001")[0] == 0


def test_several_devices_share_the_scenes(scene, tmp_path):
    scenes = [shutil.copy(scene, tmp_path / f"{name}.tif") for name in "abc"]
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = permjax("mask", *scenes, f"--output_dir={tmp_path / 'masks'}", env=env)
    assert done.returncode == 0, done.stderr
    masks = [rasterio.open(path).read() for path in sorted((tmp_path / "masks").iterdir())]
    assert len(masks) == 3
    np.testing.assert_array_equal(masks[0], masks[2])


def readme_commands() -> list[str]:
    """The command lines of the README's section on masking, without `permjax`."""
    section = (ROOT / "README.md").read_text().split("\n## Mask a scene")[1].split("\n## ")[0]
    found = re.findall(r"^    permjax (.+)$", section, re.MULTILINE)
    assert len(found) > 4
    return found


@pytest.mark.parametrize("command", [c for c in readme_commands() if c.startswith("mask")])
def test_command_lines_of_the_readme(command, run, tmp_path, monkeypatch, scene, dn):
    monkeypatch.chdir(tmp_path)
    shutil.move(write_safe(tmp_path), "S2B_MSIL1C_20240601.SAFE")
    shutil.move(landsat_folder(tmp_path), "LC09_L1TP_017051_20240601")
    write_geotiff(Path("drone.tif"), np.concatenate([dn[:2], dn[:2]]), GRID)
    write_geotiff(Path("planet.tif"), np.repeat(dn[:1], 8, axis=0), GRID)
    Path("scenes").mkdir()
    shutil.move(scene, "scenes")
    words = [w for word in shlex.split(command) for w in (glob.glob(word) or [word])]
    status, out, err = run(*words)
    assert status == 0, err
    masks = [*Path("masks").glob("*"), *Path(".").glob("cloud.tif")]
    assert len(masks) == out.count(": cloud ") == 1
