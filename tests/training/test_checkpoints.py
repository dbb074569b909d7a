"""Model and optimizer in one file continue bit for bit, at every state and for every algorithm."""

import copy

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import StateError

pytestmark = pytest.mark.filterwarnings("ignore")  # of clipped weights and of doubtful settings

SOFT = rs.SoftBoundsDevice(w_max=1.0, w_min=-1.0, dw_min=0.02)
PAIR = [SOFT, SOFT]
DEVICES = {
    "constant step, decay": rs.ConstantStepDevice(lifetime=100.0, diffusion=0.01),
    "ideal": rs.IdealDevice(),
    "vector": rs.VectorUnitCell(PAIR),
    "reference": rs.ReferenceUnitCell(PAIR),
    "one-sided": rs.OneSidedUnitCell(PAIR, refresh_every=5),
    "transfer": rs.TransferCompound(PAIR, transfer_every=3.0),
    "buffered": rs.BufferedTransferCompound(PAIR, transfer_every=3.0),
    "chopped": rs.ChoppedTransferCompound(PAIR, transfer_every=3.0, in_chop_prob=0.3),
    "dynamic": rs.DynamicTransferCompound(PAIR, transfer_every=3.0, in_chop_prob=0.3),
    "mixed precision": rs.MixedPrecisionCompound(SOFT),
    "integer mixed precision": rs.IntegerMixedPrecisionCompound(SOFT),
    "residual": rs.ResidualTransferCompound(PAIR),
    "many tiles": rs.MultiTileResidualCompound([SOFT] * 3),
    "e-rider": rs.ERiderTransferCompound(PAIR),
}
AWARE = {"type": "ADD_NORMAL", "std_dev": 0.05}
CONFIGS = {name: rs.RPUConfig(device=device) for name, device in DEVICES.items()} | {
    "inference": rs.InferenceRPUConfig(
        modifier=AWARE,
        remap={"type": "LAYERWISE_SYMMETRIC"},
        pre_post={"input_range": {"enable": True}},
        mapping={"weight_scaling_omega": 0.6, "learn_out_scaling": True},
    ),
    "floating point": rs.FloatingPointRPUConfig(),
    "grid": rs.RPUConfig(device=SOFT, mapping={"max_input_size": 3, "max_output_size": 2}),
}


def made(name, rng):
    model = nn.Sequential(
        nn.AnalogLinear(5, 4, rpu_config=CONFIGS[name], rng=rng),
        nn.Tanh(),
        nn.Linear(4, 2, rng=rng),
    )
    optimizer = optim.AnalogAdam(model.parameters(), lr=0.02, analog_mode="sgd")
    return {"model": model, "optimizer": optimizer, "schedule": optim.CosineSchedule(optimizer, 20)}


def train(parts, steps, seed):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        y = parts["model"](rng.normal(size=(3, 5)))
        parts["model"].backward(nn.mse(y, rng.normal(size=(3, 2)))[1])
        parts["optimizer"].step()
        parts["schedule"].step()


def state_of(parts):
    return {f"{n}/{k}": a for n, part in parts.items() for k, a in part.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_continues_from_one_file(name, steps, tmp_path):
    parts, others = made(name, 1), made(name, 2)
    train(parts, steps, 5)
    rs.save(tmp_path / "run.npz", parts)
    train(others, 2, 7)
    rs.load(tmp_path / "run.npz", into=others)
    assert_same(state_of(others), state_of(parts))
    for run in (parts, others):
        train(run, 4, 6)
    assert_same(state_of(others), state_of(parts))
    x = np.ones((3, 5))
    np.testing.assert_array_equal(others["model"](x), parts["model"](x))


@pytest.mark.parametrize("moment", ["programmed", "drifted"])
def test_programmed_models_continue_from_one_file(moment, tmp_path):
    parts, others = made("inference", 1), made("inference", 2)
    train(parts, 3, 5)
    parts["model"].eval().program_analog_weights()
    if moment == "drifted":
        parts["model"].drift_analog_weights(3600.0)
    rs.save(tmp_path / "run.npz", parts)
    rs.load(tmp_path / "run.npz", into=others)
    results = []
    for run in (parts, others):
        run["model"].eval().drift_analog_weights(86400.0)
        results.append(run["model"](np.ones((3, 5))))
        run["model"].train()
        train(run, 3, 6)
    np.testing.assert_array_equal(*results)
    assert_same(state_of(others), state_of(parts))


def test_another_device_is_refused_by_name_and_changes_nothing(tmp_path):
    rs.save(tmp_path / "run.npz", made("constant step, decay", 1))
    others = made("chopped", 2)
    before = state_of(others)
    with pytest.raises(StateError, match=r"model: Sequential\.load_state_dict: 0\.tile: .*missing"):
        rs.load(tmp_path / "run.npz", into=others)
    assert_same(state_of(others), before)


@pytest.mark.parametrize(
    ("held", "own", "message"),
    [
        (rs.SoftBoundsDevice(), rs.LinearStepDevice(), "LinearStepDevice, got SoftBoundsDevice"),
        (rs.TransferCompound(PAIR), rs.ResidualTransferCompound(PAIR), "got TransferCompound"),
        (
            rs.VectorUnitCell(PAIR),
            rs.VectorUnitCell([SOFT, rs.LinearStepDevice()]),
            r"got VectorUnitCell\(SoftBoundsDevice, SoftBoundsDevice\)",
        ),
    ],
)
@pytest.mark.parametrize("limits", [{}, {"max_input_size": 3}], ids=["tile", "grid"])
def test_devices_of_equal_arrays_are_told_apart(held, own, message, limits, tmp_path):
    first, other = (
        nn.AnalogLinear(5, 4, rpu_config=rs.RPUConfig(device=device, mapping=limits), rng=1)
        for device in (held, own)
    )
    rs.save(tmp_path / "model.npz", first)
    before = other.state_dict()
    with pytest.raises(StateError, match=rf"device must be .*{message}"):
        rs.load(tmp_path / "model.npz", into=other)
    assert_same(other.state_dict(), before)
    older = {n: a for n, a in first.state_dict().items() if not n.endswith(".device")}
    twin = copy.deepcopy(first)
    twin.load_state_dict(older)  # as written before devices were named
    assert_same(twin.state_dict(), first.state_dict())
