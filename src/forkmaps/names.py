"""Names of output files, which stay inside the folder and can be held by any file system.

File names come from templates. The template may write folders, a field's value never: every value goes
through `safe_name` first, and `check_outputs` then looks at all names of a run, before any file is written.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from forkmaps.errors import OutputError, first_of

MAX_VALUE_BYTES: Final = 120
"""Longest a field's value gets in a file name, in UTF-8; two of them and some text fit in MAX_NAME_BYTES."""

MAX_NAME_BYTES: Final = 255
"""Longest file or folder name that the common file systems take."""

MAX_LINES: Final = 20
"""Most wrong names that one error lists."""

_HASH_DIGITS: Final = 8
_OURS: Final = ".forkmaps"
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)  # Windows devices
_ILLEGAL: Final = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff<>:"|?*\\]|[. ](?=/|$)|(?<![^/])-')
_TELL_APART: Final = "add a field that tells them apart to the file name template"
_PUNCTUATION: Final = frozenset('/\\<>:"|?*$`%&;!')
_JOINERS: Final = frozenset("\u200c\u200d")  # without them Persian and Indic words are misspelt
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zs", "Zl", "Zp"})


def safe_name(value: str) -> str:
    """Turn a field's value into text that can stand in a file name on any system, and never makes a folder.

    Letters of all scripts stay, composed (NFC). Each run of white space, control characters, separators and
    what a shell or a file system takes for its own becomes "_"; so do leading dots and dashes and trailing
    dots. What is longer than MAX_VALUE_BYTES is cut, with a hash of the value at the end. Different values
    can give one name: `check_outputs` finds that.
    """
    marked = "".join("\0" if _is_unsafe(c) else c for c in unicodedata.normalize("NFC", value))
    name = re.sub(r"^[.\-\0]+|[.\0]+$|\0+", "_", marked) or "_"
    return _shortened(f"_{name}" if _RESERVED.match(name) else name, value)


def _is_unsafe(character: str) -> bool:
    if character in _JOINERS:
        return False
    return character in _PUNCTUATION or unicodedata.category(character) in _UNSAFE_CATEGORIES


def _shortened(name: str, value: str) -> str:
    if len(data := name.encode()) <= MAX_VALUE_BYTES:
        return name
    kept = data[: MAX_VALUE_BYTES - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{kept}-{_digest(value)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_HASH_DIGITS // 2).hexdigest()


def check_outputs(folder: Path, names: Sequence[str], *, jobs: Sequence[str]) -> tuple[Path, ...]:
    """Check the names of a run's files together, before any is written; return their paths.

    Parameters
    ----------
    folder
        The output folder; it need not exist yet.
    names
        Each file's path in it, with "/" between folder and file, as rendered from the template.
    jobs
        What each file shows, as the user knows it; named in the error.

    Raises
    ------
    OutputError
        If a file would lie outside the folder or has a name that some system can't hold, if two have one name
        (also where case and composition of letters don't count), or if one is a folder of another. One line
        for each, MAX_LINES at most.
    """
    if faults := [*_bad_names(names, jobs)] or [*_clashes(names, jobs), *_links_outside(folder, names)]:
        raise OutputError("\n".join(f"{folder}: {fault}" for fault in first_of(faults, MAX_LINES)))
    return tuple(folder / name for name in names)


def _bad_names(names: Sequence[str], jobs: Sequence[str]) -> Iterator[str]:
    for name, job in zip(names, jobs, strict=True):
        if fault := _fault(name):
            yield f"{job}: {name!r} {fault}"


def _fault(name: str) -> str | None:
    """Say what keeps a file name from being used, if anything does."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "isn't a path below the folder; correct the file name template"
    if bad := _ILLEGAL.search(name):
        return f"holds {bad[0]!r} where a file name can't; correct the file name template"
    if max(len(part.encode()) for part in parts) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes; shorten the file name template"
    if any(_RESERVED.match(part) or part.startswith(_OURS) for part in parts):
        return "is a reserved name; put a word before it in the file name template"
    return None


def _clashes(names: Sequence[str], jobs: Sequence[str]) -> Iterator[str]:
    """Say which files have one name, and which are a folder of another."""
    keys = [_folded(name) for name in names]
    first: dict[str, int] = {}
    for i, key in enumerate(keys):
        if (other := first.setdefault(key, i)) != i:
            yield f"{jobs[other]} and {jobs[i]} are both {names[i]!r}; {_TELL_APART}"
    for i, key in enumerate(keys):
        for above in map(str, PurePosixPath(key).parents):
            if above in first:
                other = first[above]
                yield f"{names[other]!r} of {jobs[other]} is a folder of {names[i]!r}; {_TELL_APART}"


def _folded(name: str) -> str:
    """Make equal what is equal where case and composition don't count (Unicode 3.13, definition 145)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _links_outside(folder: Path, names: Iterable[str]) -> Iterator[str]:
    root = Path(os.path.realpath(folder))
    for inner in sorted({str(PurePosixPath(name).parent) for name in names}):
        if not (real := Path(os.path.realpath(folder / inner))).is_relative_to(root):
            yield f"{inner!r} is a link that leads out to {real}; remove it, or choose another folder"
