"""Optional packages: imported when first needed; if missing, the error says how to get them."""

import contextlib
import importlib
from types import SimpleNamespace
from typing import Any

from rpusim.errors import RpusimError

__all__ = ["MissingPackage", "need", "progress"]

PATIENCE = 2.0  # seconds before a progress bar appears


class MissingPackage(RpusimError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


def need(module: str, extra: str, what: str, package: str = "") -> Any:
    """Import and return an optional module.

    Parameters
    ----------
    module : str
        Its dotted name.
    extra : str
        The extra of rpusim that brings it.
    what : str
        What it is needed for: the subject of the message.
    package : str, optional
        Name under which it is installed, if not the first part of `module`.

    Raises
    ------
    MissingPackage
        If the package is not installed.
    """
    top = module.split(".")[0]
    try:
        importlib.import_module(top)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != top:
            raise  # it is there, and lacks something itself
        raise MissingPackage(
            f'{what} needs the package {package or top}: pip install "rpusim[{extra}]".'
        ) from error


def progress(total: int, what: str) -> Any:
    """Return a context whose ``update(n)`` moves a progress bar.

    Without tqdm, or if nobody watches, it does nothing.

    Parameters
    ----------
    total : int
        Where it ends.
    what : str
        What is being done.
    """
    try:
        tqdm = need("tqdm", "demo", "A progress bar").tqdm
    except MissingPackage:
        return contextlib.nullcontext(SimpleNamespace(update=lambda n=1: None))
    return tqdm(total=total, desc=what, delay=PATIENCE, leave=False, disable=None)
