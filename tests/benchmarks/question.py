"""The script that the question shows, for comparison: nothing is shared, nothing is left out.

    python question.py DATA OUT REGION [REGION ...]

Each map meshes the whole raster and adds every county and state. Prints one JSON object: seconds for each
map, seconds to load, and the process's peak memory in MB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import cartopy.crs as ccrs
import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rioxarray
from cartopy.feature import ShapelyFeature
from cartopy.io.shapereader import Reader
from matplotlib.gridspec import GridSpec

MAP_CRS = ccrs.LambertConformal()
DATA_CRS = ccrs.PlateCarree()


class Question:
    """What the script reads before its loop over the regions."""

    def __init__(self, folder: Path) -> None:
        self.counties = boundary(folder / "counties.shp")
        self.states = boundary(folder / "states.shp")
        raster = rioxarray.open_rasterio(folder / "raster.tif", lock=False, mask_and_scale=True)
        self.longitude, self.latitude = np.meshgrid(raster["x"], raster["y"])
        self.values = raster.variable.data[0]
        self.regions = pd.read_csv(folder / "regions.csv", index_col="name")

    def draw(self, name: str, path: Path) -> None:
        """Draw one region's map and save it."""
        region = self.regions.loc[name]
        figure = plt.figure(figsize=(14, 9))
        rows = GridSpec(nrows=2, ncols=1, height_ratios=[0.15, 3.0])
        rows.update(wspace=0.0, hspace=0.0)
        title_strip(figure.add_subplot(rows[0, :]), name)
        axes = figure.add_subplot(rows[1, :], projection=MAP_CRS)
        self.fill(axes, [region.x0, region.x1, region.y0, region.y1])
        figure.savefig(path)
        plt.close(figure)

    def fill(self, axes: plt.Axes, extent: list[float]) -> None:
        """Add the raster, its color bar and the boundaries to a map."""
        axes.set_extent(extent, crs=MAP_CRS)
        axes.set_adjustable("datalim")
        mesh = axes.pcolormesh(
            self.longitude,
            self.latitude,
            self.values,
            cmap="terrain",
            vmin=-500,
            vmax=3500,
            transform=DATA_CRS,
        )
        axes.set_extent(extent, crs=MAP_CRS)  # pcolormesh has widened it to the whole raster
        plt.colorbar(mesh, ax=axes, orientation="horizontal", pad=0.01, aspect=80)
        axes.add_feature(self.counties, linewidth=0.45)
        axes.add_feature(self.states, linewidth=1.25)


def boundary(path: Path) -> ShapelyFeature:
    shapes = Reader(path).geometries()
    return ShapelyFeature(shapes, DATA_CRS, facecolor="none", edgecolor="black")


def title_strip(axes: plt.Axes, title: str) -> None:
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.set_title(title)


def main() -> None:
    folder, out, *names = sys.argv[1:]
    begin = time.perf_counter()
    question = Question(Path(folder))
    loaded = time.perf_counter() - begin
    seconds = []
    for name in names:
        begin = time.perf_counter()
        question.draw(name, Path(out) / f"{name}.png")
        seconds.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"seconds": seconds, "load_seconds": loaded, "peak_mb": peak}))


if __name__ == "__main__":
    main()
