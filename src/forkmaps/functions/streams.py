"""Random numbers: a stream for each item, the same whoever does the item, when, and how often."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Streams:
    """The streams of random numbers that belong to a seed.

    Parameters
    ----------
    seed
        Any whole number not below 0; None: one that nobody knows.

    Attributes
    ----------
    entropy
        What all streams are made from.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.entropy = np.random.SeedSequence(seed).entropy

    def of(self, index: int) -> np.random.SeedSequence:
        """Return the seed of an item: what `SeedSequence(seed).spawn(n)[index]` is."""
        return np.random.SeedSequence(self.entropy, spawn_key=(index,))


@contextmanager
def own_state(seed: np.random.SeedSequence) -> Iterator[None]:
    """Have a process's own generators (`random`, `numpy.random`) draw from a stream in the block.

    Afterwards they go on where they stood: with 0 workers they are the user's.
    """
    before = random.getstate(), np.random.get_state()
    for_python, for_numpy = seed.spawn(2)
    random.seed(for_python.generate_state(8).tobytes())
    np.random.seed(for_numpy.generate_state(8))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
