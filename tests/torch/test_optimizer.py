"""`AnalogOptimizer`: the order of a step, what it consumes, what it passes on, what it refuses."""

import copy
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim.errors import ConfigError, StateError  # noqa: E402
from rpusim.torch import AnalogLinear, AnalogOptimizer  # noqa: E402

PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice())
IDEAL = rs.FloatingPointRPUConfig()
HARDWARE_AWARE = rs.InferenceRPUConfig()


def made(config=PULSED, **options):
    layer = AnalogLinear(4, 3, rpu_config=config, rng=0, **options)
    return layer, AnalogOptimizer(torch.optim.SGD(layer.parameters(), lr=0.1))


def go_back(layer):
    layer(torch.ones(2, 4)).sum().backward()


def weights(layer):
    return layer.get_weights()[0].clone()


# ---------------------------------------------------------------- item 3: once, and never again


@pytest.mark.parametrize("config", [PULSED, IDEAL, HARDWARE_AWARE])
def test_a_step_applies_what_was_recorded_once(config):
    layer, optimizer = made(config)
    go_back(layer)
    before = weights(layer)
    optimizer.step()
    once = weights(layer)
    optimizer.zero_grad()
    optimizer.step()
    assert not torch.equal(before, once)
    assert torch.equal(once, weights(layer))
    assert layer.core.weight.pairs == []


@pytest.mark.parametrize("config", [PULSED, IDEAL])
def test_zero_grad_drops_what_was_recorded(config):
    layer, optimizer = made(config)
    before = weights(layer)
    go_back(layer)
    optimizer.zero_grad()
    optimizer.step()
    assert torch.equal(before, weights(layer))


def test_nothing_waits_any_more_if_a_step_fails(monkeypatch):
    layer, optimizer = made()
    go_back(layer)
    monkeypatch.setattr(optimizer.optimizer, "step", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        optimizer.step()
    assert layer.core.weight.pairs == []


def test_backward_twice_is_a_sum():
    twice, once = made(IDEAL), made(IDEAL)
    for _ in range(2):
        go_back(twice[0])
    (2.0 * once[0](torch.ones(2, 4)).sum()).backward()
    twice[1].step()
    once[1].step()
    assert torch.allclose(weights(twice[0]), weights(once[0]), atol=1e-6)


# ---------------------------------------------------------------- item 4: the wrapped optimizer


def test_the_rate_is_that_of_the_group_now():
    layers = [made(IDEAL)[0] for _ in range(2)]
    groups = [{"params": layers[0].parameters(), "lr": 0.1}]
    optimizer = AnalogOptimizer(torch.optim.SGD(groups, lr=1.0))
    optimizer.add_param_group({"params": layers[1].parameters(), "lr": 0.3})
    before = [weights(layer) for layer in layers]
    for layer in layers:
        go_back(layer)
    optimizer.step()
    moved = [float((a - weights(b)).mean()) for a, b in zip(before, layers, strict=True)]
    assert moved == pytest.approx([0.2, 0.6], abs=1e-6)  # rate x two vectors of ones


def test_rates_of_pulsed_tiles_follow_a_scheduler():
    layer, optimizer = made()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)
    go_back(layer)
    optimizer.step()
    scheduler.step()
    after = weights(layer)
    go_back(layer)
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.0
    assert torch.equal(after, weights(layer))


def test_a_closure_passes_through():
    layer, optimizer = made(IDEAL)

    def closure():
        optimizer.zero_grad()
        loss = layer(torch.ones(2, 4)).sum()
        loss.backward()
        return loss

    before, loss = weights(layer), layer(torch.ones(2, 4)).sum().item()
    assert optimizer.step(closure).item() == loss
    assert torch.allclose(before - weights(layer), torch.full((3, 4), 0.2), atol=1e-6)


def test_lbfgs_trains_a_tile_that_learns_in_digital():
    layer = made(IDEAL)[0]
    optimizer = AnalogOptimizer(torch.optim.LBFGS(layer.parameters(), max_iter=20))
    x, target = torch.eye(4), torch.ones(4, 3)

    def closure():
        optimizer.zero_grad()
        loss = (layer(x) - target).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() < 1e-6


def test_the_state_is_that_of_the_wrapped_optimizer():
    layer = made(HARDWARE_AWARE)[0]
    one, two = (AnalogOptimizer(torch.optim.Adam(layer.parameters())) for _ in range(2))
    go_back(layer)
    one.step()
    two.load_state_dict(one.state_dict())
    assert two.state_dict()["state"][0]["step"] == 1
    assert len(two.state) == 2
    assert two.defaults["lr"] == 0.001


def test_wrappers_can_be_copied_and_pickled():
    layer, optimizer = made(HARDWARE_AWARE)
    other_layer, other = copy.deepcopy((layer, optimizer))
    go_back(other_layer)
    before = weights(layer)
    other.step()
    assert torch.equal(weights(layer), before)
    assert not torch.equal(weights(other_layer), before)
    assert pickle.loads(pickle.dumps(optimizer)).param_groups[0]["lr"] == 0.1


