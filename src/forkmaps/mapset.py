"""A map set: the TOML file that says what to draw, and the one place that knows its keys.

    [raster]        path, bands, name, unit, crs, scale, offset, variable, resampling, allow_references
    [[boundaries]]  path, name, where, layer, crs, linewidth, color, fill, order
    [projection]    cartopy = "LambertConformal" (and its arguments), or epsg = 5070, or proj = "+proj=..."
    [regions]       path, crs; for a polygon layer also name, title, where, sort, margin, min_size, layer
    [style]         all of `forkmaps.style.Style`
    [output]        folder, file, format

Paths are relative to the file. Unknown keys are refused, all mistakes are reported at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pyproj
from pydantic import ConfigDict, Field, ValidationError, model_validator

from forkmaps.cache import AnyCache, Cache
from forkmaps.errors import ForkmapsError, MapSetError
from forkmaps.plan import FORMATS, Format, Plan, file_template, plan_maps
from forkmaps.projection import (
    MapProjection,
    fitted_projection,
    projection_from_cartopy,
    projection_from_text,
)
from forkmaps.raster import Resampling
from forkmaps.regions import Region, read_regions
from forkmaps.shared import ONLY_RASTER, Boundary, RasterRecipe, Recipe, SharedData
from forkmaps.style import Line, Style
from forkmaps.style.options import Listed, Options, explain

BandChoice = int | str
"""A band's number (from 1), its name, or its valid time (ISO 8601, UTC)."""


class RasterOptions(Options):
    """`[raster]`: see `forkmaps.raster.file.read_raster`."""

    path: str
    bands: Literal["all"] | Listed[tuple[BandChoice, ...]] = "all"
    name: str | None = None
    unit: str | None = None
    crs: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    variable: str | None = None
    resampling: Resampling | None = None
    allow_references: bool = False


class BoundaryOptions(Line):
    """`[[boundaries]]`: a layer and how it is drawn. Layers of higher `order` are drawn later."""

    path: str
    name: str = ""
    where: str | None = None
    layer: str | None = None
    crs: str | None = None
    order: int = 0

    @property
    def key(self) -> str:
        """The name the layer goes by: its own, or its file's."""
        return self.name or Path(self.path).stem

    @property
    def line(self) -> Line:
        """How the layer is drawn."""
        return Line(**{field: getattr(self, field) for field in Line.model_fields})


class ProjectionOptions(Options):
    """`[projection]`: one of `cartopy` (a class name; other keys are its arguments), `epsg`, `proj`."""

    model_config = ConfigDict(extra="allow")

    cartopy: str | None = None
    epsg: int | None = None
    proj: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [key for key in ("cartopy", "epsg", "proj") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"one of cartopy, epsg, proj is needed, not {' and '.join(given) or 'none'}")
        if self.model_extra and self.cartopy is None:
            raise ValueError(f"{', '.join(self.model_extra)}: only a cartopy projection takes arguments")
        return self

    def projection(self) -> MapProjection:
        """Return the projection."""
        if self.cartopy is not None:
            arguments = {
                k: tuple(v) if isinstance(v, list) else v for k, v in (self.model_extra or {}).items()
            }
            return projection_from_cartopy(self.cartopy, arguments)
        return projection_from_text(f"EPSG:{self.epsg}" if self.epsg is not None else str(self.proj))


class RegionOptions(Options):
    """`[regions]`: see `forkmaps.regions.read_regions`."""

    path: str
    crs: str | None = None
    name: str | None = None
    title: str | None = None
    where: str | None = None
    sort: str | None = None
    margin: str | None = None
    min_size: str | None = None
    layer: str | None = None


class OutputOptions(Options):
    """`[output]`: a folder, and a template of the files' names in it."""

    folder: str = "out"
    file: str = "{region.name}.png"
    format: Format | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        suffix = Path(self.file).suffix.lower().lstrip(".")
        if suffix in FORMATS and self.format not in (None, suffix):
            raise ValueError(f'file "{self.file}" and format "{self.format}" don\'t agree; leave out format')
        try:
            file_template(self.template)
        except ForkmapsError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def template(self) -> str:
        """Template of the files' names, with their suffix."""
        has_suffix = Path(self.file).suffix.lower().lstrip(".") in FORMATS
        return self.file if has_suffix or self.format is None else f"{self.file}.{self.format}"


class MapSetOptions(Options):
    """The whole file."""

    raises: ClassVar[type[ForkmapsError]] = MapSetError

    raster: RasterOptions
    boundaries: Listed[tuple[BoundaryOptions, ...]] = ()
    projection: ProjectionOptions | None = None
    regions: RegionOptions
    style: Style = Field(default_factory=Style)
    output: OutputOptions = Field(default_factory=OutputOptions)

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        keys = [boundary.key for boundary in self.boundaries]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(
                f"boundaries: the name {', '.join(twice)} is there twice; give each its own name"
            )
        return self


