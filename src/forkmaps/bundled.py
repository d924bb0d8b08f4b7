"""Where the bundled data and map sets are: in the checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def bundled_regions() -> Path:
    """Return the folder of the bundled map sets; the data they name lies beside it."""
    installed = _PACKAGE / "bundled" / "regions"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "regions"


def is_installed(path: Path) -> bool:
    """Whether a file belongs to the installed package, where nothing should be written."""
    return path.resolve().is_relative_to((_PACKAGE / "bundled").resolve())
