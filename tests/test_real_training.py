"""Public data sets from what was downloaded to a trained model, by the commands of the README."""

import json
import subprocess
import sys
from pathlib import Path

import fake_biome
import fake_sentinel2_catalogue as fake_catalogue

from data_prep import build

ROOT = Path(__file__).parent.parent


def test_fake_copies_of_two_data_sets_train_one_model_together(tmp_path):
    for seed, scene in enumerate((fake_biome.TRAIN, fake_biome.TEST)):
        fake_biome.write_original(tmp_path / "landsat8_biome", scene, seed=seed)
    for seed, product in enumerate((fake_catalogue.TRAIN, fake_catalogue.TEST)):
        fake_catalogue.write_scene(tmp_path / "sentinel2_catalogue", product, seed=seed)
    data_dir, workdir = tmp_path / "data", tmp_path / "run"
    for name in ("landsat8_biome", "sentinel2_catalogue"):
        options = [f"--source={tmp_path / name}", f"--data_dir={data_dir}", "--patch_size=32"]
        assert build.main([name, *options]) == 0
    tiny = ["--steps=2", "--batch_size=4", "--patch_size=16", "--band_slots", "4"]
    tiny += ["--features", "8", "8", "--descriptor_size=8"]
    command = [sys.executable, "train.py", "--sensors=landsat,sentinel", "--data=real", *tiny]
    command += [f"--data_dir={data_dir}", f"--workdir={workdir}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    steps = [json.loads(line) for line in (workdir / "log.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == [1, 2]
    assert "landsat8_biome/landsat8_oli_tirs" in run.stdout
    assert "sentinel2_catalogue/sentinel2a_msi" in run.stdout
