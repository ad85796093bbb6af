import numpy as np
import pytest
from matplotlib.image import imread

from data_prep import preview
from data_prep.preview import choose, draw, palette
from permjax import classes
from permjax.classes import COLOURS
from tests.fake_records import write_fake_sensors


@pytest.fixture
def data_dir(tmp_path):
    write_fake_sensors(tmp_path, "landsat8_oli_tirs", "sentinel2a_msi")
    return tmp_path


def test_the_page_is_drawn_and_the_same_each_time(data_dir, capsys):
    pages = []
    for name in ("one.png", "two.png"):
        page = data_dir / "pages" / name
        assert preview.main(["fake", f"--data_dir={data_dir}", f"--output={page}"]) == 0
        assert capsys.readouterr().out == f"{page}\n"
        pages.append(imread(page))
    np.testing.assert_array_equal(*pages)


def test_records_are_of_all_sensors_and_splits(data_dir):
    examples = choose(data_dir / "fake")
    titles = [example.title for example in examples]
    assert len(titles) == len(set(titles)) == 6
    for words in ("landsat8_oli_tirs, train", "sentinel2a_msi, train", "sentinel2a_msi, test"):
        assert any(words in title for title in titles)
    assert all("30 m, sun at 45.0°" in title for title in titles)


def test_the_page_shows_image_label_and_a_histogram_of_each_band(data_dir, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda figure, *_, **__: figures.append(figure)
    )
    [example] = choose(data_dir / "fake")[:1]
    draw(data_dir / "page.png", "fake", [example])
    image, label, reflectance, kelvin = figures[0].axes
    np.testing.assert_array_equal(label.images[0].get_array(), palette()[example.label])
    assert image.images[0].get_array().shape == (32, 32, 3)
    names = [text.get_text() for text in reflectance.get_legend().get_texts()]
    assert names[:3] == ["443 nm", "482 nm", "561.4 nm"]
    assert len(names) == 9
    assert reflectance.get_xlabel() == "reflectance (unitless)"
    assert kelvin.get_xlabel() == "brightness temperature (K)"
    # Half of the ground at 295 K, half a cloud at 250 K: both, and nothing beside them.
    heights, edges, _ = kelvin.patches[0].get_data()
    assert heights.sum() == pytest.approx(100)
    assert heights[edges[1:] < 230].sum() == 0
    assert heights[edges[:-1] > 275].sum() == pytest.approx(50)


def test_a_label_has_the_colour_of_its_class_or_the_mean_of_its_classes():
    colours = palette()
    for cloud_class, colour in COLOURS.items():
        assert tuple(colours[cloud_class.bit]) == colour
    assert colours[classes.CLEAR_OR_SHADOW].tolist() == [0, 109, 117]


def test_without_records_the_command_says_what_to_do(tmp_path, capsys):
    assert preview.main(["landsat8_biome", f"--data_dir={tmp_path}"]) == 1
    assert "there are no records; make them with" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", ["dataset_info.json", "*array_record*"])
def test_damaged_records_are_said_in_a_sentence(data_dir, capsys, damaged):
    for path in data_dir.rglob(damaged):
        path.write_bytes(path.read_bytes()[:200])
    assert preview.main(["fake", f"--data_dir={data_dir}"]) == 1
    assert f"error: {data_dir / 'fake'}: is damaged (" in capsys.readouterr().err
