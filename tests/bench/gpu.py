"""A GPU beside this machine's cores, a plain matrix product, and what its memory permits.

    python tests/bench/gpu.py            # prints a Markdown table
    python tests/bench/gpu.py --short    # a smoke test of small sizes

Every line is one tile and one batch: milliseconds on the GPU (median of many, by the GPU's own
clock), how many times faster than backend "cpu" with all cores, how many times as long as a plain
float32 product of the same sizes, and as the time that the bytes which have to move would take at
the speed of a copy: weights and devices' parameters once each way, vectors once.
"""

import argparse
import statistics
import time

import cupy
import numpy as np

import rpusim as rs
from rpusim import nn, optim

SIZES, BATCHES = (256, 1024, 4096), (1, 32, 512)
DEVICES = {"constant": rs.ConstantStepDevice(), "soft bounds": rs.SoftBoundsDevice()}


def on_gpu(call, repeats=30):
    """Return the median milliseconds of a call on the GPU."""
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(begin, end))
    return statistics.median(times)


def on_cpu(call, budget=2.0):
    """Return the shortest milliseconds of a call on this machine."""
    call()
    times, until = [], time.perf_counter() + budget
    while not times or (time.perf_counter() < until and len(times) < 20):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1e3 * min(times)


def copy_bandwidth():
    """Return bytes per millisecond that a copy on the GPU reads and writes."""
    source = cupy.zeros(2**28, cupy.uint8)
    target = cupy.empty_like(source)
    return 2 * source.nbytes / on_gpu(lambda: cupy.copyto(target, source))


def cases(size, batch):
    """Yield (name, call of a tile and vectors, bytes that have to move)."""
    weights, vectors = 4 * size * size, 8 * size * batch
    yield "forward", None, lambda t, x, d: t.forward(x), weights + vectors
    for name, device in DEVICES.items():
        planes = len(device.planes())
        moved = weights * (2 + planes) + vectors
        yield f"update, {name}", device, lambda t, x, d: t.update(x, d, 0.01), moved


def tiles_table(sizes, batches, bandwidth):
    rng = np.random.default_rng(0)
    for size in sizes:
        for batch in batches:
            x = rng.normal(size=(batch, size)).astype(np.float32)
            d = (0.1 * rng.normal(size=(batch, size))).astype(np.float32)
            xd, dd = cupy.asarray(x), cupy.asarray(d)
            w = cupy.zeros((size, size), cupy.float32)
            product = on_gpu(lambda xd=xd, w=w: xd @ w)
            for name, device, call, moved in cases(size, batch):
                config = rs.RPUConfig(device=device or rs.ConstantStepDevice())
                there = rs.AnalogTile(size, size, config, rng=1, backend="cuda")
                here = rs.AnalogTile(size, size, config, rng=1)
                gpu = on_gpu(lambda t=there, xd=xd, dd=dd, call=call: call(t, xd, dd))
                cpu = on_cpu(lambda t=here, x=x, d=d, call=call: call(t, x, d))
                print(
                    f"| {name} | {size} | {batch} | {gpu:.3f} | {cpu / gpu:.1f} "
                    f"| {gpu / product:.1f} | {gpu * bandwidth / moved:.1f} |"
                )


def network_line(batch):
    """Print a step of a LeNet-like network, whose vectors come from and go to NumPy."""

    def step(backend):
        config, rng = rs.RPUConfig(device=rs.ConstantStepDevice()), np.random.default_rng(0)
        layers = [
            nn.AnalogConv2d(1, 16, 5, rpu_config=config, rng=1, backend=backend),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.AnalogConv2d(16, 32, 5, rpu_config=config, rng=2, backend=backend),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.AnalogLinear(512, 128, rpu_config=config, rng=3, backend=backend),
            nn.Tanh(),
            nn.AnalogLinear(128, 10, rpu_config=config, rng=4, backend=backend),
        ]
        model = nn.Sequential(*layers)
        opt = optim.AnalogSGD(model.parameters(), lr=0.05)
        x = rng.normal(size=(batch, 1, 28, 28)).astype(np.float32)
        t = rng.integers(0, 10, batch)

        def run():
            _, grad = nn.cross_entropy(model(x), t)
            model.backward(grad)
            opt.step()
            if backend == "cuda":
                cupy.cuda.get_current_stream().synchronize()

        return on_cpu(run)

    gpu, cpu = step("cuda"), step("cpu")
    print(f"| LeNet step | | {batch} | {gpu:.2f} | {cpu / gpu:.1f} | | |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    bandwidth = copy_bandwidth()
    print(f"{name}, {time.strftime('%Y-%m-%d')}: a copy moves {bandwidth * 1e-9:.2f} TB/s")
    print("\n| what | size | batch | ms | faster than cpu | of a product | of the bandwidth |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    tiles_table(SIZES[:1] if short else SIZES, BATCHES[:2] if short else BATCHES, bandwidth)
    for batch in (8,) if short else (8, 64):
        network_line(batch)


if __name__ == "__main__":
    main()
