"""The few operations on bits that every target spells differently.

Bodies call the plain functions below; `bind` puts the target's own instruction in their place.
"""

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.extending import intrinsic

__all__ = ["popcount", "compress", "float_bits", "bits_float", "real", "native"]


def popcount(word):
    """Return the number of set bits of a non-negative 64-bit integer."""
    return int(word).bit_count()


def compress(bits, mask):
    """Return the bits that stand where `mask` has ones, moved together at the low end (pext)."""
    packed, place = 0, 1
    while mask != 0:
        low = mask & -mask
        if bits & low != 0:
            packed |= place
        place <<= 1
        mask ^= low
    return packed


def float_bits(x):
    """Return the 32 bits of a float32 as an int32."""
    return np.float32(x).view(np.int32)


def bits_float(i):
    """Return the float32 that has the 32 bits of an int32."""
    return np.int32(i).view(np.float32)


def real(i):
    """Return a 32-bit integer as a float of the precision that the target computes in."""
    return np.float32(i)


def _real_double(i):
    return np.float64(i)


@intrinsic
def _popcount_cpu(typingctx, word):
    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen


@intrinsic
def _compress_x86(typingctx, bits, mask):
    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64)] * 2)
        pext = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.bmi.pext.64")
        return builder.call(pext, args)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _float_bits_cpu(typingctx, x):
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic
def _bits_float_cpu(typingctx, i):
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


#: (target, plain function) -> what that target calls instead
native = {
    ("cpu", popcount): _popcount_cpu,
    ("cpu", float_bits): _float_bits_cpu,
    ("cpu", bits_float): _bits_float_cpu,
    ("double", real): _real_double,
    ("exact", real): _real_double,
}
_for_this_cpu = not (config.CPU_NAME or config.CPU_FEATURES)  # or for the one Numba was told of
_x86 = llvm.get_process_triple().startswith("x86_64")
if _x86 and _for_this_cpu and llvm.get_host_cpu_features().get("bmi2"):
    native["cpu", compress] = _compress_x86
