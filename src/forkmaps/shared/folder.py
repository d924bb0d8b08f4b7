"""A `SharedData` as a file of plain arrays in a folder: mapped read-only, so that processes share one copy.

All of it is there, as it was drawn from: pictures from an opened one are equal byte for byte. The file
appears whole or not at all, and nothing in it is ever run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from forkmaps.cache.checksums import Array
from forkmaps.cache.store import Stored, open_store, write_store
from forkmaps.errors import ProjectionError, RasterError, StoreError
from forkmaps.features import BoundaryFeature
from forkmaps.output import make_folders, sweep_stale
from forkmaps.projection import MapProjection
from forkmaps.projection.stored import projection_from_json, projection_to_json
from forkmaps.raster import Raster

FILE: Final = "shared.forkmaps"
"""The file's name in its folder."""

VERSION: Final = 1
"""Of what the file's arrays and texts mean; raise it when that changes."""

_KIND: Final = "forkmaps shared data"


@dataclass(frozen=True, slots=True)
class Place:
    """Where shared data was opened: the folder, and the digest that tells this content from another's."""

    folder: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Content:
    """What shared data consists of."""

    rasters: Mapping[str, Raster]
    features: Mapping[str, BoundaryFeature]
    projection: MapProjection


def write_folder(content: Content, folder: Path) -> None:
    """Write everything to a folder, which is made; what was saved there before is replaced.

    Raises
    ------
    OutputError
        The folder or the file can't be written.
    ProjectionError
        The projection is of a class that can't be stored.
    """
    folder = folder.absolute()
    arrays: dict[str, Array] = {}
    rasters = [_store(raster, f"raster.{n}", arrays) for n, raster in enumerate(content.rasters.values())]
    features = [
        _store(feature, f"feature.{n}", arrays) for n, feature in enumerate(content.features.values())
    ]
    meta = {
        "kind": _KIND,
        "version": VERSION,
        "projection": projection_to_json(content.projection),
        "rasters": dict(zip(content.rasters, rasters, strict=True)),
        "features": dict(zip(content.features, features, strict=True)),
    }
    path = folder / FILE
    make_folders([path])
    sweep_stale(folder)
    write_store(path, arrays, meta)


def read_folder(folder: Path, *, verify: bool) -> tuple[Content, Place]:
    """Map what was saved in a folder; with `verify` all arrays are compared with their checksums.

    Raises
    ------
    StoreError
        There is nothing, or what is there is damaged, or of another version.
    """
    path = folder.absolute() / FILE
    if not path.is_file():
        raise StoreError(f"{folder}: no shared data was saved there; make it with SharedData.save")
    stored = open_store(path, verify=verify)
    _check_kind(stored)
    try:
        return _content(stored), Place(path.parent, stored.digest)
    except (KeyError, TypeError, ValueError, AttributeError, RasterError, ProjectionError) as error:
        raise StoreError(f"{path}: holds no shared data that can be used ({error}); save it anew") from error


def _check_kind(stored: Stored) -> None:
    kind, version = stored.meta.get("kind"), stored.meta.get("version")
    if kind != _KIND:
        raise StoreError(f"{stored.path}: holds no shared data; check the path")
    if version != VERSION:
        raise StoreError(
            f"{stored.path}: is version {version} of saved data, this forkmaps reads {VERSION}; save it anew"
        )


def _store(part: Raster | BoundaryFeature, prefix: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """Add a part's arrays under a prefix; return what else it consists of."""
    own, meta = part.to_stored()
    arrays.update({f"{prefix}.{name}": array for name, array in own.items()})
    return meta


def _content(stored: Stored) -> Content:
    projection = projection_from_json(stored.meta["projection"])
    rasters, features = stored.meta["rasters"], stored.meta["features"]
    return Content(
        {
            name: Raster.from_stored(_arrays(stored, f"raster.{n}."), meta)
            for n, (name, meta) in enumerate(rasters.items())
        },
        {
            name: BoundaryFeature.from_stored(_arrays(stored, f"feature.{n}."), meta, projection)
            for n, (name, meta) in enumerate(features.items())
        },
        projection,
    )


def _arrays(stored: Stored, prefix: str) -> dict[str, Array]:
    return {
        name.removeprefix(prefix): array for name, array in stored.arrays.items() if name.startswith(prefix)
    }


def same_place(place: Place) -> Content:
    """Open a place again, as another process does.

    Raises
    ------
    StoreError
        Other data was saved there meanwhile.
    """
    content, found = read_folder(place.folder, verify=False)
    if found != place:
        raise StoreError(f"{place.folder}: other data was saved there meanwhile; open it again")
    return content
