"""The bands of a raster: what is known of each, and which ones are meant by number, name or time."""

from __future__ import annotations

from collections.abc import Sequence

from forkmaps.errors import RasterError, nearest
from forkmaps.raster import Band

_SHOWN = 20
"""Of so many bands a message tells."""
_TIME_FORMS = ("%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def choose_bands(bands: Sequence[Band], chosen: Sequence[int | str], source: str) -> tuple[Band, ...]:
    """Return the bands that are meant by number (from 1), by name, or by valid time (ISO 8601, UTC).

    A name or a day that several bands have takes them all. The order is the one asked for.

    Raises
    ------
    RasterError
        There is no such band.
    """
    labels = {band: _labels(band) for band in bands}
    found: list[Band] = []
    for wanted in chosen:
        hits = [band for band in bands if str(wanted).strip().lower() in labels[band]]
        if not hits:
            known = [label for names in labels.values() for label in names]
            raise RasterError(
                f'{source}: has no band "{wanted}"{nearest(str(wanted), known)}; it has {_listed(bands)}'
            )
        found += [band for band in hits if band not in found]
    return tuple(found)


def _labels(band: Band) -> list[str]:
    labels = [str(band.number), band.name.lower()]
    if band.valid_time is not None:
        labels += [band.valid_time.strftime(form).lower() for form in _TIME_FORMS]
        labels.append(band.valid_time.isoformat().lower())
    return labels


def _listed(bands: Sequence[Band]) -> str:
    more = " ..." if len(bands) > _SHOWN else ""
    return ", ".join(_shown(band) for band in bands[:_SHOWN]) + more


def _shown(band: Band) -> str:
    time = f"{band.valid_time:%Y-%m-%dT%H:%MZ}" if band.valid_time is not None else ""
    return " ".join(part for part in (str(band.number), band.name, time) if part)
