"""The simulator: laws of physics, the same scene for all sensors, records as TFDS data sets."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.patches import record
from data_prep.simulated import build, scene, simulate, spectra, virtual_sensor
from data_prep.simulated.atmosphere import Air, rayleigh_depth, rayleigh_reflectance
from data_prep.simulated.clouds import DEPTHS, Layer, Optics, Place, lookup, optics, two_stream
from data_prep.simulated.fields import Grid, Noise
from data_prep.simulated.instrument import KELVIN, band_radiance, planck, response
from data_prep.simulated.layouts import LAYOUTS
from data_prep.simulated.light import Light, Sky, band_air
from data_prep.simulated.surface import NAMES, Climate, Ground
from data_prep.simulated.tables import HEIGHTS_KM, WAVELENGTH_NM
from data_prep.simulated.thermal import Thermal
from data_prep.simulated.weather import BIOMES, Weather, draw
from permjax.classes import CLEAR, CLOUD_SHADOW, THICK_CLOUD, THIN_CLOUD
from permjax.sensors import SENSORS, Band, Kind, Sensor

LANDSAT8 = SENSORS["landsat8_oli_tirs"]
SENTINEL2A = SENSORS["sentinel2a_msi"]
GRID = Grid(30.0, 96)
AT = {round(band.wavelength_nm, -2): n for n, band in enumerate(LANDSAT8.bands)}
RED, NIR, CIRRUS = AT[700], AT[900], AT[1400]
TEMPERATE = Air(1.5, 320, "continental", 0.1, 290.0, 0.0, 0.0, 12.0)


def make_weather(air: Air = TEMPERATE, layers: Sequence[Layer] = (), **climate: float) -> Weather:
    ground = {"altitude_km": 0.0, "relief_m": 0.0, "temperature_k": 290.0, "snow": 0.0, "sea": 0.0}
    values = {**ground, "sun_elevation_deg": 45.0, **climate}
    return Weather(
        climate=Climate(biome="forest", **values),
        air=replace(air, ground_km=values["altitude_km"]),
        layers=tuple(layers),
        sun_azimuth=np.radians(135),
        view_cosine=1.0,
        view_azimuth=0.0,
    )


def make_ground(material: str, altitude_km: float = 0.0, kelvin: float = 290.0) -> Ground:
    """A plane of one material."""
    rng = np.random.default_rng(0)
    spectrum = {
        "forest": lambda: spectra.measured("canopy", rng, 0.6),
        "water": lambda: spectra.water(0.1, 0.1, 0.02, 0.0),
        "snow": lambda: spectra.snow(1e-4),
    }[material]()
    one = np.ones((GRID.size, GRID.size), np.float32)
    return Ground(
        spectra=spectrum[None],
        cover=one[..., None],
        brightness=one,
        height_km=altitude_km * one,
        sunlit=one,
        temperature_k=kelvin * one,
    )


def make_layer(base_km: float, phase: str = "liquid", radius_um: float = 10.0) -> Layer:
    return Layer(
        phase=phase,
        radius_um=radius_um,
        base_km=base_km,
        thickness_km=0.2,
        depth=10.0,
        power=1.0,
        noise=Noise((0,), 1000),
        threshold=0.0,
        softness=0.05,
        fullness=0.5,
        lumps=Noise((1,), 500),
        lumpiness=0.0,
    )


def seen(
    ground: Ground, layer: Layer | None, depth: float, air: Air = TEMPERATE, **climate: float
) -> np.ndarray:
    """Landsat 8's bands [N] over a plane under an even cloud."""
    weather = make_weather(air, [layer] if layer else [], **climate)
    skies = []
    if layer:
        even = np.full((GRID.size, GRID.size), depth, np.float32)
        skies = [Sky(layer, even, even, np.full_like(even, layer.base_km))]
    light = Light(ground, skies, weather, GRID.gsd_m)
    sunshine = np.ones_like(ground.brightness)
    values = scene._radiate(weather, LANDSAT8, light, sunshine)
    return np.array([value[48, 48] for value in values])


# --- The whole ----------------------------------------------------------------------------------


