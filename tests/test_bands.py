"""What the validator of band descriptions lets in and keeps out."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permjax.bands import BandDescription, Kind, describe_bands

widths = st.floats(0.002, 0.9)
centres = st.floats(400, 2500)
reflected = st.lists(
    st.tuples(centres, widths, st.sampled_from([Kind.REFLECTANCE, Kind.SURFACE_REFLECTANCE])),
    min_size=1,
    max_size=12,
    unique=True,
)


def same(one: BandDescription, other: BandDescription) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@given(reflected)
def test_what_is_valid_comes_out_as_it_went_in(bands):
    wavelength_nm = np.array([centre for centre, _, _ in bands], np.float32)
    bandwidth_nm = np.array([centre * width for centre, width, _ in bands], np.float32)
    kind = np.array([kind for _, _, kind in bands], np.int32)
    if len(set(zip(wavelength_nm, bandwidth_nm, kind, strict=True))) < len(bands):
        return  # made equal by rounding
    described = describe_bands(wavelength_nm, bandwidth_nm, kind, band_count=len(bands))
    assert same(described, BandDescription(wavelength_nm, bandwidth_nm, kind))
    assert same(describe_bands(*described), described)


@given(centres, widths)
def test_micrometres_are_always_found(centre, width):
    with pytest.raises(ValueError, match="looks like micrometres: multiply by 1000"):
        describe_bands([centre / 1000], [centre * width / 1000])
    with pytest.raises(ValueError, match="if it is in micrometres, multiply by 1000"):
        describe_bands([centre], [centre * width / 1000])


@given(centres, widths)
def test_an_upper_edge_in_place_of_a_width_is_always_found(centre, width):
    with pytest.raises(ValueError, match="not an edge"):
        describe_bands([centre], [centre * (1 + width / 2)])


def test_one_kind_serves_all_bands():
    described = describe_bands([490, 660], [60, 40], "surface_reflectance")
    assert described.kind.tolist() == [Kind.SURFACE_REFLECTANCE] * 2
    assert [leaf.dtype for leaf in described] == [np.float32, np.float32, np.int32]


def test_kinds_may_be_words_or_codes():
    described = describe_bands([490, 10900], [60, 900], ["reflectance", 2])
    assert described.kind.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([490, 560, 660], [60, 60, 40], "reflectance", 4), "wavelength_nm has 3 values for 4"),
        (([490, 560], [60, 60, 40]), "bandwidth_nm has 3 values for 2 bands"),
        (([490, 560], [60, 60], ["reflectance"]), "1 kinds for 2 bands"),
        (([], []), "no band is described"),
        ((490, 60), "must be a list of one number a band"),
        ((["blue"], [60]), "not a number"),
        (([490, np.nan], [60, 60]), "band 2 of 2: wavelength_nm nan is not a positive finite"),
        (([-490], [60]), "wavelength_nm -490 is not a positive finite"),
        (([490], [0]), "bandwidth_nm 0 is not a positive finite"),
        (([490, 10.9], [60, 0.6]), r"band 2 of 2: .* looks like micrometres: .*\(10900 nm\)"),
        (([490], [0.06]), "under 1/1000 of the centre"),
        (([60], [490]), "look swapped"),
        (([250], [20]), "outside the optical range"),
        (([16000], [500], "brightness_temperature"), "outside the optical range"),
        (([450], [520]), "upper edge minus lower edge"),
        (([490, 660, 490], [60, 40, 60]), "band 3 of 3 repeats band 1 of 3"),
        (([490], [60], "reflectence"), "unknown kind 'reflectence' .*'reflectance'"),
        (([490], [60], 7), "unknown kind 7"),
        (([490], [60], None), "unknown kind None"),
        (([10900], [900]), "above 5000 nm a band measures brightness_temperature"),
        (([490], [60], "brightness_temperature"), "below 3000 nm a band measures reflectance"),
    ],
)
def test_each_wrong_description_is_one_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message) as refusal:
        describe_bands(*arguments)
    assert "\n" not in str(refusal.value)


def test_one_band_may_be_described_as_two_kinds():
    described = describe_bands([3740, 3740], [380, 380], ["reflectance", "brightness_temperature"])
    assert described.kind.tolist() == [Kind.REFLECTANCE, Kind.BRIGHTNESS_TEMPERATURE]


def test_a_description_is_a_pytree():
    doubled = jax.tree.map(lambda leaf: 2 * leaf, describe_bands([490, 660], [60, 40]))
    assert isinstance(doubled, BandDescription)
    assert doubled.wavelength_nm.tolist() == [980, 1320]