@dataclass(frozen=True, slots=True)
class MapSet:
    """A map set that was read from a file.

    Attributes
    ----------
    path : Path
        The file; its options' paths are relative to its folder.
    options : MapSetOptions
        What it says.
    """

    path: Path
    options: MapSetOptions

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """The folder that the pictures go to."""
        return self.resolve(self.options.output.folder)

    @property
    def style(self) -> Style:
        """How the maps look."""
        return self.options.style

    @property
    def lines(self) -> dict[str, Line]:
        """How each boundary layer is drawn, in drawing order."""
        layers = sorted(self.options.boundaries, key=lambda boundary: boundary.order)
        return {boundary.key: boundary.line for boundary in layers}

    def with_bands(self, bands: Sequence[BandChoice]) -> Self:
        """Return this map set with other bands."""
        raster = self.options.raster.model_copy(update={"bands": tuple(bands)})
        return replace(self, options=self.options.model_copy(update={"raster": raster}))

    def resolve(self, path: str) -> Path:
        """Return a path of the file's, relative to the file's folder."""
        return self.path.parent / Path(path).expanduser()

    def load(self, cache: AnyCache | None = None) -> tuple[SharedData, tuple[Region, ...]]:
        """Read everything once: the shared data, which becomes the process's own, and the regions.

        Parameters
        ----------
        cache : Cache or NoCache
            Where prepared boundaries are kept for later runs; default: the user's cache folder.

        Raises
        ------
        ForkmapsError
            Something can't be read or doesn't fit; the message says what to do.
        """
        cache = cache or Cache()
        raster = self._raster.read(cache)
        projection = self._projection(raster.crs)
        shared = SharedData.load(self._recipe(projection), raster=raster, cache=cache)
        return shared, self._regions(str(projection.crs.to_wkt()))

    def plan(
        self, shared: SharedData, regions: Sequence[Region], *, folder: str | Path | None = None
    ) -> Plan:
        """Plan the set's pictures, in its own folder or another; see `forkmaps.plan.plan_maps`."""
        return plan_maps(
            shared,
            regions,
            folder=self.folder if folder is None else folder,
            style=self.style,
            lines=self.lines,
            file=self.options.output.template,
            name=self.name,
        )

    @property
    def _raster(self) -> RasterRecipe:
        given = self.options.raster.model_dump()
        return RasterRecipe(**{**given, "path": str(self.resolve(self.options.raster.path))})

    def _recipe(self, projection: MapProjection) -> Recipe:
        boundaries = {
            boundary.key: Boundary(
                str(self.resolve(boundary.path)),
                crs=boundary.crs,
                where=boundary.where,
                layer=boundary.layer,
                filled=boundary.fill != "none",
            )
            for boundary in self.options.boundaries
        }
        return Recipe(rasters={ONLY_RASTER: self._raster}, boundaries=boundaries, projection=projection)

    def _projection(self, raster_crs: pyproj.CRS) -> MapProjection:
        """Return the projection asked for, else the raster's own, else one fitted to the regions."""
        if self.options.projection is not None:
            try:
                return self.options.projection.projection()
            except ForkmapsError as error:
                raise type(error)(f"{self.path}: {error}") from error
        if raster_crs.is_projected:
            return projection_from_text(raster_crs.to_wkt())
        return fitted_projection(self._regions(None))

    def _regions(self, target_crs: str | None) -> tuple[Region, ...]:
        options = self.options.regions.model_dump()
        path = self.resolve(options.pop("path"))
        return read_regions(path, target_crs=target_crs, **options)


def read_mapset(path: str | Path) -> MapSet:
    """Read a map set file and check it; nothing that it names is opened yet.

    Raises
    ------
    MapSetError
        The file is missing, not TOML, or has unknown keys or unfit values: all of them, one a line.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise MapSetError(f"{path}: there is no such map set file{_sets_nearby(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MapSetError(f"{path}: can't be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise MapSetError(f"{path}: is not TOML: {error}") from error
    try:
        return MapSet(path, MapSetOptions.model_validate(content))
    except ValidationError as error:
        raise MapSetError("\n".join(f"{path}: {line}" for line in explain(error))) from error


def _sets_nearby(path: Path) -> str:
    found: Sequence[Any] = sorted(path.parent.glob("*.toml")) if path.parent.is_dir() else ()
    return f"; in {path.parent} there are {', '.join(p.name for p in found[:8])}" if found else ""
