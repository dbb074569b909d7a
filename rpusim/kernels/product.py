r"""The product of a matrix with a panel of vectors, each sum in one fixed order.

.. math:: y_{ib} = \sum_j W_{ij} x_{jb}, \quad j = 0, 1, 2, \dots

by fused multiply-adds, one after the other. A BLAS changes the order with the number of threads
and with the shape of the batch, hence the last bits; here an output depends on its row and its
vector alone. A panel holds 16 vectors (8 if no more are left) side by side, so that the compiler's
8-wide registers run over vectors and the matrix is read once per panel without being repacked;
this reaches the speed of a good BLAS.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from rpusim.kernels.bind import apart
from rpusim.kernels.primitives import native

__all__ = ["multiply_panel", "LANES", "fma"]

LANES = 16  # vectors in a full panel
WIDTH = 8  # float32 numbers in a register


VECTOR = ir.VectorType(ir.FloatType(), WIDTH)


def fma(a, b, c):
    """Return ``a * b + c``, rounded once (in plain Python: in double precision, then once more)."""
    return np.float32(float(a) * float(b) + float(c))


@intrinsic
def _fma_cpu(typingctx, a, b, c):
    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), codegen


native["cpu", fma] = _fma_cpu


def _vector_fma(builder):
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{WIDTH}f32")


def _load(builder, base, index):
    load = builder.load(builder.bitcast(builder.gep(base, [index]), VECTOR.as_pointer()))
    load.align = 4
    return load


def _store(builder, value, base, index):
    builder.store(value, builder.bitcast(builder.gep(base, [index]), VECTOR.as_pointer())).align = 4


def _broadcast(builder, base, index):
    i32 = ir.IntType(32)
    scalar = builder.load(builder.gep(base, [index]))
    one = builder.insert_element(VECTOR(ir.Undefined), scalar, i32(0))
    return builder.shuffle_vector(one, one, ir.VectorType(i32, WIDTH)([0] * WIDTH))


def _dot_kernel(registers, rows):
    """Return an intrinsic for ``out[r, lane] = sum_k matrix[r, k] * panel[k, lane]``, r < `rows`.

    Its arguments: panel, its lanes, matrix, offset of its first element, its row stride, number of
    k, out, and the offset of out's first row; offsets and strides count elements.
    """

    @intrinsic
    def multiply(typingctx, panel, lanes, matrix, start, stride, count, out, offset):
        def codegen(context, builder, signature, args):
            b, i64, fma = builder, ir.IntType(64), _vector_fma(builder)
            x, w, y = (
                context.make_array(signature.args[n])(context, b, args[n]).data for n in (0, 2, 6)
            )
            _, lanes, _, start, stride, count, _, offset = args
            cells = [(r, c) for r in range(rows) for c in range(registers)]

            before, loop, done = b.block, b.append_basic_block("k"), b.append_basic_block("done")
            b.branch(loop)
            b.position_at_end(loop)
            k = b.phi(i64)
            k.add_incoming(i64(0), before)
            sums = {cell: b.phi(VECTOR) for cell in cells}
            for cell in cells:
                sums[cell].add_incoming(VECTOR([0.0] * WIDTH), before)
            row = b.mul(k, lanes)
            xs = [_load(b, x, b.add(row, i64(c * WIDTH))) for c in range(registers)]
            first = b.add(start, k)
            new = {}
            for r in range(rows):
                weight = _broadcast(b, w, b.add(first, b.mul(stride, i64(r))))
                for c in range(registers):
                    new[r, c] = b.call(fma, [weight, xs[c], sums[r, c]])
            after = b.add(k, i64(1))
            k.add_incoming(after, loop)
            for cell in cells:
                sums[cell].add_incoming(new[cell], loop)
            b.cbranch(b.icmp_signed("<", after, count), loop, done)
            b.position_at_end(done)
            for r, c in cells:
                index = b.add(offset, b.add(b.mul(lanes, i64(r)), i64(c * WIDTH)))
                _store(b, new[r, c], y, index)
            return context.get_dummy_value()

        index = types.int64
        return types.void(panel, index, matrix, *[index] * 3, out, index), codegen

    return multiply


def _rank_kernel(rows):
    """Return an intrinsic for ``out[b, j] += sum_r panel[r, b] * matrix[r, j]``.

    It takes 16 columns j and r < `rows`. Its arguments: panel, offset of its first row, lanes,
    matrix, offset of its first element, its row stride, out, offset of its first element, and its
    row stride.
    """

    @intrinsic
    def accumulate(typingctx, panel, first, lanes, matrix, start, stride, out, offset, step):
        def codegen(context, builder, signature, args):
            b, i64, fma = builder, ir.IntType(64), _vector_fma(builder)
            x, w, y = (
                context.make_array(signature.args[n])(context, b, args[n]).data for n in (0, 3, 6)
            )
            _, first, lanes, _, start, stride, _, offset, step = args
            weights = {
                (r, c): _load(b, w, b.add(start, b.add(b.mul(stride, i64(r)), i64(c * WIDTH))))
                for r in range(rows)
                for c in (0, 1)
            }
            before, loop, done = b.block, b.append_basic_block("b"), b.append_basic_block("done")
            b.branch(loop)
            b.position_at_end(loop)
            lane = b.phi(i64)
            lane.add_incoming(i64(0), before)
            places = [b.add(b.add(offset, b.mul(lane, step)), i64(c * WIDTH)) for c in (0, 1)]
            sums = [_load(b, y, place) for place in places]
            for r in range(rows):
                d = _broadcast(b, x, b.add(b.add(first, lane), b.mul(lanes, i64(r))))
                sums = [b.call(fma, [d, weights[r, c], sums[c]]) for c in (0, 1)]
            for total, place in zip(sums, places, strict=True):
                _store(b, total, y, place)
            after = b.add(lane, i64(1))
            lane.add_incoming(after, loop)
            b.cbranch(b.icmp_signed("<", after, lanes), loop, done)
            b.position_at_end(done)
            return context.get_dummy_value()

        index = types.int64
        return types.void(panel, index, index, matrix, index, index, out, index, index), codegen

    return accumulate


_wide_6, _wide_1 = _dot_kernel(2, 6), _dot_kernel(2, 1)
_slim_12, _slim_1 = _dot_kernel(1, 12), _dot_kernel(1, 1)
_rank_6, _rank_1 = _rank_kernel(6), _rank_kernel(1)


SPARSE = 8  # one input line in so many is driven, from which it pays to leave out the others


@apart
def multiply_panel(panel, lanes, matrix, transposed, out, scratch):
    """Multiply a matrix, or its transpose, with the vectors of a panel.

    Parameters
    ----------
    panel : ndarray of shape (n * lanes,)
        Element j of vector b stands at ``j * lanes + b``; float32.
    lanes : int
        8 or 16.
    matrix : ndarray of shape (rows, cols)
        C-contiguous float32; n is `cols`, or `rows` if `transposed`.
    transposed : bool
        Whether to use the transpose.
    out : ndarray of shape (m * lanes,)
        Receives the products, laid out like `panel`.
    scratch : ndarray of shape ((m + LANES) * lanes,)
        Used by the transposed product.
    """
    if transposed:
        _transposed(panel, lanes, matrix, out, scratch)
    else:
        _straight(panel, lanes, matrix, out)


def _straight(panel, lanes, matrix, out):
    """Multiply, leaving out input lines that no vector drives if these are nearly all."""
    rows, cols = matrix.shape
    driven = np.empty(cols, np.int64)
    count = _driven_lines(panel, lanes, cols, driven)
    if SPARSE * count > cols or rows < 16:
        _dense(panel, lanes, matrix, out)
        return
    if count == 0:
        out[: rows * lanes] = 0.0
        return
    few, levels = np.empty((rows, count), np.float32), np.empty(count * lanes, np.float32)
    for k in range(count):
        for b in range(lanes):
            levels[k * lanes + b] = panel[driven[k] * lanes + b]
    for i in range(rows):
        for k in range(count):
            few[i, k] = matrix[i, driven[k]]
    _dense(levels, lanes, few, out)


def _driven_lines(panel, lanes, n, driven):
    """Find the input lines that are not 0 in all vectors; return how many."""
    count = 0
    for j in range(n):
        largest = np.float32(0.0)
        for b in range(lanes):
            largest = max(largest, abs(panel[j * lanes + b]))
        driven[count] = j
        count += 1 if largest != 0.0 else 0
    return count


def _dense(panel, lanes, matrix, out):
    rows, cols = matrix.shape
    r = 0
    if lanes == 16:
        while r + 6 <= rows:
            _wide_6(panel, lanes, matrix, r * cols, cols, cols, out, r * lanes)
            r += 6
        while r < rows:
            _wide_1(panel, lanes, matrix, r * cols, cols, cols, out, r * lanes)
            r += 1
    else:
        while r + 12 <= rows:
            _slim_12(panel, lanes, matrix, r * cols, cols, cols, out, r * lanes)
            r += 12
        while r < rows:
            _slim_1(panel, lanes, matrix, r * cols, cols, cols, out, r * lanes)
            r += 1


def _transposed(panel, lanes, matrix, out, scratch):
    """Read the matrix once, row after row, and sum in `scratch`, of shape (lanes, step)."""
    rows, cols = matrix.shape
    whole = cols - cols % (2 * WIDTH)
    step = cols + LANES  # no power of two: rows that share cache lines would evict each other
    scratch[: lanes * step] = 0.0
    r = 0
    while r + 6 <= rows:
        for j in range(0, whole, 2 * WIDTH):
            _rank_6(panel, r * lanes, lanes, matrix, r * cols + j, cols, scratch, j, step)
        r += 6
    while r < rows:
        for j in range(0, whole, 2 * WIDTH):
            _rank_1(panel, r * lanes, lanes, matrix, r * cols + j, cols, scratch, j, step)
        r += 1
    for lane in range(lanes):
        for j in range(whole, cols):
            total = np.float32(0.0)
            for i in range(rows):
                total = fma(panel[i * lanes + lane], matrix[i, j], total)
            scratch[lane * step + j] = total
    for lane in range(lanes):
        for j in range(cols):
            out[j * lanes + lane] = scratch[lane * step + j]
