"""From a plain Python function to machine code for one target, with some free names replaced.

`bind` copies a function over the same code with another globals dict. Plain functions that it calls
are bound and compiled alike, so a body, the law it applies and the law's helpers are one piece of
machine code. The copy's name carries a hash of all their code: Numba's cache on disk then serves
every later process, and an edited law (or helper) is a new name, never stale machine code.
"""

import dis
import hashlib
import types

import numba
import numpy as np

from rpusim.errors import ConfigError
from rpusim.kernels.primitives import native

__all__ = ["apart", "bind", "compilers", "kernel", "launchers", "mark", "names_used"]

#: how a bound function, an entry or not, becomes one of a target; that for the CPU is built in
compilers = {
    "python": lambda function, entry: function,
    "exact": lambda function, entry: function,
}
#: target -> what makes of a plain kernel and its names something to be called, if not `bind`
launchers = {}
DOUBLE = ("exact", "double")  # targets whose literals stay in double precision

_bound: dict = {}
_kernels: dict = {}  # those without names, found faster


def bind(function, target="cpu", *, entry=False, cache=True, **names):
    """Return `function` for a target, its free names bound to `names`.

    Parameters
    ----------
    function : callable
        A top-level or static function without closure or default arguments.
    target : {"cpu", "python", "double", "exact", "cuda"}
        Machine code by Numba, or the plain function (still with float32 literals); the same two in
        double precision, for studies; or code for a GPU.
    entry : bool
        Whether Python calls it (rather than other bound functions).
    cache : bool
        Whether machine code of an entry is kept on disk.
    **names : object
        What free names of `function`, and of the functions it calls, stand for.

    Raises
    ------
    ConfigError
        If the function is no plain function or has a closure.
    """
    key = (function, target, entry, cache, _key(names))
    if key not in _bound:
        # the names are kept beside the result: an id may not be used again
        _bound[key] = (_bind(function, target, entry, cache, names), names)
    return _bound[key][0]


def kernel(function, target="cpu", **names):
    """Return `function` bound as an entry point: see `bind`.

    For the target "cuda" it is a launch of teams, one for each row: `rpusim.kernels.cuda`.
    """
    if target in launchers:
        key = (function, target, _key(names))
        if key not in _bound:  # names are kept for their ids, as in `bind`
            _bound[key] = (launchers[target](function, names), names)
        return _bound[key][0]
    if names:
        return bind(function, target, entry=True, **names)
    if (function, target) not in _kernels:
        _kernels[function, target] = bind(function, target, entry=True)
    return _kernels[function, target]


def _key(names):
    """Return what tells two sets of names apart."""
    return tuple(sorted((name, id(value)) for name, value in names.items()))


def ready(function):
    """Mark a plain function that is what a target calls as it stands: it is not bound."""
    function.is_ready = True
    return function


def apart(function):
    """Mark a function that is compiled once, not into each place that calls it: it is long."""
    function.stands_apart = True
    return function


def names_used(function):
    """Return all names, attributes included, in the code of a function and of those it calls."""
    found, waiting, seen = set(), [function], set()
    while waiting:
        function = waiting.pop()
        if function not in seen:
            seen.add(function)
            code = function.__code__
            found.update(code.co_names)
            values = (function.__globals__.get(name) for name in _globals_used(code))
            waiting += [v for v in values if isinstance(v, types.FunctionType)]
    return found


def mark(function, names=None):
    """Return a hash of a function's code, of what it calls and of the constants it uses."""
    digest = hashlib.sha1()
    _digest(function, names or {}, digest, set())
    return digest.hexdigest()[:16]


def _bind(function, target, entry, cache, names):
    _check(function)
    code = function.__code__
    # one module for all: machine code from the disk looks its functions' module up by name
    space = {"__builtins__": __builtins__, "__name__": __name__}
    for name in _globals_used(code):
        if name in names:
            value = names[name]
        elif name in function.__globals__:
            value = function.__globals__[name]
        else:
            continue
        if isinstance(value, types.ModuleType) and value.__name__ not in ("math", "numpy"):
            raise ConfigError(
                f"{function.__qualname__} must use math, numpy and its own module only, got "
                f"{value.__name__}: import the names that it needs from there."
            )
        if isinstance(value, types.FunctionType):
            value = native.get((target, value), value)
        if isinstance(value, types.FunctionType) and not hasattr(value, "is_ready"):
            value = bind(value, target, **names)
        space[name] = value if target in DOUBLE else _float32(value)
    code = code if target in DOUBLE else _float32_literals(code)
    copy = types.FunctionType(code, space, function.__name__)
    copy.__doc__ = function.__doc__
    copy.__module__ = __name__
    # also of inner functions: two kernels from the disk must not share a symbol by chance
    copy.__qualname__ = f"{function.__name__}_{target}_{mark(function, names)}"
    if target in compilers:
        return compilers[target](copy, entry)
    options = {"nogil": True, "error_model": "numpy"}
    if not entry:
        inline = not getattr(function, "stands_apart", False)
        return numba.njit(forceinline=inline, **options)(copy)
    return numba.njit(cache=cache, **options)(copy)


def _check(function):
    name = getattr(function, "__qualname__", repr(function))
    if not isinstance(function, types.FunctionType):
        raise ConfigError(f"{name} must be a plain Python function to become a kernel.")
    if function.__closure__:
        free = ", ".join(function.__code__.co_freevars)
        raise ConfigError(
            f"{name} must not use variables of an enclosing function, got {free}. "
            "Make them fields of the device (param, per_device) or constants of the module."
        )
    if function.__defaults__ or function.__kwdefaults__:
        raise ConfigError(f"{name} must not have default arguments.")


def _globals_used(code):
    """Return the global names that a code object reads, sorted (order must not change the hash)."""
    return sorted({i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"})


def _float32_literals(code):
    """Return the code with float constants as float32: ``1.0 - w`` stays in single precision."""
    return code.replace(co_consts=tuple(_float32(c) for c in code.co_consts))


def _float32(constant):
    if type(constant) is float:
        return np.float32(constant)
    if type(constant) is tuple:
        return tuple(_float32(c) for c in constant)
    return constant


def _digest(function, names, digest, seen):
    """Feed the code of `function`, and of all it reaches, to a hash."""
    if function in seen:
        return
    seen.add(function)
    code = function.__code__
    _digest_code(code, digest, function.__doc__)
    values = {name: names.get(name, function.__globals__.get(name)) for name in _globals_used(code)}
    cells = function.__closure__ or ()  # of intrinsics; a law has none
    values |= dict(zip(code.co_freevars, (cell.cell_contents for cell in cells), strict=True))
    for name, value in values.items():
        digest.update(name.encode())
        inner = getattr(value, "_defn", getattr(value, "py_func", value))  # intrinsic, dispatcher
        if isinstance(inner, types.FunctionType):
            _digest(inner, names, digest, seen)
        elif isinstance(inner, np.ndarray):
            digest.update(repr((inner.shape, inner.dtype)).encode() + inner.tobytes())
        elif isinstance(inner, bool | int | float | np.generic | tuple):
            digest.update(repr(inner).encode())
        elif isinstance(inner, type):
            digest.update(f"{inner.__name__}{getattr(inner, '_fields', '')}".encode())


def _digest_code(code, digest, doc=None):
    """Feed one code object to a hash; the repr of a nested one would hold its address."""
    digest.update(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames)).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _digest_code(constant, digest)
        elif constant is None or constant != doc:
            digest.update(repr(constant).encode())
