"""An LSTM learns to predict the next letter of simple sentences, on devices that pulse unevenly.

The text is made here: sentences in which the verb agrees with the subject. The same network learns
it three times: in floating point; on ReRAM devices, whose steps are large, differ and shrink
towards a bound; and with Tiki-Taka on the same devices, which gathers gradients on one crossbar and
carries what has survived there to another. Ends in the perplexities of a text that none of them
has seen: among how many letters a network wavers. Who knows the grammar wavers among 1.2.

Run it: python lstm_text.py. It takes half a minute and writes lstm_text.png.
"""

import math
import os

import numpy as np
from matplotlib.figure import Figure

import rpusim as rs
from rpusim import nn, optim, presets

STEPS = 10 if os.environ.get("RPUSIM_SHORT") else 500
HIDDEN, TIME, BATCH = 32, 20, 8


def make_text(sentences, seed):
    """Return sentences such as "two dogs see the red ball."."""
    rng = np.random.default_rng(seed)
    words = []
    for _ in range(sentences):
        many = rng.random() < 0.5
        subject = rng.choice(["dog", "cat", "bird"]) + ("s" if many else "")
        verb = rng.choice(["see", "like", "want"]) + ("" if many else "s")
        words += ["two" if many else "one", subject, verb, "the", rng.choice(["red", "old", "big"])]
        words += [rng.choice(["ball", "tree", "house"]) + "."]
    return " ".join(words)


TEXT, UNSEEN = make_text(1000, seed=0), make_text(100, seed=1)
LETTERS = sorted(set(TEXT))


def windows(text):
    """Cut a text into streams side by side; yield some letters of each, and those that follow."""
    codes = np.array([LETTERS.index(letter) for letter in text])
    streams = codes[: len(codes) // BATCH * BATCH].reshape(BATCH, -1).T
    for start in range(0, len(streams) - TIME, TIME):
        part = streams[start : start + TIME + 1]
        yield np.eye(len(LETTERS))[part[:-1]], part[1:].ravel()


def walk(rnn, head, text):
    """Predict a text, window by window; yield the loss, and its gradient for the head."""
    states = None
    for x, follows in windows(text):
        output, states = rnn(x, states)  # a window starts in the state in which the last one ended
        loss, grad = nn.cross_entropy(head(output).reshape(len(follows), -1), follows)
        yield loss, grad.reshape(TIME, BATCH, -1)


def train(rpu_config):
    """Return the perplexity of every step, and at last that of the unseen text."""
    rnn = nn.AnalogRNN(nn.AnalogLSTMCell, len(LETTERS), HIDDEN, rpu_config=rpu_config, rng=1)
    head = nn.AnalogLinear(HIDDEN, len(LETTERS), rpu_config=rpu_config, rng=2)
    optimizer, losses = optim.AnalogSGD([*rnn.parameters(), *head.parameters()], lr=1.0), []
    while len(losses) < STEPS:
        for loss, grad in walk(rnn, head, TEXT):
            rnn.backward(head.backward(grad), input_grad=False)
            optimizer.step()  # the pairs of all letters of the window, in one update
            losses.append(loss)
            if len(losses) == STEPS:
                break
    unseen = np.mean([loss for loss, _ in walk(rnn.eval(), head.eval(), UNSEEN)])
    return np.exp(losses), math.exp(unseen)


tiki_taka = presets.TTv2ReRamSBPreset()
NETWORKS = {
    "floating point": rs.FloatingPointRPUConfig(),
    "ReRAM": presets.ReRamSBPreset(),
    "ReRAM, Tiki-Taka": tiki_taka.replace(device=tiki_taka.device.replace(transfer_every=4.0)),
}
fig = Figure(layout="constrained")
axes = fig.subplots()
results = {}
for name, rpu_config in NETWORKS.items():
    curve, results[name] = train(rpu_config)
    axes.semilogy(curve, label=name, linewidth=0.8)
    print(f"{name}: perplexity {results[name]:.2f} after {STEPS} steps")
axes.set(xlabel="step", ylabel="perplexity")
axes.legend()
fig.savefig("lstm_text.png", dpi=150)
print(
    "The learning curves are in lstm_text.png; a guess would waver among", len(LETTERS), "letters."
)