def test_same_seed_gives_same_patch_to_the_bit() -> None:
    first, second = simulate(5, LANDSAT8, 64), simulate(5, LANDSAT8, 64)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.label, second.label)
    assert not np.array_equal(first.image, simulate(6, LANDSAT8, 64).image)


@pytest.mark.parametrize("seed", range(8))
def test_sensors_of_one_grid_share_the_label(seed: int) -> None:
    """The label is the scene's, not the sensor's."""
    first, second = simulate(seed, SENTINEL2A, 64), simulate(seed, SENSORS["sentinel2b_msi"], 64)
    np.testing.assert_array_equal(first.label, second.label)
    assert first.scene_id == second.scene_id
    assert first.sun_elevation_deg == second.sun_elevation_deg


def test_sensors_of_other_grids_see_the_same_clouds() -> None:
    """Landsat's middle third is Sentinel-2's patch: cloud of one is cloud of the other."""
    agreements = []
    for seed in range(12):
        fine, coarse = simulate(seed, SENTINEL2A, 96), simulate(seed, LANDSAT8, 96)
        cloud = (fine.label & (THICK_CLOUD | THIN_CLOUD) > 0).reshape(32, 3, 32, 3).mean((1, 3))
        other = coarse.label[32:64, 32:64] & (THICK_CLOUD | THIN_CLOUD) > 0
        agreements.append(((cloud > 0.5) == other).mean())
    assert np.mean(agreements) > 0.97


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=lambda sensor: sensor.name)
def test_every_sensor_sees_sensible_values(sensor: Sensor) -> None:
    for seed in (1, 4):
        patch = simulate(seed, sensor, 32)
        check_values(patch.image, patch.bands.kind)
        assert set(np.unique(patch.label)) <= set(range(1, 16))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_virtual_sensors_see_sensible_values(seed: int) -> None:
    sensor = virtual_sensor(seed)
    assert sensor == virtual_sensor(seed)
    assert 3 <= len(sensor.bands) <= 14
    patch = simulate(seed, sensor, 32)
    check_values(patch.image, patch.bands.kind)


def check_values(image: np.ndarray, kind: np.ndarray) -> None:
    assert np.isfinite(image).all()
    thermal = np.asarray(kind) == Kind.BRIGHTNESS_TEMPERATURE
    assert image[..., ~thermal].min(initial=0) >= 0
    assert image[..., ~thermal].max(initial=0) < 2
    assert image[..., thermal].min(initial=300) > 170
    assert image[..., thermal].max(initial=300) < 345


def test_scenes_are_of_all_kinds() -> None:
    """Clear, overcast and broken skies, and all four classes, within some hundred scenes."""
    labels = [simulate(seed, SENSORS["landsat5_mss"], 32).label for seed in range(120)]
    cloud = np.array([(label & (THICK_CLOUD | THIN_CLOUD) > 0).mean() for label in labels])
    assert (cloud == 0).mean() > 0.1
    assert (cloud == 1).mean() > 0.05
    assert ((cloud > 0.1) & (cloud < 0.9)).mean() > 0.2
    for bits in (CLEAR, THICK_CLOUD, THIN_CLOUD, CLOUD_SHADOW):
        assert np.mean([(label == bits).mean() for label in labels]) > 0.01


def test_every_biome_has_a_layout() -> None:
    assert set(BIOMES) == set(LAYOUTS)
    grid = Grid(30.0, 48)
    for layout in LAYOUTS.values():
        parts = layout(grid, 3, np.random.default_rng(3), np.zeros((48, 48), np.float32))
        assert set(parts) <= set(NAMES)
        np.testing.assert_allclose(sum(parts.values()), 1, atol=1e-5)


# --- Light --------------------------------------------------------------------------------------


def test_reflectance_grows_with_optical_thickness_over_dark_ground() -> None:
    ground, layer = make_ground("water"), make_layer(1.0)
    red = [seen(ground, layer, depth)[RED] for depth in (0, 0.3, 1, 3, 10, 40, 100)]
    assert np.all(np.diff(red) > 0.01)
    assert red[0] < 0.06
    assert red[-1] > 0.75


