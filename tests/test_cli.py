"""What a person at the command line sees."""

import subprocess
import sys

import pytest


def permjax(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from permjax.cli import main; main()", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sensors", "sentinal"), "did you mean 'sentinel'"),
        (("mask", "absent.tif", "mask.tif", "--workdir=absent"), "absent.tif: there is no such"),
        (("mask", "scene.tif"), "MASK"),
        (("musk",), "mask"),
    ],
)
def test_wrong_input_is_one_sentence(words, message):
    done = permjax(*words)
    assert done.returncode in (1, 2)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
