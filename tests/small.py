"""A small map set for tests: 20 x 30 cells over the Great Plains, a square boundary, two regions."""

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.transform import from_bounds

SET = """
[raster]
path = "raster.tif"
name = "Height"
unit = "m"

[[boundaries]]
name = "square"
path = "square.gpkg"
linewidth = 1.0

[projection]
cartopy = "LambertConformal"
central_longitude = -100.0

[regions]
path = "regions.csv"

[style]
width = 4.0
height = 3.0
dpi = 60
title = "{region.title}"

[output]
folder = "out"
file = "{region.name}.png"
"""

SQUARE = shapely.box(-103, 37, -97, 45)

REGIONS = "name,west,east,south,north,title\nnorth,-104,-96,42,46,The north\nsouth,-104,-96,36,40,The south\n"


def make_set(folder, text=SET, regions=REGIONS, bands=1):
    """Write the set into a folder; return the path of its TOML file."""
    folder.mkdir(parents=True, exist_ok=True)
    make_raster(folder / "raster.tif", bands=bands)
    make_layer(folder / "square.gpkg", [SQUARE])
    (folder / "regions.csv").write_text(regions)
    path = folder / "set.toml"
    path.write_text(text)
    return path


def make_raster(path, bands=1, crs="EPSG:4326", bounds=(-110, 30, -90, 50), **options):
    """Write a GeoTIFF of 20 rows by 30 columns; a band's values rise by 1 per cell, from its number."""
    values = np.arange(600, dtype=np.float32).reshape(20, 30)
    profile = {"driver": "GTiff", "width": 30, "height": 20, "count": bands, "dtype": "float32", "crs": crs}
    with rasterio.open(path, "w", transform=from_bounds(*bounds, 30, 20), **profile, **options) as file:
        for band in range(1, bands + 1):
            file.write(values + band, band)
            file.set_band_description(band, f"hour {band}")
            file.update_tags(band, valid_time=f"2026-01-0{band}T06:00")


def make_layer(path, shapes, crs="EPSG:4326"):
    """Write a layer of shapes, each with its number as "name"."""
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(shapes, object), flavor="iso"),
        field_data=[np.array([f"shape {i}" for i in range(len(shapes))], object)],
        fields=np.array(["name"], object),
        geometry_type="Unknown" if path.suffix != ".shp" else "Polygon",
        crs=crs,
    )
