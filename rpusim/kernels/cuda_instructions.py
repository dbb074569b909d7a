"""What the functions of `team` and `primitives` become on a GPU, real or simulated."""

import threading

import numpy as np
from numba import cuda, float32, int64

from rpusim.kernels import team as teams
from rpusim.kernels.bind import compilers, ready
from rpusim.kernels.primitives import bits_float, float_bits, native, popcount
from rpusim.kernels.product import fma

__all__ = ["ROOM", "install"]

WARP, ALL = 32, 0xFFFFFFFF
# of shared memory, which reductions take as the launch gives it (size 0): an array of a fixed size
# would be defined twice in a kernel that reaches one of them in two ways, and not link
ROOM = 4 * WARP
ATOMIC = threading.Lock()


def install(simulated, team):
    """Let `bind` use these for the target "cuda"; `team` is the function that numbers a team."""
    if simulated:
        plain = {
            team: simulated_team,
            teams.member: simulated_member,
            teams.members: simulated_members,
            teams.meet: simulated_meet,
            teams.largest: simulated_largest,
            teams.total: simulated_total,
            teams.add_at: simulated_add_at,
            teams.set_bits: simulated_set_bits,
        }
        native.update({("cuda", stand_in): ready(plain[stand_in]) for stand_in in plain})
        return
    for stand_in, function in {
        team: block,
        teams.member: thread,
        teams.members: threads,
        teams.meet: barrier,
        teams.largest: block_largest,
        teams.total: block_total,
        teams.add_at: atomic_add,
        teams.set_bits: atomic_or,
        popcount: ones,
        float_bits: as_bits,
        bits_float: as_float,
        fma: fused,
    }.items():
        native["cuda", stand_in] = compilers["cuda"](function, False)


# ---------------------------------------------------------------- of a GPU


def block():
    return int64(cuda.blockIdx.x)


def thread():
    return int64(cuda.threadIdx.x)


def threads():
    return int64(cuda.blockDim.x)


def barrier():
    cuda.syncthreads()


def block_largest(v):
    room = cuda.shared.array(0, float32)
    for offset in (16, 8, 4, 2, 1):
        v = max(v, cuda.shfl_down_sync(ALL, v, offset))
    if cuda.threadIdx.x % WARP == 0:
        room[cuda.threadIdx.x // WARP] = v
    cuda.syncthreads()
    v = room[0]
    for warp in range(1, cuda.blockDim.x // WARP):
        v = max(v, room[warp])
    cuda.syncthreads()
    return v


def block_total(v):
    room = cuda.shared.array(0, float32)
    for offset in (16, 8, 4, 2, 1):
        v += cuda.shfl_down_sync(ALL, v, offset)
    if cuda.threadIdx.x % WARP == 0:
        room[cuda.threadIdx.x // WARP] = v
    cuda.syncthreads()
    v = room[0]
    for warp in range(1, cuda.blockDim.x // WARP):
        v += room[warp]
    cuda.syncthreads()
    return v


def atomic_add(array, i, j, v):
    cuda.atomic.add(array, (i, j), v)


def atomic_or(words, i, j, bits):
    cuda.atomic.or_(words, (i, j), bits)


def ones(word):
    return cuda.popc(word)


def as_bits(x):
    return cuda.libdevice.float_as_int(x)


def as_float(i):
    return cuda.libdevice.int_as_float(i)


def fused(a, b, c):
    return cuda.libdevice.fmaf_rn(a, b, c)


# ---------------------------------------------------------------- of the simulator


def simulated_team():
    return int(threading.current_thread().blockIdx.x)


def simulated_member():
    return int(threading.current_thread().threadIdx.x)


def simulated_members():
    return int(threading.current_thread()._manager._block_dim[0])


def simulated_meet():
    threading.current_thread().syncthreads()


def simulated_largest(v):
    return max(brought(v))


def simulated_total(v):
    total = np.float32(0.0)
    for part in brought(v):
        total = total + part
    return total


def brought(v):
    """Return what all members of a simulated team bring, in their order."""
    here = threading.current_thread()
    brought = here._manager.__dict__.setdefault("brought", {})  # at once: others do it, too
    brought[here.thread_id] = v
    here.syncthreads()
    parts = [brought[k] for k in sorted(brought)]
    here.syncthreads()
    return parts


def simulated_add_at(array, i, j, v):
    with ATOMIC:
        array[i, j] += v


def simulated_set_bits(words, i, j, bits):
    with ATOMIC:
        words[i, j] |= bits
