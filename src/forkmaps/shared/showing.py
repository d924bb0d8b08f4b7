"""How shared data shows itself: in lines, and in notebooks as tables with small pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forkmaps.html import Markup, block, facts, table
from forkmaps.raster.showing import facts_of, one_line, picture

if TYPE_CHECKING:
    from forkmaps.features import BoundaryFeature
    from forkmaps.shared.data import SharedData


def as_text(shared: SharedData) -> str:
    """Return a line for all of it, and one for each raster and boundary layer."""
    return (
        "\n".join(
            [
                f"<SharedData of {_megabytes(shared)} in {shared.projection.label}",
                *(f"  raster {name!r}: {one_line(raster)}" for name, raster in shared.rasters.items()),
                *(
                    f"  boundary {name!r}: {layer.vertices:,} vertices"
                    for name, layer in shared.features.items()
                ),
            ]
        )
        + ">"
    )


def as_html(shared: SharedData, opened_from: Path | None) -> Markup:
    """Return tables of it, with a small picture of each raster."""
    rows = [(name, *_row(layer)) for name, layer in shared.features.items()]
    return block(
        f"SharedData of {_megabytes(shared)}",
        facts({"projection": shared.projection.label, "opened from": opened_from}),
        *(
            block(f'Raster "{name}"', facts(facts_of(raster)), picture(raster, shared.projection))
            for name, raster in shared.rasters.items()
        ),
        table(("boundary", "vertices", "areas", "memory"), rows, total=len(rows)),
    )


def _row(layer: BoundaryFeature) -> tuple[str, str, str]:
    return f"{layer.vertices:,}", "yes" if layer.filled else "no", _megabytes(layer)


def _megabytes(part: SharedData | BoundaryFeature) -> str:
    return f"{part.nbytes / 1e6:.1f} MB"
