"""Why a file can't be written, and what to do about it, as an error for the user."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from forkmaps.errors import DiskFullError, OutputError

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REMEDIES: Final = {
    errno.ENOSPC: "free space there and run again",
    errno.EDQUOT: "free space in your quota and run again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f) and run again",
    errno.EACCES: "make the folder writable for this user, or choose another",
    errno.EPERM: "make the folder writable for this user, or choose another",
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.ENOENT: "the folder is gone; don't remove it during a run",
    errno.ENOTDIR: "a file stands where a folder should be; move it, or choose another folder",
    errno.EEXIST: "a file stands where a folder should be; move it, or choose another folder",
    errno.EISDIR: "a folder stands where the file should be; move it, or change the file name template",
    errno.ELOOP: "a link stands in its place, or leads to itself; remove it",
    errno.ENAMETOOLONG: "shorten the file name template",
}
_OTHER_REMEDY: Final = "look at the disk, or choose another folder"


def refusal(path: Path, error: OSError) -> OutputError:
    """Return the error to raise for one of the system's: a `DiskFullError` where there is no room."""
    code = error.errno or 0
    kind = DiskFullError if code in _NO_ROOM else OutputError
    cause = error.strerror or str(error)
    return kind(f"{path}: can't be written: {cause}; {_REMEDIES.get(code, _OTHER_REMEDY)}")
