"""Training on real digits reaches the accuracies that the established toolkit was recorded with."""

import json
from pathlib import Path

import numpy as np
import pytest

from rpusim import nn, optim, presets

RECORDED = json.loads(Path(__file__).parents[1].joinpath("golden/digits_training.json").read_text())
SEEDS, EPOCHS = 8, 20


@pytest.fixture(scope="module")
def digits():
    """Return (train inputs, train labels, test inputs, test labels)."""
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32), y[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def last_five(config, seed, digits):
    """Train one network; return the mean test accuracy of its last five epochs."""
    inputs, labels, test_inputs, test_labels = digits
    model = nn.Sequential(
        nn.AnalogLinear(64, 32, rpu_config=config, rng=seed),
        nn.Sigmoid(),
        nn.AnalogLinear(32, 10, rpu_config=config, rng=seed + 1000),
    )
    optimizer, accuracy = optim.AnalogSGD(model.parameters(), lr=0.1), []
    for epoch in range(EPOCHS):
        model.train()
        for x, t in nn.batches(inputs, labels, size=10, rng=seed * 100 + epoch):
            _, grad = nn.cross_entropy(model(x), t)
            model.backward(grad)
            optimizer.step()
        model.eval()
        accuracy.append(np.mean(model(test_inputs).argmax(1) == test_labels))
    return np.mean(accuracy[-5:])


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED["presets"])
def test_eight_seeds_agree_with_the_recorded_accuracy(name, digits):
    recorded = RECORDED["presets"][name]
    reached = [last_five(getattr(presets, name)(), seed, digits) for seed in range(SEEDS)]
    error = np.sqrt(np.var(reached, ddof=1) / SEEDS + recorded["last5_sd"] ** 2 / recorded["seeds"])
    assert abs(np.mean(reached) - recorded["last5_mean"]) <= 4.0 * error, np.mean(reached)
