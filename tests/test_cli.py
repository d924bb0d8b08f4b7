"""The command line, as a user runs it: exit codes, reports, messages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from small import REGIONS, SET, make_raster, make_set

ROOT = Path(__file__).parents[1]


def forkmaps(*arguments, cwd=None):
    command = [sys.executable, "-m", "forkmaps.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=100)


def failing(path, *arguments):
    """Run a render that is refused; return its message after checking how it was refused."""
    before = sorted(path.parent.rglob("*"))
    run = forkmaps("render", path, *arguments)
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
    assert sorted(path.parent.rglob("*")) == before
    assert run.stderr.startswith("forkmaps: ")
    return run.stderr


def test_render_draws_the_set_and_says_where(tmp_path):
    path = make_set(tmp_path)
    run = forkmaps("render", path, "--workers", 2)
    assert run.returncode == 0, run.stderr
    for name in ("north", "south"):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert picture.size == (240, 180)
            assert len(picture.getcolors(100_000)) > 20
    assert "2 maps in " in run.stdout
    assert "0 failed; raster read once" in run.stdout
    assert f"pictures are in {tmp_path}/out" in run.stdout
    assert "2/2 maps" in run.stderr


def test_json_is_one_object_with_the_reports_keys(tmp_path):
    path = make_set(tmp_path, SET.replace("{region.name}", "{band.number}/{region.name}"), bands=2)
    report = json.loads(forkmaps("render", path, "--json", "--workers", 2).stdout)
    assert (report["mapset"], report["maps"], report["failed"], report["skipped"]) == ("set", 4, 0, 0)
    assert report["raster_reads"] == 1
    assert report["seconds"] > 0
    assert sum(worker["maps"] for worker in report["workers"]) == 4
    assert {"pid", "maps", "private_mb", "pss_mb"} <= set(report["workers"][0])
    assert (report["failures"], report["warnings"], report["state"], report["left"]) == ([], [], "done", 0)
    assert {one["region"] for one in report["slowest"]} == {"north", "south"}
    assert sorted(report["outputs"]) == sorted(str(p) for p in (tmp_path / "out").rglob("*.png"))


def test_the_morning_after_a_run_that_was_refused(tmp_path):
    path = make_set(tmp_path)
    assert forkmaps("render", path).returncode == 0
    assert forkmaps("render", path, "--summary").returncode == 0
    (raster,) = tmp_path.glob("*.tif")
    raster.rename(tmp_path / "away")
    assert forkmaps("render", path).returncode == 2
    summary = forkmaps("render", path, "--summary")
    assert summary.returncode == 1
    assert f"refused: {raster}: there is no such raster file" in summary.stdout
    assert "no map was drawn" in summary.stdout
    (tmp_path / "away").rename(raster)
    assert forkmaps("render", path).returncode == 0
    assert forkmaps("render", path, "--summary").returncode == 0


def test_a_run_that_was_refused_makes_no_folder(tmp_path):
    path = make_set(tmp_path)
    next(tmp_path.glob("*.tif")).unlink()
    assert forkmaps("render", path).returncode == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--region", "--band"])
def test_a_map_set_after_names_is_not_taken_for_one(tmp_path, option):
    path = make_set(tmp_path)
    run = forkmaps("render", option, "1", path)
    assert run.returncode == 2
    assert f"{path} was taken for a region or band; write the map set before" in run.stderr


def test_quiet_prints_nothing_of_a_good_run_drawn_or_not(tmp_path):
    path = make_set(tmp_path)
    for _ in range(2):
        run = forkmaps("render", path, "--quiet")
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert json.loads(forkmaps("render", path, "--quiet", "--json").stdout)["skipped"]


def test_quiet_tells_of_maps_that_failed(tmp_path):
    path = make_set(tmp_path)
    run = forkmaps("render", path, "--quiet", "--timeout", "0.0001")
    assert run.returncode == 1
    assert "failed" in run.stdout
    assert run.stderr == ""


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_pictures_are_the_same_however_many_workers_draw_them(tmp_path, workers):
    path = make_set(tmp_path)
    run = forkmaps("render", path, "--workers", workers, "--out", tmp_path / "here")
    assert run.returncode == 0, run.stderr
    reference = make_set(tmp_path / "reference")
    assert forkmaps("render", reference, "--workers", 2).returncode == 0
    for picture in (tmp_path / "here").glob("*.png"):
        assert picture.read_bytes() == (tmp_path / "reference" / "out" / picture.name).read_bytes()


def test_region_and_band_choose_maps(tmp_path):
    path = make_set(tmp_path, SET.replace("{region.name}", "{region.name}-{band.number}"), bands=3)
    assert forkmaps("render", path, "--region", "SOUTH", "--band", "3").returncode == 0
    assert [p.name for p in (tmp_path / "out").glob("*.png")] == ["south-3.png"]


def test_an_unknown_region_is_told_with_the_nearest(tmp_path):
    assert 'no region "nort"' in failing(make_set(tmp_path), "--region", "nort")


@pytest.mark.parametrize("suffix", ["webp", "pdf", "svg"])
def test_other_formats_are_written(tmp_path, suffix):
    path = make_set(tmp_path, SET.replace(".png", f".{suffix}"))
    assert forkmaps("render", path).returncode == 0
    start = {"webp": b"RIFF", "pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    assert (tmp_path / "out" / f"north.{suffix}").read_bytes().startswith(start)


def test_check_lists_all_and_draws_nothing(tmp_path):
    path = make_set(tmp_path)
    run = forkmaps("check", path)
    assert run.returncode == 0, run.stderr
    assert "2 maps of 240 x 180 pixels" in run.stdout
    assert "north.png" in run.stdout
    assert "30 x 20 cells" in run.stdout
    assert 'projection: proj = "+ellps=WGS84 +proj=lcc +lon_0=-100' in run.stdout
    assert not (tmp_path / "out").exists()


def test_bad_input_gives_one_message_and_writes_nothing(tmp_path):
    assert "there is no such map set file" in failing(tmp_path / "none.toml")
    path = make_set(tmp_path / "key", SET.replace("palette", "x").replace("dpi = 60", "dpy = 60"))
    assert 'did you mean "dpi"?' in failing(path)
    path = make_set(tmp_path / "palette", SET.replace("dpi = 60", 'dpi = 60\npalette = "jett"'))
    assert '"jett" is not a palette; did you mean "jet"?' in failing(path)
    path = make_set(tmp_path / "field", SET.replace("{region.title}", "{region.label}"))
    assert "there is no field {region.label}" in failing(path)
    path = make_set(tmp_path / "table", SET, "name,west,east,south,north\na,-100,-101,40,41\nb,x,1,2,3\n")
    message = failing(path)
    assert "regions.csv:2" in message
    assert "regions.csv:3" in message
    path = make_set(tmp_path / "far", SET, REGIONS + "far,10,20,40,50,Europe\n")
    assert 'region "far"' in failing(path)
    path = make_set(tmp_path / "raster", SET.replace("raster.tif", "rastre.tif"))
    assert 'there is no such raster file; did you mean "raster.tif"?' in failing(path)
    path = make_set(tmp_path / "crs")
    make_raster(tmp_path / "crs" / "raster.tif", crs=None)
    assert "states no CRS" in failing(path)
    path = make_set(tmp_path / "layer", SET.replace("square.gpkg", "circle.gpkg"))
    assert "there is no such file" in failing(path)


@pytest.mark.parametrize("arguments", [["--workers", "-1"], ["--timeout", "0"], ["--no-such-option"]])
def test_wrong_arguments_end_with_2_and_usage(tmp_path, arguments):
    run = forkmaps("render", make_set(tmp_path), *arguments)
    assert run.returncode == 2
    assert "usage: forkmaps render" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_file_in_the_folders_place_is_one_clear_error(tmp_path):
    path = make_set(tmp_path)
    (tmp_path / "out").write_text("in the way")
    run = forkmaps("render", path)
    assert run.returncode == 2
    assert "out" in run.stderr
    assert "Traceback" not in run.stderr


def test_without_a_set_the_bundled_one_is_checked():
    run = forkmaps("check")
    assert run.returncode == 0, run.stderr
    assert "12 maps of 1400 x 900 pixels" in run.stdout


def test_failures_are_told_kept_and_drawn_by_only_failed(tmp_path):
    path = make_set(tmp_path)
    slow = json.loads(forkmaps("render", path, "--json", "--timeout", "0.0001", "--workers", "2").stdout)
    assert slow["failed"] == 2
    assert {f["cause"] for f in slow["failures"]} == {"timeout"}
    assert forkmaps("render", path, "--only-failed").returncode == 0
    assert json.loads(forkmaps("render", path, "--only-failed", "--json").stdout)["skipped"] == 2


def test_help_and_version():
    assert "render" in forkmaps("--help").stdout
    assert forkmaps("--version").stdout.startswith("forkmaps 0.")


@pytest.mark.slow
def test_all_bundled_sets_draw_all_their_maps(tmp_path):
    for name, maps in (("us12", 12), ("states", 49), ("sst", 36), ("counties", 3107)):
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "forkmaps.cli",
                "render",
                ROOT / "regions" / f"{name}.toml",
                "--json",
                "--out",
                tmp_path / name,
            ],
            capture_output=True,
            text=True,
            timeout=900,
        )
        report = json.loads(run.stdout)
        assert (report["maps"], report["failed"], report["raster_reads"]) == (maps, 0, 1)


def test_a_run_with_nothing_to_draw_loads_neither_matplotlibs_figures_nor_vector_files(tmp_path):
    path = make_set(tmp_path)
    assert forkmaps("render", path).returncode == 0
    heavy = {"matplotlib.figure", "cartopy.mpl.geoaxes", "pyogrio", "pandas", "xarray"}
    code = f"import sys; from forkmaps.cli import main; main(['render', {str(path)!r}]); "
    code += f"print(sorted({heavy!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "0 maps" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "[]"
