"""A raster as an xarray.DataArray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forkmaps.raster.affinegrid import AffineGrid

if TYPE_CHECKING:
    import xarray

    from forkmaps.raster import Raster


def to_xarray(raster: Raster) -> xarray.DataArray:
    """Return a raster's values as a DataArray (band, y, x) on the same read-only memory, CRS in `rio.crs`."""
    import rioxarray  # noqa: F401  (the .rio accessor)
    import xarray

    coords: dict[str, Any] = {"band": [band.number for band in raster.bands], **_coordinates(raster)}
    dims, name = ("band", "y", "x"), raster.name or None
    array = xarray.DataArray(raster.values, dims=dims, coords=coords, name=name)
    array.attrs.update({"units": raster.unit, "long_name": raster.name})
    array.rio.write_crs(raster.crs_text, inplace=True)
    if isinstance(raster.grid, AffineGrid):
        array.rio.write_transform(raster.grid.transform, inplace=True)
    return array


def _coordinates(raster: Raster) -> dict[str, Any]:
    if raster.is_rectilinear:
        return {"y": raster.y, "x": raster.x}
    if isinstance(raster.grid, AffineGrid):
        return {}
    names = ("lon", "lat") if raster.crs.is_geographic else ("x_of_cell", "y_of_cell")
    return {name: (("y", "x"), c) for name, c in zip(names, raster.cell_centers(), strict=True)}
