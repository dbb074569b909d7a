"""Where work runs: the names of the backends, and the threads of the CPU.

Kernels release the GIL and take a range of rows, so plain Python threads share the work: no
threading layer, no second compilation, safe when the caller uses threads too, and nothing to pay
for below a threshold.
"""

import numbers
import os
from concurrent.futures import ThreadPoolExecutor

from rpusim.errors import BackendError, ConfigError

__all__ = ["BACKENDS", "check_backend", "get_num_threads", "set_num_threads", "split"]

BACKENDS = ("cpu", "cuda", "python")

#: Below this much work per thread, in nanoseconds on one core, handing it over costs more than it
#: saves.
WORTH_A_THREAD = 150_000

_pool = None
_threads = None


def check_backend(backend):
    """Return `backend` if it can be used here, else raise `BackendError`."""
    if backend not in BACKENDS:
        raise BackendError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}.")
    if backend == "cuda":
        try:
            from rpusim.kernels import cuda  # only who asks for a GPU pays for its packages
        except ImportError as error:
            raise BackendError(
                f'backend="cuda" needs numba-cuda and cupy: pip install "rpusim[cuda]" ({error}).'
            ) from error
        cuda.check()
    return backend


def get_num_threads():
    """Return how many threads a large operation may use.

    By default as many as this process has cores, or what the environment variable
    RPUSIM_NUM_THREADS says.
    """
    global _threads
    if _threads is None:
        text = os.environ.get("RPUSIM_NUM_THREADS", "")
        if text and not (text.isdigit() and int(text) > 0):
            raise ConfigError(f"RPUSIM_NUM_THREADS must be a positive integer, got {text!r}.")
        _threads = int(text) if text else _cores()
    return _threads


def set_num_threads(count):
    """Let large operations use up to `count` threads; results do not depend on it.

    Parameters
    ----------
    count : int
        At least 1.
    """
    global _threads, _pool
    if isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < 1:
        raise ConfigError(f"set_num_threads: count must be a positive integer, got {count!r}.")
    _threads, _pool = int(count), None


def split(function, count, work, *args):
    """Call ``function(first, last, *args)`` over ranges that cover 0..`count`.

    Parameters
    ----------
    function : callable
        A kernel that releases the GIL and whose ranges are independent.
    count : int
        Number of rows.
    work : float
        Estimated nanoseconds of all of it on one core.
    *args
        Passed on.

    Returns
    -------
    int
        The largest of what the calls returned.
    """
    global _pool
    if work < 2 * WORTH_A_THREAD or hasattr(function, "is_launch"):
        return function(0, count, *args)
    threads = min(get_num_threads(), count, int(work / WORTH_A_THREAD))
    if threads <= 1:
        return function(0, count, *args)
    if _pool is None:
        _pool = ThreadPoolExecutor(get_num_threads(), thread_name_prefix="rpusim")
    cuts = [count * t // threads for t in range(threads + 1)]
    jobs = [_pool.submit(function, cuts[t], cuts[t + 1], *args) for t in range(1, threads)]
    results = [function(cuts[0], cuts[1], *args)]
    return max(results + [job.result() for job in jobs])


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
