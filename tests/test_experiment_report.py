"""The whole experiment on tiny records, and its page: in the JSON's words, in a real browser."""

import base64
import dataclasses
import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from permjax.experiments import runs
from permjax.experiments.__main__ import three_way
from permjax.experiments.html_report import Report
from permjax.experiments.measuring import measure
from permjax.experiments.runs import plan_runs, prepare_records
from permjax.experiments.settings import ThreeWay
from permjax.experiments.three_way_report import write_report
from permjax.models import ModelConfig
from tests.fake_records import fake_patch, write_fake_sensors, write_records

ROOT = Path(__file__).parent.parent
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("experiment")
    write_fake_sensors(path / "data", "landsat5_tm", "sentinel2a_msi", train=8, test=7)
    settings = ThreeWay(
        data="real", data_dir=path / "data", workdir=path / "run", seeds=1, steps=2, batch_size=4,
        patch_size=16, model=ModelConfig(features=(8, 8), descriptor_size=8),
    )  # fmt: skip
    three_way(settings)
    return settings


@pytest.fixture(scope="module")
def page(settings) -> Path:
    return settings.workdir / "report" / "report.html"


@pytest.fixture(scope="module")
def model_page(settings) -> Path:
    """What `eval.py` writes of one of the runs."""
    run = settings.workdir / "runs" / "both_0"
    command = [sys.executable, "eval.py", f"--workdir={run}", "--sensors=sentinel"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "report_test_sentinel/report.html" in "".join(done.stdout.split())
    assert (run / "metrics_test_sentinel.json").exists()
    return run / "report_test_sentinel" / "report.html"


def told_numbers(page: Path) -> list[tuple[str, str, str]]:
    """Value, JSON pointer and text of each number of a page."""
    found = re.findall(r'<data value="(.*?)" data-json="(.*?)">(.*?)</data>', page.read_text())
    return [(value, unescape(pointer), text) for value, pointer, text in found]


def resolve(results, pointer: str):
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        results = results[int(key) if isinstance(results, list) else key]
    return results


def test_every_number_of_the_page_is_one_of_the_json(page, model_page):
    for it, fewest in ((page, 40), (model_page, 20)):
        results = json.loads((it.parent / "report.json").read_text())
        numbers = told_numbers(it)
        assert len(numbers) >= fewest
        for value, pointer, text in numbers:
            meant = resolve(results, pointer)
            if meant is None:
                assert (value, text) == ("", "-")
                continue
            assert float(value) == meant
            assert float(text) in (
                pytest.approx(meant, abs=0.5),
                pytest.approx(100 * meant, abs=0.5),
            )


def test_the_page_holds_every_picture(page, model_page):
    """Each PNG of the directory stands in the page, and nothing is fetched from elsewhere."""
    for it in (page, model_page):
        embedded = re.findall(
            r'<img alt="[^"]+" src="data:image/png;base64,([^"]+)"', it.read_text()
        )
        files = {path.read_bytes() for path in it.parent.glob("*.png")}
        assert {base64.b64decode(image) for image in embedded} == files
        assert it.read_text().count("<img") == len(embedded)
        assert not re.search(r'(src|href)="(?!data:)', it.read_text())


def test_those_who_do_not_see_the_page_are_told_what_is_where(page, model_page):
    """No two pictures have the same words, tables have headings and scroll with the keyboard."""
    for it in (page, model_page):
        text = it.read_text()
        alts = re.findall(r'<img alt="([^"]+)"', text)
        assert len(set(alts)) == len(alts)
        assert any(re.fullmatch(r"\S+, scene \S+: truth", alt) for alt in alts)
        assert not re.search(r"<th>|<tr><td>", text)
        assert text.count('<th scope="col">') >= 5
        scroll = '<div class="scroll" tabindex="0" role="region" aria-label="(.+?)">'
        regions = re.findall(scroll, text)
        assert len(regions) == text.count("<table>") == text.count('class="scroll"')
        assert len(set(regions)) == len(regions)


def test_a_region_is_named_by_the_words_of_its_caption(tmp_path):
    report = Report({"n": 3}, tmp_path)
    report.table(["x"], [["a", "b"]], f"<b>{report.count('n')}</b> of &quot;A &amp; B&quot;")
    assert 'aria-label="3 of &quot;A &amp; B&quot;"' in report.write("it").read_text()


def test_all_that_was_asked_is_told(page):
    results = json.loads((page.parent / "report.json").read_text())
    assert list(results["ways"]) == ["landsat", "sentinel", "both"]
    assert len(results["windows"]["places"]) == 7
    assert [scene["why"] for scene in results["pictures"]] == [
        "chosen", "chosen", "best", "best", "worst", "worst",
    ]  # fmt: skip
    titles = [panel["title"] for panel in results["pictures"][0]["panels"]]
    assert titles == ["image", "truth", "both", "sentinel", "difference"]
    assert set(results["left_out"]) == set(results["bands"]) == {"landsat5_tm", "sentinel2a_msi"}
    assert set(results["slides"]) == {"sentinel2a_msi"}
    text = page.read_text()
    assert results["order"]["as_in_talk"] == "undecided"
    assert "these runs do <b>not decide</b>" in text
    assert "another data set" in text


def rewritten(page: Path, directory: Path, **changed) -> str:
    """The words of the page that other results would have made."""
    copy = shutil.copytree(page.parent, directory / "report")
    results = json.loads((copy / "report.json").read_text())
    text = write_report(results | changed, copy).read_text()
    return " ".join(unescape(re.sub("<.*?>", "", text)).split())


def test_fixed_sentences_are_of_these_settings_and_numbers(page, tmp_path):
    """Sizes and seeds are those of the settings; nothing is said of how many instruments are."""
    text = rewritten(page, tmp_path, left_out={})
    assert "have 8, 8 features in their levels and are trained for 2 steps of 4 squares" in text
    assert "One seed has no spread" in text
    assert "few seeds" not in text
    assert "that takes training records of it and of another one" in text
    assert "the highest and the lowest F1 of both among the scenes that are not chosen" in text
    assert "overlap in 33 % at least" in text


def test_seeds_are_told_where_there_are_several(page, tmp_path):
    results = json.loads((page.parent / "report.json").read_text())
    twice = {way: 2 * seeds for way, seeds in results["windows"]["counts"].items()}
    text = rewritten(
        page,
        tmp_path,
        windows=results["windows"] | {"counts": twice},
        settings=results["settings"] | {"seeds": 2, "data": "simulated"},
    )
    assert "The spread is that of 2 seeds" in text
    assert "All models are those of the first seed." in text
    assert "training scenes are nearly always each sensor's own" in text


def test_again_nothing_is_trained_and_the_page_is_the_same(settings, page, monkeypatch):
    before = page.read_bytes()
    monkeypatch.setattr(runs, "train", None)
    three_way(settings)
    assert page.read_bytes() == before


def test_no_test_records_are_told(settings, tmp_path):
    for sensor in ("landsat5_tm", "sentinel2a_msi"):
        write_records(tmp_path, {"train": [fake_patch(sensor, seed) for seed in range(4)]})
    plan = plan_runs(settings, [])
    untested = dataclasses.replace(settings, data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="has a test split: prepare more"):
        measure(untested, plan, prepare_records(untested))


def test_names_are_escaped_and_pointers_resolve(tmp_path):
    """Names of users' files may hold what HTML and JSON pointers write otherwise."""
    report = Report({"a<b/c~d": {"f1": 0.5, "no": None}}, tmp_path)
    report.table(["x"], [[report.number("a<b/c~d", "f1")], [report.number("a<b/c~d", "no")]], "it")
    page = report.write("A <title>")
    results = json.loads((tmp_path / "report.json").read_text())
    assert [resolve(results, pointer) for _, pointer, _ in told_numbers(page)] == [0.5, None]
    assert "<title>A &lt;title&gt;</title>" in page.read_text()


# --- in a browser ----------------------------------------------------------------------------

LOOK = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll > *")
    && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.tagName);
  const small = [...document.querySelectorAll(".panels:not(.small) img")]
    .filter(e => e.getBoundingClientRect().width < 280).length;
  const images = [...document.images];
  parent.postMessage(JSON.stringify({inner: innerWidth, page: document.documentElement.scrollWidth,
    wide, small, images: images.length,
    loaded: images.filter(e => e.complete && e.naturalWidth > 0).length}), "*");
});</script></head>"""
FRAME = """<!doctype html><title></title><iframe src="{}" width="{}" height="2000"
style="border: 0"></iframe>
<script>addEventListener("message", e => document.title = e.data)</script>"""


def look(page: Path, width: int, profile: Path) -> dict:
    """What a browser of some width makes of a page."""
    # In a frame, since a window of the browser's own is at least 500 pixels wide.
    copy, frame = profile / "copy.html", profile / "frame.html"
    copy.write_text(page.read_text().replace("</head>", LOOK))
    frame.write_text(FRAME.format(copy.as_uri(), width))
    assert BROWSER is not None
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
        "--window-size=1600,2000", "--virtual-time-budget=10000", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    title = re.search("<title>(.+?)</title>", dom)
    assert title is not None
    return json.loads(unescape(title[1]))


@needs_browser
@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("which", ["page", "model_page"])
def test_a_browser_shows_it_whole(request, which, width, tmp_path):
    """Nothing sticks out but in tables that scroll; every picture is there and large enough."""
    page = request.getfixturevalue(which)
    seen = look(page, width, tmp_path)
    assert seen["inner"] == width
    assert seen["page"] <= width
    assert seen["wide"] == []
    assert seen["small"] == 0
    assert seen["images"] == seen["loaded"] == page.read_text().count("<img")