def test_moments_on_a_pulsed_tile_are_warned_of_once_by_name():
    layer = made()[0]
    with pytest.warns(UserWarning, match=r"Adam cannot .*AnalogLinear\(4 -> 3, .*SoftBounds"):
        optimizer = AnalogOptimizer(torch.optim.Adam(layer.parameters()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.add_param_group({"params": made()[0].parameters()})
        AnalogOptimizer(torch.optim.Adam(made(HARDWARE_AWARE)[0].parameters()))
        AnalogOptimizer(torch.optim.SGD(layer.parameters(), lr=0.1))
    with pytest.warns(UserWarning, match="momentum, weight_decay cannot act on pulsed tiles"):
        AnalogOptimizer(torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9, weight_decay=0.1))


def test_maximizing_goes_up():
    layer = made(PULSED)[0]
    optimizer = AnalogOptimizer(torch.optim.SGD(layer.parameters(), lr=0.1, maximize=True))
    before = weights(layer)
    go_back(layer)
    optimizer.step()
    assert float((weights(layer) - before).mean()) > 0.0


def test_loss_scaling_is_refused_for_pulsed_tiles():
    layer, optimizer = made()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(layer(torch.ones(2, 4)).sum()).backward()
    with pytest.raises(StateError, match="GradScaler cannot unscale"):
        scaler.step(optimizer)


def test_a_step_after_refused_loss_scaling_is_a_step_of_its_own():
    layer, optimizer = made()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(layer(torch.ones(2, 4)).sum()).backward()
    with pytest.raises(StateError, match="GradScaler"):
        scaler.step(optimizer)
    assert layer.core.weight.pairs == []  # they were scaled
    before = weights(layer)
    go_back(layer)
    optimizer.step()
    assert not torch.equal(weights(layer), before)


def test_devices_that_no_optimizer_can_step_are_warned_of():
    layer = copy.deepcopy(made()[0])  # which the optimizer does not have
    plain = torch.optim.SGD(layer.parameters(), lr=0.1)

    def train():
        for _ in range(12):
            plain.zero_grad()
            go_back(layer)
            plain.step()

    match = r"AnalogLinear\(4 -> 3.*no AnalogOptimizer has this layer: its devices"
    with pytest.warns(UserWarning, match=match) as told:
        train()
    assert len(told) == 1


def test_gradients_over_many_batches_are_not_warned_of():
    layer, optimizer = made()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(12):
            go_back(layer)
        optimizer.step()


def test_loss_scaling_is_undone_for_tiles_that_learn_in_digital():
    scaled, plain = made(HARDWARE_AWARE), made(HARDWARE_AWARE)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(scaled[0](torch.ones(2, 4)).sum()).backward()
    scaler.step(scaled[1])
    go_back(plain[0])
    plain[1].step()
    assert torch.allclose(weights(scaled[0]), weights(plain[0]), atol=1e-6)


def test_autocast_needs_no_scaler():
    layer, optimizer = made()
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), layer)
    before = weights(layer)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(torch.ones(2, 4)).float().square().sum()
    loss.backward()
    optimizer.step()
    assert not torch.equal(before, weights(layer))


@pytest.mark.parametrize("config", [PULSED, IDEAL])
def test_clipping_counts_pulsed_tiles_by_the_norm_of_their_gradient(config):
    layer, optimizer = made(config, bias=False)
    x, d = torch.rand(7, 4), torch.rand(7, 3)
    layer(x).backward(d)
    norm = float((d.T @ x).norm())
    assert optimizer.clip_grad_norm(0.5) == pytest.approx(norm, rel=1e-6)
    assert optimizer.clip_grad_norm() == pytest.approx(0.5, rel=1e-6)


def test_scales_of_the_forward_belong_to_the_pulses():
    config = rs.RPUConfig(
        device=rs.IdealDevice(), mapping=rs.MappingParameter(learn_out_scaling=True)
    )
    layer, optimizer = made(config, bias=False)
    with torch.no_grad():
        layer.out_scaling.fill_(2.0)
    before = layer.tile.get_weights(apply_weight_scaling=False)[0]
    go_back(layer)
    optimizer.step()
    moved = before - layer.tile.get_weights(apply_weight_scaling=False)[0]
    assert np.allclose(moved, 0.1 * 2.0 * 2.0, atol=1e-6)  # rate x scale x vectors


@pytest.mark.parametrize("given", [torch.optim.SGD, None, [1]])
def test_what_is_no_optimizer_is_refused(given):
    with pytest.raises(ConfigError, match=r"AnalogOptimizer\(torch.optim.SGD\(model.parameters"):
        AnalogOptimizer(given)
