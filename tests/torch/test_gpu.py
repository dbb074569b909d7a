"""Tensors of a GPU in layers whose tiles live there: exchanged by DLPack, never copied.

There is no GPU here, so tensors of the CPU are taken for tensors of one; what tiles see are then
arrays as strict as CuPy's.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim.kernels.device_arrays import is_device_array  # noqa: E402
from rpusim.torch import AnalogConv1d, AnalogLinear, AnalogOptimizer, arrays  # noqa: E402

CONFIGS = {
    "pulsed": rs.RPUConfig(device=rs.SoftBoundsDevice()),
    "hardware-aware": rs.InferenceRPUConfig(modifier=dict(type="ADD_NORMAL", std_dev=0.1)),
    "Tiki-Taka": rs.RPUConfig(device=rs.TransferCompound([rs.SoftBoundsDevice()] * 2)),
}


@pytest.fixture
def there(monkeypatch):
    """Let all tensors be taken for tensors of a GPU; return what tiles were given."""
    seen, forward = [], rs.AnalogTile.forward
    monkeypatch.setattr(arrays, "lives_on_gpu", lambda x: True)

    def noted(tile, x, is_test=False):
        seen.append(x)
        return forward(tile, x, is_test)

    monkeypatch.setattr(rs.AnalogTile, "forward", noted)
    monkeypatch.setattr(rs.InferenceTile, "forward", noted, raising=False)
    return seen


def trained(config, steps=3):
    layer = AnalogLinear(6, 5, rpu_config=config, rng=1, backend="cuda")
    optimizer = AnalogOptimizer(torch.optim.SGD(layer.parameters(), lr=0.05))
    x = torch.as_tensor(np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32))
    x.requires_grad_(True)
    for _ in range(steps):
        optimizer.zero_grad()
        y = layer(x)
        y.square().mean().backward()
        optimizer.step()
    return [y.detach().numpy(), x.grad.numpy(), *layer.get_weights()]


@pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")
@pytest.mark.parametrize("name", CONFIGS)
def test_training_gives_what_it_gives_with_tensors_of_the_cpu(name, monkeypatch):
    here = trained(CONFIGS[name])
    monkeypatch.setattr(arrays, "lives_on_gpu", lambda x: True)
    for one, other in zip(here, trained(CONFIGS[name]), strict=True):
        np.testing.assert_allclose(np.asarray(other), np.asarray(one), rtol=1e-6, atol=1e-7)


def test_nothing_is_copied(there):
    layer = AnalogLinear(6, 5, rpu_config=CONFIGS["pulsed"], rng=1, backend="cuda")
    x = torch.ones(4, 6)
    layer(x)
    assert is_device_array(there[-1])
    assert there[-1].__cuda_array_interface__["data"][0] == x.data_ptr()


def test_a_tile_of_the_cpu_is_given_arrays_of_the_cpu(there):
    AnalogLinear(6, 5, rpu_config=CONFIGS["pulsed"], rng=1)(torch.ones(4, 6))
    assert type(there[-1]) is np.ndarray


def test_other_layers_do_not_take_them():
    assert AnalogConv1d(1, 2, 3, rng=1, backend="cuda").input_backend == "cpu"


def test_moving_the_model_leaves_the_parameters_beside_the_tile(monkeypatch):
    layer = AnalogLinear(6, 5, rpu_config=CONFIGS["pulsed"], rng=1, backend="cuda")
    weight = layer.weight.detach().clone()
    there = torch.device("cuda")
    move, empty = torch.Tensor.to, torch.empty(0)

    class Moved:
        """A tensor that claims to be on a GPU."""

        def __init__(self, tensor):
            self.tensor, self.device = tensor, there

        def cpu(self):
            return self.tensor

    layer._apply(lambda t: Moved(move(t, torch.float32)))
    assert layer.weight.device == empty.device
    assert torch.equal(layer.weight, weight)
