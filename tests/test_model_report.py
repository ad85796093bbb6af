"""The report of one model, as eval.py writes it, on records of every kind."""

import dataclasses
import json
import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from permjax.config import TrainConfig
from permjax.data import find_datasets
from permjax.experiments.html_report import Report
from permjax.experiments.model_report import _write, report_model, trained_sensors
from permjax.models import ModelConfig
from permjax.sensors import SENSORS, select_sensors
from permjax.training import train
from tests.fake_records import write_fake_sensors

KINDS = {"simulated": "landsat5_tm", "clouded": "sentinel2b_msi", "real": "sentinel2a_msi"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> TrainConfig:
    """Trained on records of each kind, one sensor each."""
    path = tmp_path_factory.mktemp("model_report")
    for kind, sensor in KINDS.items():
        write_fake_sensors(path / "data", sensor, train=4, test=3)
        if kind != "real":
            (path / "data" / "fake").rename(path / "data" / kind)
    config = TrainConfig(
        sensors=("landsat", "sentinel"), workdir=path, data="all", steps=1, batch_size=4,
        patch_size=16, band_slots=(4,), model=ModelConfig(features=(8, 8), descriptor_size=8),
    )  # fmt: skip
    train(config)
    return config


@pytest.fixture(scope="module")
def pages(run) -> list[Path]:
    sensors = select_sensors(run.sensors)
    datasets = find_datasets(run.records_dir, sensors, "all")
    return report_model(run.workdir, datasets, sensors, "test", ["all"])


def test_what_is_simulated_and_what_is_real_share_no_figure(pages):
    """Clouds that are simulated over real ground are neither."""
    told = {
        page.parent.name: json.loads((page.parent / "report.json").read_text()) for page in pages
    }
    assert set(told) == {f"report_test_all_{kind}" for kind in KINDS}
    for kind, sensor in KINDS.items():
        results = told[f"report_test_all_{kind}"]
        builder = "fake" if kind == "real" else kind
        name = f"{builder}/{sensor}"
        assert {place["dataset"] for place in results["windows"]["places"]} == {name}
        assert {scene["dataset"] for scene in results["pictures"]} == {name}
        assert set(results["metrics"]) == {name, f"all of {builder}"}
        assert set(results["bands"]) == {sensor}
        assert sum(results["calibration"]["prediction"][0]["pixels"]) == 3 * 32 * 32


def test_each_page_says_in_its_title_what_its_records_are(pages):
    titles = [page.read_text().split("<title>")[1].split("</title>")[0] for page in pages]
    assert sorted(title.split("scenes, ")[1] for title in titles) == [
        "real", "simulated", "simulated clouds over real ground",
    ]  # fmt: skip


def words(page: Path) -> str:
    return " ".join(unescape(re.sub("<.*?>", "", page.read_text())).split())


def test_each_page_tells_of_setting_and_data(pages):
    for page in pages:
        results = json.loads((page.parent / "report.json").read_text())
        kind = results["run"]["kind"]
        builder, sensor = "fake" if kind == "real" else kind, KINDS[kind]
        assert results["data"] == [
            {
                "name": f"{builder}/{sensor}",
                "records": 3,
                "scenes": 3,
                "bands": len(SENSORS[sensor].bands),
            }
        ]
        text = words(page)
        assert "its levels have 8, 8 features. It was trained on all records of landsat" in text
        assert (
            "landsat, sentinel for 1 of 1 steps, each of 4 squares of 16 x 16 pixels, from random "
            "weights with seed 0"
        ) in text
        assert f"on {builder}/{sensor}." in text
        for key in ("numbers", "slides"):
            assert set(results[key]) == {sensor}


def test_the_map_of_bands_is_of_the_sensors_that_the_run_was_trained_on(run, pages, tmp_path):
    """Where its records no longer tell, or do not tell all, there is none, and that is said."""
    results = json.loads((pages[0].parent / "report.json").read_text())
    dots = {band["sensor"] for band in results["embedding"]["bands"] if band["trained"]}
    assert dots == set(KINDS.values())
    assert trained_sensors(dataclasses.replace(run, data_dir=tmp_path)) is None
    assert trained_sensors(dataclasses.replace(run, init="pretrained")) is None
    copy = shutil.copytree(pages[0].parent, tmp_path / "report")
    del results["embedding"]
    assert "A map of its bands: the records" in words(_write(Report(results, copy)))
    assert "A map of its bands: the records" not in words(pages[0])
