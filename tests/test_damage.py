"""Whatever fails: a sentence, the status that tells of it, and no file half-written."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from affine import Affine
from fake_safe import write_safe
from fake_scenes import BANDS, landsat_folder, tagged_geotiff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from permjax.rasters import Scene

ROOT = Path(__file__).parent.parent
GRID = (Affine(30, 0, 500_000, 0, -30, 1_400_000), CRS.from_epsg(32616))


@pytest.fixture
def scene(tmp_path, dn):
    return tagged_geotiff(tmp_path / "scene.tif", dn, BANDS, grid=GRID)


@pytest.fixture
def out(tmp_path):
    """A folder for masks alone."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_a_damaged_scene_is_named_and_the_others_are_masked(run, scene, tmp_path):
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(scene.read_bytes()[:300])
    also = shutil.copy(scene, tmp_path / "also.tif")
    status, out, err = run("mask", scene, damaged, also, f"--output_dir={tmp_path / 'masks'}")
    assert status == 1
    assert f"error: 1 of 3 scenes failed: {damaged}" in err
    assert out.count(": cloud ") == 2
    masks = {path.name for path in (tmp_path / "masks").iterdir()}
    assert masks == {"scene_cloud.tif", "also_cloud.tif"}


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """A product of each form, by its name."""
    folder = tmp_path_factory.mktemp("products")
    rng = np.random.default_rng(0)
    dn = rng.integers(2_000, 9_000, (3, 20, 20)).astype(np.uint16)
    return {
        "geotiff": tagged_geotiff(folder / "geotiff.tif", dn, BANDS, grid=GRID),
        "landsat": landsat_folder(folder),
        "safe": write_safe(folder),
    }


@pytest.mark.parametrize("form", ["geotiff", "landsat", "safe"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_told_of_and_leave_nothing(products, form, tmp_path, run, data):
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    source = products[form]
    path = tmp_path / source.name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    victim = data.draw(st.sampled_from(files))
    content = bytearray(victim.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 40))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    victim.write_bytes(content)
    mask = tmp_path / "mask.tif"
    status, _, err = run("mask", path, mask)
    # A changed pixel, or a file that no band is in, does no harm.
    assert status in (0, 1)
    assert mask.exists() == (status == 0)
    assert ("error: " in err) == (status == 1)
    beside = {p.name for p in tmp_path.iterdir()} - {path.name, "mask.tif", f"{path.name}.aux.xml"}
    assert not beside


def test_a_folder_that_is_not_one_or_where_nothing_can_be_written(run, scene, out, monkeypatch):
    (out / "file").touch()
    (out / "mask_quicklook.png").mkdir()
    status, _, err = run("mask", scene, f"--output_dir={out / 'file'}")
    assert status == 2
    assert f"--output_dir: {out / 'file'} is no folder and cannot be made: File exists" in err
    status, _, err = run("mask", scene, out)
    assert status == 2
    assert f"{out}: is a folder: name the mask's file, or give --output_dir={out}" in err
    status, _, err = run("mask", scene, out / "absent" / "mask.tif")
    assert status == 1
    assert f"{out / 'absent'}: there is no such folder for the mask" in err
    status, _, err = run("mask", scene, out / "mask.tif", "--quicklook")
    assert status == 1
    assert f"{out / 'mask_quicklook.png'}: is a folder" in err

    def refused(*_, **__):  # A test that runs as root cannot be refused by the system itself.
        raise PermissionError(13, "Permission denied", "/somewhere/.mask.tif.x.partial")

    monkeypatch.setattr("permjax.mask_files.TemporaryDirectory", refused)
    status, _, err = run("mask", scene, out / "mask.tif")
    assert status == 1
    assert f"{out}: nothing can be written there: Permission denied; choose another folder" in err
    assert {path.name for path in out.iterdir()} == {"file", "mask_quicklook.png"}


def test_a_stopped_run_leaves_nothing(run, scene, out, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Scene, "read", stopped)
    status, _, err = run("mask", scene, out / "mask.tif", "--probabilities", "--quicklook")
    assert status == 130
    assert err.endswith("stopped")
    assert not list(out.iterdir())


def test_a_stop_is_not_taken_for_a_scene_that_failed(run, scene, out, monkeypatch):
    """Interrupts can break open a lock, and what is heard of is that it is not locked."""

    def stopped(*_):
        try:
            raise KeyboardInterrupt
        finally:
            Lock().release()

    monkeypatch.setattr(Scene, "read", stopped)
    also = shutil.copy(scene, scene.with_name("also.tif"))
    status, rest, err = run("mask", scene, also, f"--output_dir={out}")
    assert (status, rest, err) == (130, "", "stopped")
    assert not list(out.iterdir())


def start(before: str, *words: object, **env: str) -> subprocess.Popen[str]:
    """A command line in a process of its own, after some other lines of Python."""
    code = f"{before}\nfrom permjax.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | env,
    )


SLOW = """
import time
from permjax.rasters import Scene
read = Scene.read
def slowly(scene, window):
    print("reading", flush=True)
    time.sleep(2)
    return read(scene, window)
Scene.read = slowly
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stopped_run_ends_all_scenes_and_leaves_nothing(scene, out, name):
    """Ctrl-C, a polite kill, a closed terminal; twice, and while the first scene is being read."""
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip(f"this system has no {name}")
    also = shutil.copy(scene, scene.with_name("also.tif"))
    process = start(SLOW, "mask", scene, also, f"--output_dir={out}")
    assert process.stdout
    assert process.stdout.readline() == "reading\n"
    process.send_signal(number)
    time.sleep(0.5)
    process.send_signal(number)
    rest, err = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert rest == ""
    assert err.endswith("stopped\n")
    assert "Traceback" not in err
    assert not list(out.iterdir())


def test_a_closed_terminal_ends_a_run_that_draws_its_bar_there(scene, out):
    """It is the hangup that ends it, for all scenes, not that nothing can be drawn any more."""
    pty = pytest.importorskip("pty", reason="only POSIX has pseudo-terminals")
    also = shutil.copy(scene, scene.with_name("also.tif"))
    ours = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    code = f"{ours}{SLOW}\nfrom permjax.cli import main; main()"
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "mask", str(scene), str(also), f"--output_dir={out}"],
        **dict.fromkeys(("stdin", "stdout", "stderr"), inside),
        start_new_session=True,
        cwd=ROOT,
    )
    os.close(inside)
    shown = b""
    while b"reading" not in shown:
        shown += os.read(terminal, 1_000)
    os.close(terminal)
    assert process.wait(timeout=300) == 128 + signal.SIGHUP
    assert not list(out.iterdir())


def test_a_run_outlives_its_terminal_if_told_to(scene, out):
    """As `nohup` does it."""
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("this system has no SIGHUP")
    process = start(ignored + SLOW, "mask", scene, out / "mask.tif")
    assert process.stdout
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert [path.name for path in out.iterdir()] == ["mask.tif"]


def test_a_full_disk_is_told_of(scene, out):
    """Files may grow to a kilobyte, which no mask with its colours fits into."""
    pytest.importorskip("resource", reason="only POSIX limits the size of files")
    small = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))"
    process = start(small, "mask", scene, out / "mask.tif", JAX_ENABLE_COMPILATION_CACHE="false")
    done, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert done == ""
    assert f"{out / 'mask.tif'}: cannot be written, is the disk full?" in err
    assert "Traceback" not in err
    assert not list(out.iterdir())
