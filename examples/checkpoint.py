"""Checkpoints: a training that dies half-way continues as if nothing had happened.

One process trains without interruption. Another saves its model after every epoch and is killed in
the middle of one; a third loads the file and goes on. Weights, devices and the streams of all noise
are in the file, so the two end results agree in every bit.

Run it: python checkpoint.py. It takes some seconds and writes checkpoint.npz.
"""

import os
import subprocess
import sys

import numpy as np

import rpusim as rs
from rpusim import nn, optim, presets
from rpusim.studies import load_digits

EPOCHS, DIES_IN = (2, 1) if os.environ.get("RPUSIM_SHORT") else (8, 5)
DATA = load_digits()


def build(seed):
    config = presets.EcRamPreset()
    return nn.Sequential(
        nn.AnalogLinear(64, 32, rpu_config=config, rng=seed),
        nn.Sigmoid(),
        nn.AnalogLinear(32, 10, rpu_config=config, rng=seed + 1),
    )


def train(model, epochs, file=None, dies=None):
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
    for epoch in epochs:
        batches = nn.batches(DATA.train_x, DATA.train_t, size=10, rng=epoch)
        for number, (x, t) in enumerate(batches):
            if epoch == dies and number == 70:
                os._exit(1)  # no farewell: as by a power cut
            loss, grad = nn.cross_entropy(model(x), t)
            model.backward(grad)
            optimizer.step()
        if file:
            rs.save(file, model)  # replaces the old file only when the new one is complete


if sys.argv[1:] == ["die"]:
    train(build(seed=1), range(EPOCHS), file="checkpoint.npz", dies=DIES_IN)

print(f"{EPOCHS} epochs without interruption")
straight = build(seed=1)
train(straight, range(EPOCHS))

dead = subprocess.run([sys.executable, __file__, "die"])
print(f"the same in a process that died in epoch {DIES_IN + 1}, exit status {dead.returncode}")

print(f"another one continues from the checkpoint after epoch {DIES_IN}")
resumed = build(seed=999)  # other weights, other devices: all is replaced by what the file holds
rs.load("checkpoint.npz", into=resumed)
train(resumed, range(DIES_IN, EPOCHS))

a, b = straight.state_dict(), resumed.state_dict()
different = [name for name in a if not np.array_equal(a[name], b[name])]
print(f"{len(a)} arrays compared, {len(different)} differ")
assert not different
