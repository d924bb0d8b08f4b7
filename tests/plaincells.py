"""What plain cartopy draws of a curvilinear grid, for comparison; and model grids to draw."""

import cartopy.crs as ccrs
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TIMES = 9
"""Matplotlib moves each corner of a cell to the middle of a pixel: so the picture that others are compared
with has so many times the pixels each way, of which each ninth counts."""
COLORS = 16
"""Values are 0 to 15, or NaN."""


def plain_values(lon, lat, values, view, crs):
    """Return the values under a view's pixels as `GeoAxes.pcolormesh` shows them; -1 where it shows none."""
    width, height = view.size.width, view.size.height
    figure = Figure(figsize=(width / 100, height / 100), dpi=100 * TIMES)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes([0, 0, 1, 1], projection=crs)
    axes.set_aspect("auto")
    axes.spines["geo"].set_visible(False)
    axes.patch.set_visible(False)
    axes.pcolormesh(
        *(lon, lat, values),
        transform=ccrs.PlateCarree(),
        shading="nearest",
        cmap="gray",
        vmin=-1,
        vmax=COLORS,
    )
    extent = view.extent
    axes.set(xlim=(extent.west, extent.east), ylim=(extent.south, extent.north))
    figure.patch.set_facecolor("red")
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[TIMES // 2 :: TIMES, TIMES // 2 :: TIMES].astype(int)
    shown = pixels[..., 0] == pixels[..., 1]
    return np.where(shown, np.round(pixels[..., 0] / 255 * (COLORS + 1) - 1 + 1e-9), -1)


def weather_grid(rows, columns, lon, lat, cell, kind=ccrs.LambertConformal):
    """Return longitudes and latitudes of a grid that is square on a map around a place: a weather model's."""
    x = (np.arange(columns) - (columns - 1) / 2) * cell
    y = (np.arange(rows) - (rows - 1) / 2) * cell
    return _lonlat(kind(central_longitude=lon, central_latitude=lat), x, y)


def ocean_grid(rows, columns, pole_lon=30, pole_lat=40):
    """Return longitudes and latitudes of a grid of all the world whose poles lie elsewhere."""
    x = (np.arange(columns) + 0.5) * (360 / columns) - 180
    y = (np.arange(rows) + 0.5) * (180 / rows) - 90
    return _lonlat(ccrs.RotatedPole(pole_lon, pole_lat), x, y)


def _lonlat(crs, x, y):
    points = ccrs.PlateCarree().transform_points(crs, *np.meshgrid(x, y))
    return points[..., 0], points[..., 1]
