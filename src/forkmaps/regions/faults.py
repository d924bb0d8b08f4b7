"""What is wrong with regions, in words: all faults of a file at once, and the nearest of the known names."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from forkmaps.errors import RegionError

_SHOWN_FAULTS = 20  # a wrong separator would otherwise print the whole file


class FaultList:
    """The bad lines (or features) of one file, to be reported all at once."""

    def __init__(self, path: str | Path, link: str) -> None:
        self._prefix = f"{path}{link}"
        self._faults: list[tuple[int, str]] = []

    def add(self, number: int, fault: object, name: str = "") -> None:
        """Note what is wrong with line or feature `number`, which belongs to region `name` if known."""
        self._faults.append((number, f"{quoted(name)}: {fault}" if name else str(fault)))

    def raise_any(self) -> None:
        """Raise a RegionError with a line for each of the first 20 faults, if there are any."""
        shown = [f"{self._prefix}{number}: {text}" for number, text in sorted(self._faults)[:_SHOWN_FAULTS]]
        if more := len(self._faults) - len(shown):
            shown.append(f"... and {more} more like these")
        refuse(shown, "\n")


def refuse(faults: Iterable[str], joint: str = "; ") -> None:
    """Raise a RegionError of these faults, if there are any."""
    if text := joint.join(faults):
        raise RegionError(text)


def name_key(name: str) -> str:
    """Give what two names have in common that differ only by case or Unicode composition."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", name.casefold())


def alternatives(name: str, known: Iterable[str]) -> str:
    """Say which of the known names are nearest to `name`, and what there is if that is not too much."""
    keys = {name_key(each): each for each in known}
    near = [quoted(keys[key]) for key in difflib.get_close_matches(name_key(name), keys)]
    listed = ", ".join(list(keys.values())[:_SHOWN_FAULTS]) + (", ..." if len(keys) > _SHOWN_FAULTS else "")
    clauses = [f"nearest: {', '.join(near)}"] if near else []
    if len(keys) <= _SHOWN_FAULTS or not near:
        clauses.append(f"there are: {listed or 'none'}")
    return "; ".join(clauses)


def quoted(text: str) -> str:
    """Put a text from a file into a message: in quotes, at most 60 characters, control characters escaped."""
    text = text if len(text) <= 60 else text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + '"'
