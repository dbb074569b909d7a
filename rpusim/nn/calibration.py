r"""Input ranges of a trained model's tiles, found by running data through it.

Each tile's range is estimated from the magnitudes of its own inputs; `InputRangeCalibrationType`
says how.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from rpusim.config import Choice, nearest
from rpusim.errors import ConfigError, DataError
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import as_size
from rpusim.nn.module import Module
from rpusim.nn.range_estimates import (
    Estimate,
    FromKept,
    Histogram,
    Largest,
    RunningMean,
    Sample,
    least_error_range,
    quantile_of,
)
from rpusim.tiles.input_range import batch_std

__all__ = ["InputRangeCalibrationType", "calibrate_input_ranges"]


class InputRangeCalibrationType(Choice):
    """How a range follows from inputs x.

    MOVING_STD: mean over batches of `std_alpha` times the standard deviation. MOVING_QUANTILE: mean
    over batches of a quantile of ``|x|``. CACHE_QUANTILE: that quantile of a sample of all vectors.
    MAX: the largest ``|x|``. MSE: least squared error of what the DAC passes on. NONE: no
    calibration.
    """

    NONE = "None"
    MOVING_STD = "MovingStd"
    MOVING_QUANTILE = "MovingQuantile"
    CACHE_QUANTILE = "CacheQuantile"
    MAX = "Max"
    MSE = "MSE"


def calibrate_input_ranges(
    model: Module,
    batches: Iterable[Any],
    calibration_type: InputRangeCalibrationType = InputRangeCalibrationType.MOVING_QUANTILE,
    quantile: float = 0.99995,
    max_samples: int | None = 1000,
    std_alpha: float | None = None,
    force_all_layers: bool = True,
    *,
    rng: Any = None,
) -> dict[str, float]:
    r"""Set the input range of every tile from data.

    The model runs in evaluation mode. Vectors of zeros do not count. Ranges that are on follow
    the largest input seen while data runs, so that no layer is calibrated on what a range to be
    replaced has clipped. MSE minimises, over the sample,

    .. math:: J(r) = \big\langle (|x| - r)_+^2 \big\rangle + r^2 v

    with the variance v that rounding and noise add to an input of a DAC whose full scale is 1.

    Parameters
    ----------
    model : Module
        Holds the tiles.
    batches : iterable of array, or of (array, target) pairs
        Fed to the model; targets are ignored.
    calibration_type : InputRangeCalibrationType or str
        How.
    quantile : float
        Of MOVING_QUANTILE and CACHE_QUANTILE, in 0..1. Moving quantiles need batches of more than
        1 / (1 - quantile) numbers.
    max_samples : int or None
        Input vectors of each tile that CACHE_QUANTILE and MSE keep, drawn uniformly from all; None:
        they use all, as a histogram whose bins are 0.2 % wide. MOVING_STD: batches it uses.
    std_alpha : float, optional
        Of MOVING_STD; by default each tile's own `init_std_alpha`.
    force_all_layers : bool
        Whether tiles get a range, one that is not learned, where theirs is off. False leaves these
        alone.
    rng : None, int, SeedSequence or Generator
        Where the samples come from.

    Returns
    -------
    dict of str to float
        The new ranges by the names of tiles. Tiles that no vector but zeros reached are not among
        them, and stay as they are.

    Raises
    ------
    ConfigError
        If an option is out of range, or no tile can be calibrated.
    DataError
        If there is no batch.

    Notes
    -----
    Each tile's configuration records the new range and the type. On any error modes, ranges and
    listeners are what they were before. Noise management stays as configured: with ABS_MAX
    each vector is scaled to the DAC all the same and a range only clips; what it is made for is
    NONE or CONSTANT.

    Source: Rasch et al., Nat. Commun. 14 (2023) 5282; for MSE, Banner, Nahshan and Soudry,
    NeurIPS (2019).
    """
    where = "calibrate_input_ranges"
    kind = _kind(calibration_type, where)
    _check_options(model, quantile, max_samples, std_alpha, where)
    if kind is InputRangeCalibrationType.NONE:
        return {}
    if not hasattr(batches, "__iter__") and not hasattr(batches, "__getitem__"):
        raise ConfigError(f"{where}: batches must be an iterable of arrays, got {batches!r}.")
    tiles = _tiles(model, force_all_layers, where)
    seed, estimates = Streams(rng).seed, {}
    for number, (name, tile) in enumerate(tiles.items()):
        alpha = _ranges(tile).init_std_alpha if std_alpha is None else std_alpha
        draws = np.random.default_rng([seed, number])
        estimates[name] = _estimate(kind, tile, quantile, max_samples, alpha, draws)
    with _listening(model, tiles, estimates):
        if not sum(1 for batch in batches if _run(model, batch)):
            raise DataError(f"{where}: batches must hold at least one batch, got none.")
        found = {name: estimate.range() for name, estimate in estimates.items()}
    reached = [name for name, value in found.items() if value > 0.0]
    for name in reached:
        tiles[name].set_input_range(found[name], info=kind.name)
    return {name: tiles[name].input_range for name in reached}


def _kind(given: Any, where: str) -> Choice:
    """Return the type of a calibration given as a member, by name or by value."""
    kind = InputRangeCalibrationType.find(given)
    if kind is None:
        names = [member.name for member in InputRangeCalibrationType]
        raise ConfigError(
            f"{where}: calibration_type must be one of {', '.join(names)}, got {given!r}"
            f"{nearest(given, names) or '.'}"
        )
    return kind


def _check_options(
    model: Any, quantile: float, max_samples: int | None, std_alpha: float | None, where: str
) -> None:
    if not isinstance(model, Module):
        raise ConfigError(f"{where}: model must be a Module, got {type(model).__name__}.")
    if not (_is_number(quantile) and 0.0 < quantile <= 1.0):
        raise ConfigError(f"{where}: quantile must be > 0 and <= 1, got {quantile!r}.")
    if max_samples is not None:
        as_size(max_samples, f"{where}: max_samples")
    if std_alpha is not None and not (_is_number(std_alpha) and 0.0 < std_alpha < math.inf):
        raise ConfigError(f"{where}: std_alpha must be > 0 and finite, got {std_alpha!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _tiles(model: Module, all_layers: bool, where: str) -> dict[str, Any]:
    """Return the tiles to calibrate, by name."""
    able = {n: t for n, t in model.named_analog_tiles() if hasattr(t.rpu_config, "pre_post")}
    chosen = {n: t for n, t in able.items() if all_layers or t.input_range is not None}
    if not chosen:
        why = "has its input range on" if able else "can have an input range"
        hint = "; with force_all_layers=True all get one" if able else ""
        raise ConfigError(f"{where}: no tile of the model {why}{hint}.")
    return chosen


def _ranges(tile: Any) -> Any:
    return tile.rpu_config.pre_post.input_range


def _estimate(
    kind: Choice,
    tile: Any,
    quantile: float,
    max_samples: int | None,
    alpha: float,
    rng: np.random.Generator,
) -> Estimate:
    """Return what turns the inputs of a tile into its range."""
    if kind is InputRangeCalibrationType.MAX:
        return Largest()
    if kind is InputRangeCalibrationType.MOVING_STD:
        return RunningMean(lambda x: alpha * batch_std(x), max_samples)
    if kind is InputRangeCalibrationType.MOVING_QUANTILE:
        return RunningMean(lambda x: float(np.quantile(np.abs(x), quantile)))
    kept = Histogram() if max_samples is None else Sample(max_samples, rng)
    if kind is InputRangeCalibrationType.CACHE_QUANTILE:
        return FromKept(kept, lambda values, counts: quantile_of(values, counts, quantile))
    v = _dac_variance(getattr(tile.rpu_config, "forward", None))
    return FromKept(kept, lambda values, counts: least_error_range(values, counts, v))


def _dac_variance(io: Any) -> float:
    """Return the variance that rounding and input noise add to an input in -1..1."""
    if io is None or io.perfect:
        return 0.0
    step = io.dac[1]
    return step**2 / (6.0 if io.inp_sto_round else 12.0) + io.inp_noise**2


def _run(model: Module, batch: Any) -> bool:
    """Feed one batch to the model, without the targets that may come with it."""
    if isinstance(batch, tuple) and not batch:
        raise DataError(
            "calibrate_input_ranges: a batch must be an array or (array, target), got ()."
        )
    model(batch[0] if isinstance(batch, tuple) else batch)
    return True


@contextmanager
def _listening(
    model: Module, tiles: dict[str, Any], estimates: dict[str, Estimate]
) -> Iterator[None]:
    """Let estimates hear the inputs of their tiles, in evaluation mode; then restore all."""
    modes = [(module, module.training) for _, module in model.named_modules()]
    listeners = [(tile, tile.on_input) for tile in tiles.values()]
    on = [tile for tile in tiles.values() if tile.input_range is not None]
    before = [(tile, tile.rpu_config, _range_state(tile)) for tile in on]
    try:
        model.eval()
        for name, tile in tiles.items():
            tile.on_input = partial(_hear, tile, estimates[name])
        yield
    except BaseException:
        for tile, config, state in before:
            tile.rpu_config = config
            tile.load_state_dict({**tile.state_dict(), **state})
        raise
    finally:
        for module, mode in modes:
            module.training = mode
        for tile, listener in listeners:
            tile.on_input = listener


def _range_state(tile: Any) -> dict[str, np.ndarray]:
    """Return the part of a tile's state that is its input range."""
    return {n: a for n, a in tile.state_dict().items() if n.startswith("input_range")}


def _hear(tile: Any, estimate: Estimate, x: np.ndarray) -> None:
    """Pass on the vectors of a batch that say something; open a range that is on for them."""
    x = x[x.any(axis=1) & np.isfinite(x).all(axis=1)]
    if len(x):
        estimate.see(x)
        largest = float(np.abs(x).max())
        if tile.input_range is not None and largest != estimate.largest:
            estimate.largest = max(estimate.largest, largest)
            tile.set_input_range(estimate.largest)
