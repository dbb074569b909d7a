"""Conductances that are computed anew from programmed weights: the reference's figures, and ours.

The figures are those of aihwkit 1.1.0: 100 tiles of 200 x 12, each target 200 times, programmed,
converted again, drifted; mean and standard deviation of 20000 samples. rpusim drifts what was
programmed; `reconvert` is there to compare.
"""

import numpy as np
import pytest

from rpusim.inference import PCMLikeNoiseModel, ProgrammedDevices

SAMPLES = 20_000
TARGETS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, -0.5, -1.0, 0.0)
UNCOMPENSATED = {
    20.0: """-.0001 .0096 .0068 .0126 .0153 .0150 .0438 .0199 .0917 .0248 .2376 .0362 .4789 .0484
             .7212 .0559 .9622 .0569 -.4789 .0488 -.9632 .0572""",
    3600.0: """.0000 .0068 .0044 .0088 .0106 .0112 .0319 .0162 .0706 .0219 .1907 .0327 .3844 .0434
               .5787 .0520 .7731 .0579 -.3848 .0434 -.7724 .0580""",
    86400.0: """.0000 .0054 .0033 .0072 .0086 .0096 .0262 .0148 .0590 .0209 .1641 .0314 .3294 .0424
                .4954 .0526 .6626 .0617 -.3296 .0425 -.6624 .0620""",
    31536000.0: """-.0000 .0038 .0023 .0054 .0057 .0076 .0183 .0131 .0425 .0199 .1238 .0301 .2481
                   .0404 .3735 .0539 .4975 .0665 -.2479 .0404 -.4978 .0662""",
}
COMPENSATED = {
    20.0: """-.0000 .0100 .0069 .0131 .0158 .0155 .0451 .0204 .0951 .0257 .2462 .0376 .4960 .0499
             .7464 .0573 .9964 .0583""",
    3600.0: """-.0001 .0086 .0058 .0115 .0139 .0146 .0416 .0210 .0911 .0283 .2471 .0423 .4981 .0563
               .7491 .0670 1.0009 .0748""",
    86400.0: """-.0000 .0080 .0052 .0110 .0129 .0144 .0393 .0222 .0891 .0317 .2478 .0479 .4993 .0637
                .7514 .0801 1.0027 .0929""",
    31536000.0: """-.0002 .0078 .0045 .0109 .0114 .0154 .0368 .0266 .0864 .0398 .2500 .0603 .5003
                   .0812 .7534 .1082 1.0046 .1361""",
}
#: compensation factors of a tile of 512 x 512 with weights clip(0.3 N, -1, 1), perfect reads
FACTORS = {1.0: 1.0025, 3600.0: 1.298, 86400.0: 1.520, 31536000.0: 2.028}


@pytest.fixture(scope="module")
def samples():
    """Weights of 100 tiles by time, without and with a global compensation."""
    plain, corrected, factors = ({t: [] for t in UNCOMPENSATED} for _ in range(3))
    targets = np.tile(np.array(TARGETS, np.float32), (200, 1))
    for seed in range(100):
        devices = ProgrammedDevices(PCMLikeNoiseModel(), targets, rng=seed, reconvert=True)
        before = np.abs(devices.weights()).mean()
        for t in plain:
            w = devices.weights(t)
            plain[t].append(w)
            factors[t].append(before / np.abs(w).mean())
            corrected[t].append(w * factors[t][-1])
    found = {"plain": plain, "corrected": corrected}
    return {k: {t: np.concatenate(w) for t, w in v.items()} for k, v in found.items()}, factors


@pytest.mark.parametrize(("kind", "table"), [("plain", UNCOMPENSATED), ("corrected", COMPENSATED)])
@pytest.mark.parametrize("t", list(UNCOMPENSATED))
def test_converted_again_devices_drift_as_in_the_reference(samples, kind, table, t):
    figures, (samples, factors) = np.array(table[t].split(), float).reshape(-1, 2), samples
    w = samples[kind][t][:, : len(figures)].astype(float)
    mean, std = figures.T
    # both sides are estimates; 5 standard errors of their difference, and half a unit printed
    z = 5.0 * np.sqrt(2.0)
    kurtosis = ((w - w.mean(axis=0)) ** 4).mean(axis=0) / w.var(axis=0) ** 2
    of_std = std * np.sqrt((kurtosis - 1.0) / (4.0 * SAMPLES))
    # a tile's own factor shifts all of its weights: 100 tiles count, not 20000 samples
    spread = 0.0 if kind == "plain" else np.std(factors[t]) / np.mean(factors[t])
    of_mean = std / np.sqrt(SAMPLES) + spread * np.abs(mean) / np.sqrt(100.0)
    assert np.all(np.abs(w.mean(axis=0) - mean) <= z * of_mean + 5e-5)
    assert np.all(np.abs(w.std(axis=0) - std) <= z * of_std + 5e-5)


@pytest.mark.parametrize("reconvert", [True, False])
def test_the_factor_of_the_reference_needs_its_second_conversion(reconvert):
    w = np.clip(0.3 * np.random.default_rng(0).normal(size=(512, 512)), -1.0, 1.0)
    devices = ProgrammedDevices(PCMLikeNoiseModel(), w, rng=1, reconvert=reconvert)
    before = np.abs(devices.weights().astype(float))
    off, error = {}, {}
    for t, factor in FACTORS.items():
        now = np.abs(devices.weights(t).astype(float))
        off[t] = abs(before.mean() / now.mean() / factor - 1.0)
        # the relative error of a ratio of means of the same weights, on both sides
        spread = (before / before.mean() - now / now.mean()).std() / np.sqrt(w.size)
        error[t] = 5.0 * np.sqrt(2.0) * spread + 0.5e-3 / factor  # half a unit printed
    last = 31536000.0
    if reconvert:
        assert all(off[t] < error[t] for t in FACTORS)
    else:  # exponents and reads depend on conductances, which are smaller in the reference
        assert off[last] > error[last]
