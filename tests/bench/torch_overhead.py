"""What `rpusim.torch` costs beside `rpusim.nn`: microseconds per call, best of many.

Run it: python tests/bench/torch_overhead.py. Collected by no test run; a test takes its numbers.
"""

import time

import numpy as np
import torch

import rpusim as rs
from rpusim import nn
from rpusim.torch import AnalogLinear

CONFIGS = {"pulsed": rs.RPUConfig(), "hardware-aware": rs.InferenceRPUConfig()}
SIZES = ((64, 1), (64, 10), (256, 32))


def best(call, calls=20, rounds=150):
    """Return the microseconds of one call, of the fastest of many short rounds."""
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times) / calls


def overhead(config, size, batch):
    """Return what a forward, and a backward, take longer than in `rpusim.nn`.

    That of torch's own engine, as an empty function of the same tensors shows it, is the third
    number, and part of the second.
    """
    ours = nn.AnalogLinear(size, size, rpu_config=config, rng=0)
    layer = AnalogLinear(size, size, rpu_config=config, rng=0)
    x = torch.rand(batch, size, requires_grad=True)
    d, plain = torch.ones(batch, size), x.detach().numpy()

    def forward():
        ours(plain)
        ours.forget()

    def both():
        ours(plain)
        ours.backward(d.numpy())
        ours.weight.take_pairs()
        ours.bias.grad = None

    def clear():
        layer.core.weight.take_pairs()
        x.grad = None
        for parameter in layer._parameters.values():
            parameter.grad = None

    def both_in_torch():
        layer(x).backward(d)
        clear()

    def empty():
        (x * 1.0).backward(d)
        clear()

    there = best(lambda: layer(x)) - best(forward)
    whole = best(both_in_torch) - best(both)
    return there, whole - there, best(empty)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("kind            size  batch  forward  backward  of which torch's engine")
    for name, config in CONFIGS.items():
        for size, batch in SIZES:
            there, back, engine = np.round(overhead(config, size, batch)).astype(int)
            print(f"{name:15} {size:4} {batch:6} {there:5} us {back:6} us {engine:6} us")
