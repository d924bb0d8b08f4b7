"""What the README shows works as it stands there."""

import io
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small import make_raster

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    """The fenced code blocks of a language, their indentation taken off."""
    parts = re.split(r"^ *```(.*)\n", README, flags=re.MULTILINE)
    return [
        textwrap.dedent(text)
        for label, text in zip(parts[1::4], parts[2::4], strict=True)
        if label == language
    ]


def forkmaps(folder, *arguments):
    command = [sys.executable, "-m", "forkmaps.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)


def in_indented_block(start):
    return next(text for text in blocks("") if text.startswith(start))


@pytest.fixture
def five_minutes(tmp_path):
    """The folder that the section "Your own raster in five minutes" describes."""
    (tmp_path / "rain.toml").write_text(next(text for text in blocks("toml") if "rain.tif" in text))
    (tmp_path / "regions.csv").write_text(in_indented_block("name,west,east,south,north,title"))
    make_raster(tmp_path / "rain.tif", bounds=(-180, -90, 180, 90))
    for layer in ("counties", "states"):
        for file in (ROOT / "data" / "boundaries").glob(f"{layer}.*"):
            shutil.copy(file, tmp_path)
    return tmp_path


def test_the_five_minutes_section_draws_its_maps(five_minutes):
    checked = forkmaps(five_minutes, "check", "rain.toml")
    assert checked.returncode == 0, checked.stderr
    assert "2026010106/Ohio.png" in checked.stdout
    drawn = forkmaps(five_minutes, "render", "rain.toml")
    assert drawn.returncode == 0, drawn.stderr
    for name in ("Ohio", "Fiji"):
        with Image.open(five_minutes / "maps" / "2026010106" / f"{name}.png") as picture:
            assert picture.size == (1400, 900)


def test_the_error_shown_is_the_one_given(five_minutes):
    path = five_minutes / "rain.toml"
    path.write_text(path.read_text().replace('"Blues"', '"blues"'))
    told = forkmaps(five_minutes, "render", "rain.toml").stderr
    assert told in README


def test_the_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    exec(next(text for text in blocks("python") if "read_mapset" in text), names)
    assert names["shared"].x.shape == (781, 1440)
    assert len(names["regions"]) == 12


@pytest.fixture
def beside_the_data(tmp_path):
    """A folder with the project's data and region lists, to run examples in."""
    for name in ("data", "regions"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run_example(folder, containing, *replaced):
    script = next(text for text in blocks("python") if containing in text)
    for old, new in replaced:
        assert old in script
        script = script.replace(old, new)
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return script


def test_twelve_lines_draw_twelve_regions_with_a_users_own_function(beside_the_data):
    script = run_example(beside_the_data, "def plotter(axes, shared, region)")
    assert len([line for line in script.splitlines() if line]) <= 12
    pictures = sorted((beside_the_data / "out" / "own").glob("*.png"))
    assert len(pictures) == 12
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (1400, 900)


def test_a_function_that_draws_figures_with_pyplot(beside_the_data):
    run_example(beside_the_data, "def plotter(region)")
    pictures = sorted((beside_the_data / "out" / "figures").glob("*.png"))
    assert len(pictures) == 3
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (700, 500)
            assert len(picture.convert("RGB").getcolors(picture.width * picture.height)) > 100


def test_a_map_set_is_drawn_from_python_in_its_own_style_and_in_another(beside_the_data):
    run_example(beside_the_data, "mapset.style")
    out = beside_the_data / "out"
    assert len(list((out / "us12").glob("*.png"))) == 12
    for path in (two := sorted((out / "two").glob("*.png"))):
        assert path.read_bytes() == (out / "us12" / path.name).read_bytes()
    assert len(two) == 2
    with Image.open(out / "own_style" / "Ohio.png") as picture:
        assert picture.size == (700, 500)


def test_the_example_of_a_function_over_shared_data_runs(capsys):
    names = {}
    exec(next(text for text in blocks("python") if "noisy_quantiles" in text), names)
    assert np.allclose(names["quantiles"], [[0.1, 0.5, 0.9]] * 12, atol=0.06)
    shown = capsys.readouterr().out
    assert "Failed(job=0, cause='error', message='ZeroDivisionError" in shown
    assert shown.splitlines()[-1] == str(1 / 11)


def test_the_example_of_work_in_the_background_runs():
    names = {}
    exec(next(text for text in blocks("python") if "ForkExecutor" in text), names)
    assert sorted(names["pictures"]) == [0, 1, 2, 3]
    pictures = set(names["pictures"].values())
    assert len(pictures) == 4
    for picture in pictures:
        with Image.open(io.BytesIO(picture)) as image:
            assert image.size == (640, 480)


def test_the_example_from_memory_draws_both_rasters_and_saves_the_data(beside_the_data):
    run_example(beside_the_data, "Raster.from_array")
    pictures = {path.parent.name: path for path in (beside_the_data / "out" / "memory").glob("*/Plains.png")}
    assert sorted(pictures) == ["rain", "wind"]
    assert pictures["rain"].read_bytes() != pictures["wind"].read_bytes()
    assert (beside_the_data / "out" / "store" / "shared.forkmaps").stat().st_size > 1_000_000


def test_the_contact_sheet_example_draws_its_sheet(beside_the_data):
    run_example(beside_the_data, "contact_sheet(")
    with Image.open(beside_the_data / "out" / "sst-sheet.png") as picture:
        assert picture.width > 12 * 250


def test_the_notebooks_example_shows_a_map_and_writes_it(beside_the_data):
    shown = "\nimport pathlib\npathlib.Path('shown.png').write_bytes(shown._repr_png_())\n"
    run_example(beside_the_data, "show_map", ("\nshown\n", shown))
    assert (beside_the_data / "out" / "Ohio.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(beside_the_data / "shown.png") as picture:
        assert picture.size == (1400, 900)


@pytest.mark.parametrize(
    "shape",
    ["(30, 64, 4)", pytest.param("(30, 512, 512)", marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)
def test_the_violins_example_shows_thirty_panels(beside_the_data, shape):
    saved = "plt.savefig('violins.png', dpi=25)"
    run_example(beside_the_data, "def violin", ("(30, 512, 512)", shape), ("plt.show()", saved))
    with Image.open(beside_the_data / "violins.png") as picture:
        assert picture.size == (1500, 900)
        panels = np.asarray(picture.convert("L")).reshape(3, 300, 10, 150)
    assert (panels.min(axis=(1, 3)) < 200).all()


def test_the_example_with_lambdas_and_labels_runs(beside_the_data):
    run_example(beside_the_data, "preprocessing_fn=lambda")
    with Image.open(beside_the_data / "panels.png") as picture:
        assert picture.width > 3 * 300


def test_the_sweep_example_draws_a_hundred_figures_in_nested_folders(beside_the_data):
    run_example(beside_the_data, "from forkmaps import sweep")
    found = sorted((beside_the_data / "out" / "sweep").glob("k0=*/rc-*.png"))
    assert len(found) == 100
    assert found[0].parts[-2:] == ("k0=0.10", "rc-1.000e-02.png")


def test_every_option_of_the_command_is_named():
    for command in ("render", "check", "sheet"):
        shown = forkmaps(ROOT, command, "--help").stdout
        for option in set(re.findall(r"--[a-z]+[a-z-]*", shown)) - {"--help"}:
            assert option in README, option


def test_every_key_of_a_map_set_is_named():
    from forkmaps.mapset import MapSetOptions
    from forkmaps.style import Line

    fields = MapSetOptions.model_fields
    tables = [fields[name].annotation for name in ("raster", "regions", "output")]
    for table in (*tables, Line):
        for key in table.model_fields:
            assert f"`{key}`" in README, key
