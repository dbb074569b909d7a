"""One call of a layer as a function that torch differentiates.

Inputs go through torch's saved tensors, so that offloading and checkpoints see them; everything
else that a backward needs is what the layer of `rpusim.nn` kept, and belongs to the call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

__all__ = ["TileCall", "accumulator", "will_be_accumulated"]


class TileCall(torch.autograd.Function):
    """Runs a layer, and goes back through it.

    ``apply(layer, count, *tensors)`` takes `count` inputs and the layer's parameters. The layer
    defines ``run(inputs, keep)``, which returns outputs and what was kept, and ``go_back(kept,
    inputs, grads, needed)``, which returns the gradients of all tensors and is called once per
    backward.
    """

    @staticmethod
    def forward(ctx: Any, layer: Any, count: int, *tensors: torch.Tensor) -> Any:
        """Return the outputs of a layer."""
        outputs, ctx.kept = layer.run(tensors[:count], True)
        ctx.layer = layer
        ctx.save_for_backward(*tensors[:count])
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        """Return the gradients of all tensors."""
        inputs = ctx.saved_tensors
        found = ctx.layer.go_back(ctx.kept, inputs, grads, ctx.needs_input_grad[2:])
        return None, None, *found


def accumulator(parameter: torch.Tensor) -> Any:
    """Return the node of torch's graph that adds to the gradient of a leaf, None if unknown."""
    edge = getattr(torch.autograd.graph, "get_gradient_edge", None)
    return None if edge is None or not parameter.requires_grad else edge(parameter).node


def will_be_accumulated(node: Any) -> bool:
    """Return whether the backward that runs now is to add to the gradient of a leaf.

    It is not if only other gradients were asked for, as by ``torch.autograd.grad(loss, x)``.

    Parameters
    ----------
    node : object
        What `accumulator` returned when the leaf was used.
    """
    asked = getattr(torch._C, "_will_engine_execute_node", None)
    if asked is None or node is None:  # older versions of torch cannot tell
        return True
    try:
        return bool(asked(node))
    except RuntimeError:  # torch.autograd.grad(loss, leaf): it returns, and adds to nothing
        return False
