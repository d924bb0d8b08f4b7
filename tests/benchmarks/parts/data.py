"""The benchmark's data, built once into out/bench/data: two rasters, two boundary layers, regions, map sets.

The rasters are GeoTIFFs without compression, as `gdal_translate` writes them by default: noise can't be
compressed, and reading is no part of any figure.
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import cartopy.crs as ccrs
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.transform import from_bounds
from rasterio.windows import Window

from parts.findings import Findings
from parts.places import REPOSITORY, BenchData

WEST, EAST, SOUTH, NORTH = -130.0, -60.0, 20.0, 55.0
COLUMNS, ROWS = 7000, 3500
TEN_TIMES = 10**0.5
NOISE_METERS = 2.0
SEED = 20_240_501
STRIP_ROWS = 256
MARGIN = 0.1
NOT_LOWER_48 = ("02", "15", "60", "66", "69", "72", "78")
BUILT_AS = "2"
"""Of this edition is the data: a change that makes other data counts it up."""

_MAP_SET = """\
[raster]
path = "{raster}"

[[boundaries]]
path = "counties.shp"
linewidth = 0.45

[[boundaries]]
path = "states.shp"
linewidth = 1.25

[projection]
cartopy = "LambertConformal"

[regions]
path = "regions.csv"
crs = "{crs}"

[style]
palette = "terrain"
min = -500
max = 3500
width = 14
height = 9
dpi = 100
title = "{{region.title}}"

[output]
folder = "../maps"
file = "{{region.name}}.png"
"""


def make_ready(data: BenchData) -> Findings:
    """Build the benchmark's data where it is not there."""
    if not data.edition.is_file() or data.edition.read_text() != BUILT_AS:
        shutil.rmtree(data.folder, ignore_errors=True)
        data.folder.mkdir(parents=True)
        build(data)
        data.edition.write_text(BUILT_AS)
    return Findings({}, {"edition": BUILT_AS})


def build(data: BenchData, columns: int = COLUMNS, rows: int = ROWS) -> None:
    """Build everything; the rasters of another size than the benchmark's are for its test."""
    build_raster(data.folder / "raster.tif", columns, rows)
    build_raster(data.folder / "raster-ten-times.tif", round(columns * TEN_TIMES), round(rows * TEN_TIMES))
    build_layer("cb_2016_us_county_500k", data.folder / "counties.shp")
    states = build_layer("cb_2016_us_state_500k", data.folder / "states.shp")
    build_regions(states, data.folder / "regions.csv")
    crs = ccrs.LambertConformal().proj4_init
    data.map_set.write_text(_MAP_SET.format(raster="raster.tif", crs=crs))
    data.ten_times.write_text(_MAP_SET.format(raster="raster-ten-times.tif", crs=crs))


def build_raster(path: Path, columns: int, rows: int) -> None:
    """Write the bundled terrain, resampled (bilinear) to a finer grid, with noise, as float32."""
    with rasterio.open(REPOSITORY / "data" / "terrain.tif") as file:
        terrain, transform = file.read(1).astype(np.float32), file.transform
    x = WEST + (np.arange(columns) + 0.5) * (EAST - WEST) / columns
    y = NORTH - (np.arange(rows) + 0.5) * (NORTH - SOUTH) / rows
    across = resampled(terrain.T, (x - transform.c) / transform.a - 0.5).T
    at_rows = (y - transform.f) / transform.e - 0.5
    random = np.random.default_rng(SEED)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": "EPSG:4326", "nodata": -9999.0}
    grid = from_bounds(WEST, SOUTH, EAST, NORTH, columns, rows)
    with rasterio.open(path, "w", width=columns, height=rows, transform=grid, **profile) as file:
        file.set_band_description(1, "Surface relief")
        file.set_band_unit(1, "m")
        for start in range(0, rows, STRIP_ROWS):
            strip = resampled(across, at_rows[start : start + STRIP_ROWS])
            strip += random.standard_normal(strip.shape, np.float32) * np.float32(NOISE_METERS)
            file.write(strip, 1, window=Window(0, start, columns, len(strip)))


def resampled(lines: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate linearly between the lines (rows) of an array."""
    before = np.clip(np.floor(at).astype(int), 0, len(lines) - 2)
    part = (at - before).astype(np.float32)[:, None]
    return lines[before] * (1 - part) + lines[before + 1] * part


def build_layer(name: str, path: Path) -> pd.DataFrame:
    """Copy the lower 48 and DC of a Census layer of `plotly-geo`; it has no .prj, the copy has (NAD83).

    Returns the features' attributes, with their shapes in a column `geometry`.
    """
    source = files("_plotly_geo") / "package_data" / f"{name}.shp"
    left_out = ", ".join(f"'{fips}'" for fips in NOT_LOWER_48)
    meta, _, wkb, columns = pyogrio.raw.read(str(source), where=f"STATEFP NOT IN ({left_out})")
    pyogrio.raw.write(
        path,
        geometry=wkb,
        field_data=columns,
        fields=meta["fields"],
        geometry_type="Polygon",
        crs="EPSG:4269",
        encoding="UTF-8",
    )
    attributes = dict(zip(meta["fields"], columns, strict=True))
    return pd.DataFrame({**attributes, "geometry": shapely.from_wkb(wkb)})


def build_regions(states: pd.DataFrame, path: Path) -> None:
    """Write each state's box, with a margin, in metres of cartopy's default Lambert conformal map."""
    to_map = pyproj.Transformer.from_crs("EPSG:4269", ccrs.LambertConformal().to_wkt(), always_xy=True)
    shapes = shapely.transform(states["geometry"].to_numpy(), to_map.transform, interleaved=False)
    x0, y0, x1, y1 = shapely.bounds(shapes).T
    wide, high = (x1 - x0) * MARGIN, (y1 - y0) * MARGIN
    boxes = {"x0": x0 - wide, "x1": x1 + wide, "y0": y0 - high, "y1": y1 + high}
    table = pd.DataFrame({"name": states["NAME"], **boxes}).sort_values("name")
    table.round(1).to_csv(path, index=False)