def test_only_high_cloud_shows_at_1380_nm_in_moist_air() -> None:
    ground = make_ground("forest")
    moist = replace(TEMPERATE, water_cm=3.0)
    clear, low, high = (
        seen(ground, layer, 3, moist)[CIRRUS]
        for layer in (None, make_layer(1.0), make_layer(11.0, "ice", 30))
    )
    assert clear < 0.005
    assert low < 0.01
    assert high > 0.15


def test_snow_of_a_high_dry_plateau_shows_at_1380_nm() -> None:
    dry = replace(TEMPERATE, water_cm=0.15, temperature_k=250)
    plateau = seen(make_ground("snow", 3.3, 225), None, 0, dry, altitude_km=3.3)
    coast = seen(make_ground("snow", 0.0, 265), None, 0, replace(TEMPERATE, water_cm=0.8))
    assert plateau[CIRRUS] > 0.12
    assert coast[CIRRUS] < 0.02
    assert plateau[NIR] > 0.7


@pytest.mark.parametrize("phase", ["liquid", "ice"])
def test_larger_particles_are_darker_in_short_wave_infrared(phase: str) -> None:
    bands = response(LANDSAT8.bands, LANDSAT8.name)
    thick = [
        lookup(optics(phase, radius, bands), 0.7).reflected[np.searchsorted(DEPTHS, 30)]
        for radius in (8.5, 14, 22)
    ]
    for wavelength in (1600, 2200):
        assert np.all(np.diff([row[AT[wavelength]] for row in thick]) < -0.02)
    assert np.ptp([row[RED] for row in thick]) < 0.05


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 1), st.floats(1e-6, 0.5), st.floats(0, 0.9))
def test_clouds_lose_no_light_and_make_none(cosine: float, coalbedo: float, g: float) -> None:
    values = (np.array([x]) for x in (1.0, coalbedo, g, 0.0))
    reflected, total, direct = two_stream(DEPTHS, Optics(*values), cosine)
    assert np.all(reflected >= 0)
    assert np.all(direct <= total + 1e-9)
    assert np.all(reflected + total <= 1 + 1e-6)


@pytest.mark.parametrize("cosine", [0.2, 0.6, 1.0])
def test_clouds_that_absorb_nothing_part_all_light(cosine: float) -> None:
    values = (np.array([x]) for x in (1.0, 0.0, 0.85, 0.0))
    reflected, total, _ = two_stream(DEPTHS, Optics(*values), cosine)
    np.testing.assert_allclose((reflected + total)[DEPTHS < 50], 1, atol=2e-3)


def test_thin_layers_meet_single_scattering() -> None:
    """Within 1 % the light lost from a thin beam is what the layer scatters and absorbs."""
    cloud = Optics(*(np.array([x]) for x in (1.0, 0.2, 0.5, 0.0)))
    reflected, total, _ = two_stream(np.array([1e-3]), cloud, 0.5)
    absorbed = 1 - reflected - total
    np.testing.assert_allclose(absorbed, 0.2 * 1e-3 / 0.5, rtol=0.01)


def test_rayleigh_falls_with_the_fourth_power_of_wavelength() -> None:
    depth = rayleigh_depth(1.0)
    slope = np.gradient(np.log(depth), np.log(WAVELENGTH_NM))
    assert slope[WAVELENGTH_NM > 800] == pytest.approx(-4, abs=0.1)
    assert np.interp(550, WAVELENGTH_NM, depth) == pytest.approx(0.0972, abs=0.001)
    thin = rayleigh_reflectance(depth, 0.7, 1.0, 0.0)
    slope = np.gradient(np.log(thin), np.log(WAVELENGTH_NM))
    assert slope[(WAVELENGTH_NM > 900) & (WAVELENGTH_NM < 3000)] == pytest.approx(-4, abs=0.1)


