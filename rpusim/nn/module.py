"""What every layer and model is: forward, backward, parameters, and a place in a tree.

There is no automatic differentiation: a layer states its two equations, and a training-mode forward
keeps on a stack what the backward of that call needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rpusim.errors import StateError
from rpusim.nn import programmed, state, summary
from rpusim.nn.array_like import ReadsAsArray
from rpusim.tiles.grid import TileGrid

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Module"]

#: More kept forwards than this mean that nobody goes backward.
MOST_KEPT = 10_000


class Module:
    """Base of layers and models.

    A layer defines `forward` and `backward`; `keep` and `recall` carry values from the one to the
    other. A model of several layers holds them as attributes, or in lists, tuples or dicts that are
    attributes, and runs their backward methods in the opposite order; `Sequential` does that for a
    chain. A layer never writes into its arguments, and keeps references to them: change an input
    array only after the step that used it.
    """

    training = True
    #: Whether evaluation, too, keeps what a backward needs; for what goes back through it.
    keeps_in_evaluation = False
    _kept: list[Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the stack here, so that no subclass has to remember to."""
        self = super().__new__(cls)
        self.__dict__["_kept"] = []
        return self

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the output for `x`, batch first."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward(x).")

    def backward(self, grad: np.ndarray, input_grad: bool = True) -> np.ndarray | None:
        """Go back through the last training-mode forward that was not yet gone back through.

        Parameters
        ----------
        grad : ndarray
            Gradient of the loss with respect to that forward's output, of its shape.
        input_grad : bool, default True
            Whether the gradient with respect to the input is wanted; it costs a product.

        Returns
        -------
        ndarray or None
            Gradient with respect to the input, of its shape; None unless wanted.

        Raises
        ------
        StateError
            If there is no forward to go back through.
        ShapeError
            If `grad` has not the shape of the output.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not define backward(grad, input_grad)."
        )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return ``forward(x)``."""
        return self.forward(x)

    @property
    def keeps(self) -> bool:
        """Whether a forward keeps what its backward needs."""
        return self.training or self.keeps_in_evaluation

    def keep(self, value: Any) -> None:
        """Push what the backward of this call will need; in evaluation mode do nothing."""
        if self.keeps:
            if len(self._kept) >= MOST_KEPT:
                raise StateError(
                    f"{type(self).__name__}.forward: {MOST_KEPT} calls in training mode wait for "
                    "their backward. Call eval() on the model before using it without training."
                )
            self._kept.append(value)

    def recall(self) -> Any:
        """Pop what the newest `keep` pushed."""
        if not self._kept:
            hint = "" if self.training else ", and in evaluation mode none is kept: call train()"
            raise StateError(
                f"{type(self).__name__}.backward must follow a forward in training mode, once for "
                f"each; there is none left to go back through{hint}."
            )
        return self._kept.pop()

    def forget(self) -> None:
        """Drop what the newest forward kept, here and below: its backward is not needed."""
        if self._kept:
            self._kept.pop()
        for child in self.children():
            child.forget()

    # --- the tree ----------------------------------------------------------------------------

    def named_children(self) -> dict[str, Module]:
        """Return the modules held directly, by name (``layers.0`` for one in a list)."""
        return _held(self, Module)

    def children(self) -> list[Module]:
        """Return the modules held directly."""
        return list(self.named_children().values())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) of this one, named "", and of all below, each once."""
        yield from _walk(self, "", set())

    def own_parameters(self) -> dict[str, Any]:
        """Return the parameters held directly, by name."""
        return _held(self, ReadsAsArray)

    def own_tiles(self) -> dict[str, Any]:
        """Return the tiles held directly, by name; a layer that has tiles overrides this."""
        return {}

    def own_buffers(self) -> dict[str, np.ndarray]:
        """Return float32 arrays, by name, that are state but not trained; a load writes into them.

        A layer that has such arrays, as the grid of a quantiser, overrides this.
        """
        return {}

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield (dotted name, parameter) of all modules, each parameter once."""
        yield from _below(self, "own_parameters")

    def named_tiles(self) -> Iterator[tuple[str, Any]]:
        """Yield (dotted name, tile) of all modules, each tile or grid of tiles once."""
        yield from _below(self, "own_tiles")

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (dotted name, array) of all modules, each array once."""
        yield from _below(self, "own_buffers")

    def parameters(self) -> list[Any]:
        """Return the parameters of all modules in order, each once: what an optimizer takes."""
        return [parameter for _, parameter in self.named_parameters()]

    def analog_layers(self) -> list[Module]:
        """Return the layers that hold tiles, in order."""
        return [module for _, module in self.named_modules() if module.own_tiles()]

    def named_analog_tiles(self) -> Iterator[tuple[str, Any]]:
        """Yield (dotted name, tile) of all modules, for a grid those that it consists of."""
        for name, tile in self.named_tiles():
            if isinstance(tile, TileGrid):
                yield from ((f"{name}.{part}", one) for part, one in tile.named_tiles().items())
            else:
                yield name, tile

    def analog_tiles(self) -> list[Any]:
        """Return the tiles of all layers in order, for a grid those that it consists of."""
        return [tile for _, tile in self.named_analog_tiles()]

    # --- programmed devices ------------------------------------------------------------------

    def program_analog_weights(self, noise_model: Any = None) -> None:
        """Program all tiles for inference: see `rpusim.nn.programmed`."""
        programmed.program_analog_weights(self, noise_model)

    def drift_analog_weights(self, t_inference: float = 0.0) -> None:
        """Let all devices drift to a time, in seconds: see `rpusim.nn.programmed`."""
        programmed.drift_analog_weights(self, t_inference)

    def restore_analog_weights(self) -> None:
        """Give programmed devices up: see `rpusim.nn.programmed`."""
        programmed.restore_analog_weights(self)

    # --- modes and state ---------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Enter training mode, here and below: a forward keeps what its backward needs."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Enter evaluation mode, here and below: a forward keeps nothing, tiles run as in tests."""
        return self.train(False)

    def freeze(self, frozen: bool = True) -> Self:
        """Exclude the parameters, here and below, from training, or include them again."""
        for parameter in self.parameters():
            if hasattr(parameter, "requires_grad"):  # a bias of devices goes with its weights
                parameter.requires_grad = not frozen
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all arrays that make up the state, by dotted name."""
        return state.state_dict(self)

    def load_state_dict(self, arrays: dict[str, np.ndarray]) -> None:
        """Restore what `state_dict` returned, all of it or, on any error, nothing.

        Parameters
        ----------
        arrays : dict of str to ndarray
            Exactly the names and shapes that `state_dict` of a model built alike returns.

        Raises
        ------
        StateError
            If names are missing or unexpected; the message lists them with their likely meaning.
        ShapeError, DataError
            If an array has another shape, or holds what is not a finite number.
        """
        state.load_state_dict(self, arrays)

    def summary(self, input_shape: Sequence[int] | None = None) -> str:
        """Return a table of the layers: shapes, devices, tiles, numbers of parameters.

        Parameters
        ----------
        input_shape : sequence of int, optional
            Shape of an input, batch first: a copy of the model multiplies zeros of this shape, and
            the table also tells shapes of outputs and, for each sample, the numbers of products
            with the weights of a layer and of multiply-accumulates.
        """
        return summary.table(self, input_shape)

    def shapes(self) -> str:
        """Return what the summary shows as the layer's shape, such as ``64 -> 32``."""
        return ""

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__.get(name)
        if isinstance(held, ReadsAsArray) and not isinstance(value, ReadsAsArray):
            raise StateError(
                f"{type(self).__name__}.{name} is a parameter and cannot become a "
                f"{type(value).__name__}; change its values with set_weights(weight, bias)."
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={child!r}" for name, child in self.named_children().items())
        return f"{type(self).__name__}({inside})"


def _held(module: Module, kind: type) -> dict[str, Any]:
    """Return the attributes of one kind, also those inside lists, tuples and dicts."""
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, kind):
            found[name] = value
        elif isinstance(value, list | tuple | dict):
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            found |= {f"{name}.{key}": item for key, item in entries if isinstance(item, kind)}
    return found


def _walk(module: Module, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
    if id(module) not in seen:
        seen.add(id(module))
        yield path, module
        for name, child in module.named_children().items():
            yield from _walk(child, f"{path}.{name}" if path else name, seen)


def _below(module: Module, method: str) -> Iterator[tuple[str, Any]]:
    """Yield what `method` of every module returns, under full names, each object once."""
    seen = set()
    for path, owner in module.named_modules():
        for name, item in getattr(owner, method)().items():
            if id(item) not in seen:
                seen.add(id(item))
                yield (f"{path}.{name}" if path else name), item
