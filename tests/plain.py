"""The maps of a small set as cartopy alone draws them, to hold ours against."""

from dataclasses import dataclass
from pathlib import Path

import cartopy.crs as ccrs
import numpy as np
from cartopy.feature import ShapelyFeature
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from forkmaps.cache import NoCache
from forkmaps.mapset import read_mapset
from forkmaps.projection import view_of
from forkmaps.style.layout import Layout
from small import SQUARE

EDGE = 3
"""Pixels along the map's frame that are not compared."""
LONLAT = ccrs.PlateCarree()


@dataclass(frozen=True)
class Mesh:
    """Cells as `pcolormesh` takes them: corners, values, and the projection of the corners."""

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    crs: ccrs.Projection = LONLAT


def plain_cartopy(path: Path, mesh: Mesh, shapes=(SQUARE,)):
    """Draw a set's regions with cartopy alone, in the same box; return the maps inside their frames."""
    mapset = read_mapset(path)
    shared, regions = mapset.load(NoCache())
    layout = Layout.of(style := mapset.options.style)
    crs = shared.projection.crs
    views = {region.name: view_of(region, shared.projection, layout.map_size) for region in regions}
    return {name: _plain(view, crs, style, mesh, shapes) for name, view in views.items()}


def _plain(view, crs, style, mesh, shapes):
    layout = Layout.of(style)
    figure = Figure(figsize=(style.width, style.height), dpi=style.dpi, facecolor=style.no_data)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes(layout.map.fractions(layout.size), projection=crs, facecolor=style.no_data)
    axes.set_aspect("auto")
    limits = {"vmin": style.min, "vmax": style.max}
    axes.pcolormesh(mesh.x, mesh.y, mesh.values, transform=mesh.crs, cmap=style.palette, **limits)
    look = {"facecolor": "none", "edgecolor": "black", "linewidth": 1.0}
    axes.add_feature(ShapelyFeature(shapes, LONLAT, **look))
    axes.set_xlim(view.extent.west, view.extent.east)
    axes.set_ylim(view.extent.south, view.extent.north)
    canvas.draw()
    return inner(np.asarray(canvas.buffer_rgba()), layout)


def inner(picture, layout):
    """Return the map's (rows, columns, 3) pixels, without those along its frame."""
    return layout.map.of(picture)[EDGE:-EDGE, EDGE:-EDGE, :3].copy()


def assert_alike(ours, plain, least=0.3):
    """Assert that two pictures agree, but for edges of cells and lines that may be a pixel off, and no more.

    Compared are the pixels whose eight neighbors all have their color in the second picture, at least this
    share of all.
    """
    quiet = ~edges(plain)
    alike = (ours == plain).all(axis=-1)[quiet].mean()
    assert quiet.mean() > least
    assert alike >= 0.999
    for one, other in ((ours, plain), (plain, ours)):
        assert (edges(one) & ~around(edges(other))).mean() <= 0.001


def edges(picture):
    """Return where one of a pixel's eight neighbors has another color."""
    return np.logical_or.reduce([(moved != picture).any(axis=-1) for moved in moves(picture)])


def around(mask):
    """Return where a mask is set, there or at one of a pixel's eight neighbors."""
    return np.logical_or.reduce(moves(mask))


def moves(picture):
    """Return a picture moved by up to a pixel in all directions."""
    padded = np.pad(picture, [(1, 1), (1, 1)] + [(0, 0)] * (picture.ndim - 2), mode="edge")
    rows, columns = picture.shape[:2]
    return [padded[row : row + rows, column : column + columns] for row in range(3) for column in range(3)]