def test_gases_absorb_more_from_lower_and_along_longer_ways() -> None:
    short, long = TEMPERATE.gas_transmittance(2.0), TEMPERATE.gas_transmittance(4.0)
    assert np.all(np.diff(short, axis=0) > -1e-3)
    assert np.all(long <= short + 1e-6)
    wetter = replace(TEMPERATE, water_cm=4.0).gas_transmittance(2.0)
    at = np.searchsorted(WAVELENGTH_NM, 940)
    assert wetter[0, at] < short[0, at] - 0.05
    oxygen = np.searchsorted(WAVELENGTH_NM, 762.5)
    assert short[0, oxygen] < 0.6
    assert short[0, oxygen + 12] > 0.9


def test_molecular_air_is_darker_over_high_ground() -> None:
    low = seen(make_ground("water"), None, 0)
    high = seen(make_ground("water", 3.0), None, 0, altitude_km=3.0)
    assert high[0] < 0.8 * low[0]


# --- Shadows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("azimuth", "elevation"), [(135, 45), (90, 30), (200, 60), (330, 25)])
def test_shadow_lies_away_from_the_sun_by_height_over_tangent(
    azimuth: float, elevation: float
) -> None:
    layer = replace(make_layer(1.5), threshold=0.4, thickness_km=0.01)
    weather = replace(
        make_weather(layers=[layer], sun_elevation_deg=elevation),
        sun_azimuth=np.radians(azimuth),
    )
    grid = Grid(30.0, 256)
    ground = make_ground("forest")
    even = replace(ground, height_km=np.zeros((256, 256), np.float32))
    sky = scene._sky(layer, grid, weather, even)
    length = 1505 / np.tan(np.radians(elevation)) / grid.gsd_m
    # Away from the sun: rows run south, azimuth clockwise from north.
    south = length * np.cos(np.radians(azimuth))
    east = -length * np.sin(np.radians(azimuth))
    assert correlation_peak(sky.depth, sky.shade) == pytest.approx((south, east), abs=2)


