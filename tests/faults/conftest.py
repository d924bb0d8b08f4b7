"""The command in this process: on sets that must be refused before anything is forked, and on odd ones."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from forkmaps.cli import main
from forkmaps.mapset import read_mapset
from forkmaps.style.layout import Layout
from plain import inner


@pytest.fixture
def command(monkeypatch, capfd):
    """A function that runs the command in this process; returns exit code, output and messages."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def command(*arguments):
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def refused(command, monkeypatch):
    """A function that renders a set that must be refused; returns the message."""

    def forbidden(*_):
        raise AssertionError("forked before the input was checked")

    def refused(path, *arguments):
        monkeypatch.setattr(os, "fork", forbidden)
        before = sorted(path.parent.rglob("*"))
        code, shown, told = command("render", path, "--no-cache", *arguments)
        assert (code, shown) == (2, ""), told
        assert sorted(path.parent.rglob("*")) == before
        assert told.startswith("forkmaps: ")
        assert told.count("forkmaps: ") == 1
        assert "Traceback" not in told
        return told.removeprefix("forkmaps: ").rstrip("\n")

    return refused


@pytest.fixture
def drawn(command):
    """A function that renders a set without workers; returns its maps by region, inside their frames.

    Nothing is warned of but, once, what is expected.
    """

    def drawn(path, warning=None):
        code, _, told = command("render", path, "--no-cache", "--workers", "0")
        assert code == 0, told
        warned = [line for line in told.splitlines() if "warning" in line.lower()]
        assert len(warned) == (warning is not None), told
        assert not warned or warning in warned[0]
        layout = Layout.of(read_mapset(path).options.style)
        pictures = (path.parent / "out").rglob("*.png")
        return {picture.stem: inner(np.asarray(Image.open(picture)), layout) for picture in pictures}

    return drawn
