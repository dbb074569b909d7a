"""A tile that is exact NumPy and writes down what it was asked to do, and layers that have one."""

import functools

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import ShapeError, StateError
from rpusim.tiles import Gradients


class FakeTile:
    """float32 weights, exact products, exact updates; `log` lists the calls that change it."""

    is_programmed = learns_by_batch = False

    def __init__(self, out_size, in_size, rpu_config=None, bias=False, *, rng=None, backend="cpu"):
        self.out_size, self.in_size, self.rpu_config = out_size, in_size, rpu_config
        self.seed, self.backend = rng, backend
        self.weight = np.zeros((out_size, in_size), np.float32)
        self.column = np.zeros(out_size, np.float32) if bias == "analog" else None
        self.bias = np.zeros(out_size, np.float32) if bias is True else None
        self.log = []
        self.last_forward = None

    def digital_parameters(self):
        return {} if self.bias is None else {"bias": self.bias}

    def project_digital_parameters(self):
        self.log.append(("project",))

    def gradients(self, d, context, input_grad=True):
        rows = d.reshape(-1, self.out_size)
        bias = None if self.bias is None else rows.sum(axis=0)
        return Gradients(self.backward(d) if input_grad else None, (context, rows), bias)

    def forward(self, x, is_test=False):
        self.log.append(("forward", is_test))
        x = np.asarray(x, np.float32)
        if x.shape[-1] != self.in_size:
            raise ShapeError(f"FakeTile.forward: x must have shape (..., {self.in_size}).")
        y = x @ self.weight.T
        for b in (self.bias, self.column):
            y = y if b is None else y + b
        self.last_forward = x.reshape(-1, self.in_size)
        return y

    def backward(self, d):
        self.log.append(("backward",))
        return d @ self.weight

    def update(self, x, d, learning_rate):
        self.log.append(("update", len(x), learning_rate))
        self.weight -= np.float32(learning_rate) * (d.T @ x)
        if self.column is not None:
            self.column -= np.float32(learning_rate) * d.sum(axis=0)

    def post_update_step(self):
        self.log.append(("post",))

    def get_weights(self):
        bias = self.bias if self.column is None else self.column
        return self.weight.copy(), None if bias is None else bias.copy()

    def set_weights(self, w, b=None):
        self.weight[...] = w
        for own in (self.bias, self.column):
            if own is not None and b is not None:
                own[...] = b

    def state_dict(self):
        state = {"weight": self.weight.copy()}
        return state if self.bias is None else state | {"bias": self.bias.copy()}

    def load_state_dict(self, state):
        if set(state) != set(self.state_dict()):
            raise StateError(f"FakeTile has {sorted(self.state_dict())}, got {sorted(state)}.")
        if state["weight"].shape != self.weight.shape:
            raise ShapeError(
                f"FakeTile.weight must have shape {self.weight.shape}, got {state['weight'].shape}."
            )
        self.weight[...] = state["weight"]
        if self.bias is not None:
            self.bias[...] = state["bias"]


@pytest.fixture
def analog_linear(monkeypatch):
    """Build AnalogLinear layers on fake tiles; ``bias="analog"`` for a column of devices."""

    def build(*args, **kwargs):
        if kwargs.get("bias") == "analog":
            tile = functools.partial(_column, FakeTile)
            kwargs["bias"] = True
        else:
            tile = FakeTile
        monkeypatch.setattr("rpusim.nn.linear.build_tile", tile)
        return nn.AnalogLinear(*args, **kwargs)

    return build


def _column(tile, out_size, in_size, rpu_config, bias, **options):
    return tile(out_size, in_size, rpu_config, "analog", **options)