def correlation_peak(cloud: np.ndarray, shade: np.ndarray) -> tuple[float, float]:
    """By how many rows and columns a field is another, moved."""
    cloud, shade = (np.log(field + 0.01) for field in (cloud, shade))
    product = np.fft.fft2(shade - shade.mean()) * np.conj(np.fft.fft2(cloud - cloud.mean()))
    correlation = np.fft.ifft2(product / np.abs(product)).real
    row, column = np.unravel_index(correlation.argmax(), correlation.shape)
    rows, columns = correlation.shape
    return ((row + rows // 2) % rows - rows // 2, (column + columns // 2) % columns - columns // 2)


def test_labelled_shadow_is_darker_than_labelled_clear() -> None:
    """Where a scene has both, over the same kind of ground: near-infrared by a quarter."""
    ratios = []
    for seed in range(60):
        patch = simulate(seed, LANDSAT8, 96)
        shadow, clear = patch.label == CLOUD_SHADOW, patch.label == CLEAR
        if shadow.sum() > 300 and clear.sum() > 300:
            nir = patch.image[..., NIR]
            ratios.append(np.median(nir[shadow]) / np.median(nir[clear]))
    assert len(ratios) >= 5
    assert np.median(ratios) < 0.75


# --- Heat ---------------------------------------------------------------------------------------


def test_thick_high_cloud_is_colder_than_the_ground() -> None:
    ground = make_ground("forest")
    thermal = [n for n, band in enumerate(LANDSAT8.bands) if band.kind is not Kind.REFLECTANCE]
    clear = seen(ground, None, 0)[thermal]
    low = seen(ground, make_layer(1.0), 20)[thermal]
    high = seen(ground, make_layer(9.0, "ice", 30), 20)[thermal]
    thin = seen(ground, make_layer(9.0, "ice", 30), 0.5)[thermal]
    assert np.all(high < thin)
    assert np.all(thin < clear)
    assert np.all(high < low)
    assert high == pytest.approx(TEMPERATE.temperature(9.0), abs=2)
    assert np.all((clear > 283) & (clear < 290))


def test_low_cloud_over_an_inversion_is_warmer_than_the_snow() -> None:
    air = replace(TEMPERATE, temperature_k=250, inversion_k=15, water_cm=0.2)
    ground = make_ground("snow", kelvin=248)
    band = AT[10_900]
    assert seen(ground, make_layer(0.5), 20, air)[band] > seen(ground, None, 0, air)[band] + 3


def test_brightness_temperature_of_a_black_ground_without_air_is_its_own() -> None:
    bands = LANDSAT8.bands
    dry = replace(TEMPERATE, water_cm=0.05)
    weather = make_weather(dry)
    ground = make_ground("forest", altitude_km=19.9, kelvin=280)
    light = Light(ground, [], weather, 30)
    heat = Thermal(weather, LANDSAT8, response(bands, LANDSAT8.name), light, ground.brightness)
    black = np.zeros_like(ground.brightness)
    assert heat.kelvin(black, 0.0, AT[10_900]) == pytest.approx(280, abs=0.5)


def test_planck_obeys_wien_and_stefan() -> None:
    nm = np.linspace(1000, 200_000, 200_000)
    radiance = planck(nm, np.array(300.0))
    assert nm[radiance.argmax()] == pytest.approx(2.897772e6 / 300, rel=1e-3)
    exitance = np.pi * radiance.sum() * (nm[1] - nm[0])
    assert exitance == pytest.approx(5.670374e-8 * 300**4, rel=5e-3)


# --- Sensors and fields -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sensor", [LANDSAT8, SENTINEL2A, SENSORS["terra_modis"], virtual_sensor(3)]
)
def test_band_mean_of_a_constant_is_the_constant(sensor: Sensor) -> None:
    bands = response(sensor.bands, sensor.name)
    np.testing.assert_allclose(bands.mean(np.full(len(WAVELENGTH_NM), 0.37)), 0.37, rtol=1e-4)
    ramp = bands.mean(WAVELENGTH_NM)
    centres = np.array([band.wavelength_nm for band in sensor.bands])
    widths = np.array([band.bandwidth_nm for band in sensor.bands])
    assert np.all(np.abs(ramp - centres) < np.maximum(0.5 * widths, 8))


def test_band_radiance_rises_with_temperature() -> None:
    radiance = band_radiance(LANDSAT8.bands, LANDSAT8.name)
    assert radiance.shape == (len(KELVIN), len(LANDSAT8.bands))
    assert np.all(np.diff(radiance[:, AT[10_900]]) > 0)


def test_instruments_saturate_and_count_in_steps() -> None:
    """Eight bits of Landsat 5: at most 256 values a band, and bright cloud is cut off."""
    sensor = SENSORS["landsat5_tm"]
    weather_sun = draw(0).sun[2]
    patch = simulate(0, sensor, 64)
    blue = patch.image[..., 0]
    assert len(np.unique(blue)) <= 256
    assert blue.max() <= 0.31 / weather_sun + 1e-6


def test_fields_are_the_same_on_every_grid() -> None:
    """A field sampled coarsely is the fine field but for the octaves that a pixel averages."""
    noise = Noise((1, 2), 5000, 0.5)
    fine, coarse = Grid(10.0, 129), Grid(30.0, 43)
    difference = noise(fine.metres, fine.metres)[1::3, 1::3] - noise(coarse.metres, coarse.metres)
    assert difference.std() < 0.1


def test_fields_have_unit_variance() -> None:
    values = [Noise((seed,), 500, 0.6)(GRID.metres, GRID.metres) for seed in range(20)]
    assert np.std(values) == pytest.approx(1, abs=0.1)
    assert np.mean(values) == pytest.approx(0, abs=0.1)


def test_lookups_meet_their_nodes() -> None:
    column = np.sqrt(DEPTHS).astype(np.float32)
    np.testing.assert_allclose(
        Place(DEPTHS.astype(np.float32))(column)[:-1], column[:-1], rtol=1e-3
    )


def test_clear_air_has_a_value_for_every_band_and_height() -> None:
    bands = response(SENTINEL2A.bands, SENTINEL2A.name)
    air = band_air(make_weather(), bands)
    assert air.gas.shape == (len(HEIGHTS_KM), 13)
    assert np.all((air.down > 0.3) & (air.down <= 1))


def test_misfit_of_a_described_band_is_modelled() -> None:
    """A band that no measured response resembles is modelled from its description."""
    odd = Band("odd", 1100.0, 40.0, Kind.REFLECTANCE, 30.0)
    mean = response((odd,), "landsat8_oli_tirs").mean(WAVELENGTH_NM)
    assert mean[0] == pytest.approx(1100, abs=4)


# --- Records ------------------------------------------------------------------------------------


def read(directory: Path, split: str) -> Sequence[dict[str, Any]]:
    builder: Any = tfds.builder_from_directory(directory)
    return builder.as_data_source(split)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    data_dir = tmp_path_factory.mktemp("data")
    sensors = [LANDSAT8, virtual_sensor(1)]
    return data_dir, build(data_dir, sensors, 2, 1, 1, patch_size=32, seed=1)


def test_built_records_are_the_simulated_patches(built: tuple[Path, list[Path]]) -> None:
    data_dir, directories = built
    assert directories[0] == data_dir / "simulated" / "landsat8_oli_tirs" / "1.0.0"
    metadata = tfds.builder_from_directory(directories[0]).info.metadata
    assert metadata is not None
    assert metadata["sensor"] == "landsat8_oli_tirs"
    scenes = set()
    for split, count in (("train", 2), ("validation", 1), ("test", 1)):
        source = read(directories[0], split)
        assert len(source) == count
        for example in source:
            seed = int(example["scene_id"].decode().removeprefix("simulated_"))
            scenes.add(seed)
            expected = record(simulate(seed, LANDSAT8, 32))
            np.testing.assert_array_equal(example["image"], expected["image"])
            np.testing.assert_array_equal(example["label"], expected["label"])
    assert len(scenes) == 4


def test_sensors_share_held_out_scenes_and_train_on_their_own(
    built: tuple[Path, list[Path]],
) -> None:
    def scenes(directory: Path, split: str) -> set[bytes]:
        return {example["scene_id"] for example in read(directory, split)}

    one, other = built[1]
    for split in ("validation", "test"):
        assert scenes(one, split) == scenes(other, split)
        assert not scenes(one, split) & (scenes(one, "train") | scenes(other, "train"))
    assert not scenes(one, "train") & scenes(other, "train")


def test_what_is_built_stays_and_other_settings_build_anew(
    built: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    data_dir, directories = built
    file = directories[0] / "dataset_info.json"
    before = file.stat().st_mtime_ns
    build(data_dir, [LANDSAT8], 2, 1, 1, patch_size=32, seed=1)
    assert file.stat().st_mtime_ns == before
    small = build(tmp_path, [SENSORS["cbers4_pan"]], 1, 0, 1, patch_size=16)
    again = build(tmp_path, [SENSORS["cbers4_pan"]], 2, 0, 1, patch_size=16)
    assert small == again
    assert len(read(again[0], "train")) == 2


def test_half_written_data_sets_are_built_again(tmp_path: Path) -> None:
    """What a killed run leaves has no metadata, or lies under another name; it goes away."""
    sensor = SENSORS["cbers4_pan"]
    directory = tmp_path / "simulated" / sensor.name / "1.0.0"
    directory.mkdir(parents=True)
    (directory / "simulated-train.array_record-00000-of-00001").write_bytes(b"half")
    directory.with_name("incomplete.ABCDEF_1.0.0").mkdir()
    (built,) = build(tmp_path, [sensor], 1, 0, 0, patch_size=16)
    assert built == directory
    assert [path.name for path in directory.parent.iterdir()] == ["1.0.0"]
    assert len(read(built, "train")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": -1}, "train is -1"),
        ({"train": 0, "validation": 0, "test": 0}, "no split has a scene"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"seed": -2}, "seed -2"),
    ],
)
def test_wrong_settings_are_refused(
    tmp_path: Path, arguments: dict[str, int], message: str
) -> None:
    counts = {"train": 1, "validation": 1, "test": 1, **arguments}
    with pytest.raises(ValueError, match=message):
        build(tmp_path, [LANDSAT8], **counts)
