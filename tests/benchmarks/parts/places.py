"""Where the benchmark's files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class BenchData:
    """The benchmark's data; `ten_times` is `map_set` with a raster of ten times the cells."""

    folder: Path

    @property
    def map_set(self) -> Path:
        return self.folder / "bench.toml"

    @property
    def ten_times(self) -> Path:
        return self.folder / "bench-ten-times.toml"

    @property
    def edition(self) -> Path:
        return self.folder / "edition.txt"

    @property
    def scratch(self) -> Path:
        """For what the parts write."""
        return self.folder.parent / "scratch"
