"""The axes of a map: a GeoAxes with raster, boundaries and frame, and with what a function adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cartopy.mpl.geoaxes  # noqa: F401  (here, so that workers need not: add_axes would import it in each)
import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from forkmaps.projection import View
from forkmaps.raster.sampling import Plane
from forkmaps.render.artists import LayerArtists, PixelImage, plain_text
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style
from forkmaps.style.layout import Layout


class MapAxes:
    """The axes of a map on a figure, and all that stands on them.

    Attributes
    ----------
    axes : cartopy GeoAxes
        In the maps' projection; its limits are those of the region shown last.
    image : PixelImage
        The raster's colors.
    """

    def __init__(
        self, figure: Figure, shared: SharedData, style: Style, lines: Mapping[str, Line], layout: Layout
    ) -> None:
        self._figure, self._layout = figure, layout
        self._place = layout.map.fractions(layout.size)
        self.axes: Any = figure.add_axes(self._place, projection=shared.projection.crs)
        self.axes.set_aspect("auto")
        self.axes.set_autoscale_on(False)
        self.axes.patch.set_visible(False)
        self.axes.spines["geo"].set_visible(False)
        self.image = PixelImage(self.axes.bbox)
        self.image.set_visible(style.raster)
        self.axes.add_artist(self.image)
        self._layers = [LayerArtists(self.axes, shared.features[name], line) for name, line in lines.items()]
        self._nothing = self.axes.text(
            0.5, 0.5, "no data", transform=self.axes.transAxes, **plain_text(style.font)
        )
        self._nothing.set(color="0.4", fontsize=style.title_size)
        self._frame = Rectangle((0, 0), 1, 1, fill=False, transform=self.axes.transAxes)
        self._frame.set(linewidth=style.frame, visible=style.frame > 0, clip_on=False, zorder=5)
        self.axes.add_artist(self._frame)
        self._own: list[Artist] = []

    def show(self, view: View) -> None:
        """Set the axes and the boundary layers to a view."""
        self._set_limits(view)
        for layer in self._layers:
            layer.show(view)

    def say_no_data(self, values: Plane | None) -> None:
        """Write "no data" on a map of whose raster nothing is seen."""
        self._nothing.set_visible(values is not None and not np.isfinite(values).any())

    def let_draw(self, draw: Callable[[Any], object], view: View) -> str:
        """Have a function draw on the axes (a cartopy GeoAxes); return the title that it set on them, if any.

        The map keeps its place and its limits, whatever the function does to them.
        """
        before = {id(artist) for artist in self._standing()}
        try:
            with mpl.rc_context():
                draw(self.axes)
        finally:
            # Also of a function that failed: what it left on the figure must not be on the next map.
            self._own = [artist for artist in self._standing() if id(artist) not in before]
        self.axes.set_position(self._place)
        self._set_limits(view)
        canvas: Any = self._figure.canvas  # which has no types
        self.axes.patch.draw(canvas.get_renderer())  # sets the clip path, and shows nothing
        return self._taken_title()

    @property
    def artists(self) -> list[Artist]:
        """What is drawn over the raster, from below."""
        layers = [artist for layer in self._layers for artist in layer.artists]
        drawn = sorted([*layers, *self._own], key=lambda artist: artist.get_zorder())
        return [*drawn, self._nothing, self._frame]

    def remove(self) -> None:
        """Take the axes off the figure, with all that was added to it since."""
        self.axes.remove()
        for artist in self._own:
            if artist in self._figure.get_children():
                artist.remove()

    def _standing(self) -> list[Artist]:
        """Return what stands on the axes and beside them on the figure."""
        beside = [artist for artist in self._figure.get_children() if artist is not self.axes]
        return [*self.axes.get_children(), *beside]

    def _set_limits(self, view: View) -> None:
        extent = view.extent
        self.axes.set(xlim=(extent.west, extent.east), ylim=(extent.south, extent.north))

    def _taken_title(self) -> str:
        """Return the axes' title and clear it: it would stand over the picture's own."""
        title = ""
        for place in ("left", "right", "center"):
            title = self.axes.get_title(loc=place) or title
            self.axes.set_title("", loc=place)
        return title
