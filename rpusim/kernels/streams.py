"""Who draws what: keys for the counter-based generator, from one seed.

A tile holds one `Streams`. Each purpose (fabricating devices, reading forward, ...) has its own
key, and a counter of its own that says how often the tile has done that; both are saved with the
tile, so that a restored run continues with the draws that the interrupted one would have made.
"""

import contextlib

import numpy as np

from rpusim.errors import ConfigError, StateError

__all__ = ["Purpose", "Streams"]

MASK = 0xFFFFFFFF
PURPOSES = 16
PARTS = 1000  # numbers of parts, in paths, begin here: above all purposes


class Purpose:
    """What a draw is for; the numbers are part of the stream, so they never change meaning."""

    FABRICATE = 0
    INITIALISE = 1
    FORWARD = 2
    BACKWARD = 3
    TRAIN_X = 4
    TRAIN_D = 5
    TRANSFER = 7
    UPDATE_BATCH = 6
    UPDATE_PULSE = 8
    WRITE = 9
    MODIFY = 10
    DIFFUSION = 11
    DRIFT = 12
    RESET = 13
    READ = 14
    PROGRAM = 15


class Streams:
    """Keys and step counters of one tile.

    Parameters
    ----------
    rng : None, int, numpy.random.SeedSequence or numpy.random.Generator
        Where the seed comes from; None draws one from the operating system.
    path : tuple of int
        Distinguishes parts of one object that share its seed (the tiles of a grid, say).

    Attributes
    ----------
    seed : int
        ``Streams(seed)`` repeats this one exactly.
    """

    def __init__(self, rng=None, path=()):
        self.seed = _seed(rng)
        self.path = tuple(path)
        self.fabrication = self
        self._shared = {}
        self.steps = np.zeros(PURPOSES, np.int64)
        self._keys = {}

    @property
    def shared(self):
        """The purposes for which this draws what the object that it is a part of would."""
        return tuple(self._shared)

    def child(self, index, shared=(), construction_seed=0):
        """Return the streams of a part of this object, distinct from its own and its siblings'.

        Parameters
        ----------
        index : int
            Number of the part.
        shared : tuple of int
            Purposes for which the part draws what this object would: the trains, say, that several
            devices receive together.
        construction_seed : int
            > 0: the part's devices come from this seed.
        """
        part = Streams(self.seed, (*self.path, PARTS + index))
        part._shared = dict.fromkeys(shared, self)
        if construction_seed > 0:
            part.fabrication = Streams(construction_seed, (PARTS + index,))
        elif self.fabrication is not self:
            part.fabrication = self.fabrication.child(index)
        return part

    def key(self, purpose):
        """Return the two 32-bit words under which a purpose draws."""
        if purpose in self._shared:
            return self._shared[purpose].key(purpose)
        if purpose not in self._keys:
            tree = np.random.SeedSequence(self.seed, spawn_key=(*self.path, int(purpose)))
            self._keys[purpose] = tuple(int(w) for w in tree.generate_state(2, np.uint32))
        return self._keys[purpose]

    def keys(self, purposes, high=0):
        """Return the keys of some purposes as one array, `high` folded into each second word."""
        if (purposes, high) not in self._keys:
            words = [w for p in purposes for w in (self.key(p)[0], self.key(p)[1] ^ high)]
            self._keys[purposes, high] = np.array(words, np.int64)
        return self._keys[purposes, high]

    def peek(self, purpose):
        """Return the number of the next step."""
        return int(self.steps[purpose])

    def take(self, purpose, count=1):
        """Return the number of the next step and advance the counter by `count`."""
        step = int(self.steps[purpose])
        self.steps[purpose] = step + count
        return step

    def draw(self, purpose):
        """Return (step, k0, k1) for one step: its low word and a key that holds its high word."""
        return self.again(purpose, self.take(purpose))

    def again(self, purpose, step):
        """Return the same for a step that was drawn before."""
        k0, k1 = self.key(purpose)
        return step & MASK, k0, k1 ^ (step >> 32)

    @contextlib.contextmanager
    def seeded(self, rng):
        """Return a context in which draws come from another seed; then they go on as before."""
        before = self.state()
        self.restore(Streams(rng).state())
        try:
            yield
        finally:
            self.restore(before)

    def state(self):
        """Return the counters and the seed as plain arrays."""
        return {"rng_steps": self.steps.copy(), "rng_seed": seed_words(self.seed)}

    def restore(self, state):
        """Continue from what `state` returned."""
        steps = np.asarray(state["rng_steps"], np.int64)
        if steps.shape != self.steps.shape:
            raise StateError(
                f"rng_steps must have shape {self.steps.shape}, got {steps.shape}: "
                "the state was written by another version."
            )
        self.seed = seed_of(state["rng_seed"])
        self.steps = steps.copy()
        self._keys = {}


def seed_words(seed):
    """Return a seed as an array of 32-bit words, the lowest first."""
    return np.array([(seed >> shift) & MASK for shift in range(0, 128, 32)], np.uint32)


def seed_of(words):
    """Return the seed that `seed_words` took apart."""
    return sum(int(word) << (32 * i) for i, word in enumerate(words))


def _seed(rng):
    """Return a non-negative integer below 2**128 that stands for `rng`."""
    if isinstance(rng, np.random.Generator):
        return int.from_bytes(rng.bytes(16), "little")
    if rng is None:
        rng = np.random.SeedSequence()
    if isinstance(rng, np.random.SeedSequence):
        return int.from_bytes(rng.generate_state(4, np.uint32).tobytes(), "little")
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and 0 <= rng < 2**128:
        return int(rng)
    raise ConfigError(
        "rng must be None, an integer in 0..2**128-1, a SeedSequence or a numpy Generator, "
        f"got {rng!r}."
    )
