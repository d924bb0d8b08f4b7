"""A projection in words, and as the option of a map set's file that makes it."""

from __future__ import annotations

import warnings

import cartopy.crs as ccrs

_NO_NAMES = ("", "unknown", "unnamed")


def name_of(crs: ccrs.Projection) -> str:
    """Return what a projection is called, "" where it has no name."""
    name = str(crs.name)
    return "" if name.lower() in _NO_NAMES else name


def proj_text(crs: ccrs.Projection) -> str:
    """Return a projection's PROJ parameters."""
    text = str(crs.proj4_init)
    if not text.startswith("+"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that WKT can say more than they
            text = str(crs.to_proj4())
    return text.removesuffix(" +type=crs")


def as_option(crs: ccrs.Projection) -> str:
    """Return what makes a projection, as it stands in `[projection]` of a map set's file."""
    if isinstance(crs, ccrs.PlateCarree):
        longitude = float(crs.proj4_params.get("pm", 0.0))
        return f'cartopy = "PlateCarree"{f", central_longitude = {longitude:g}" if longitude else ""}'
    code = crs.to_epsg()
    return f"epsg = {code}" if code is not None else f'proj = "{proj_text(crs)}"'
