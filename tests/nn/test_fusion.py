"""Conductances for hardware with one device per weight: exported, and imported again."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn
from rpusim.errors import ConfigError, DataError, ShapeError, StateError

PERFECT = rs.InferenceRPUConfig(forward=rs.IOParameters(is_perfect=True))


def network(rng=1, **mapping):
    config = PERFECT.replace(mapping=mapping) if mapping else PERFECT
    return nn.Sequential(
        nn.AnalogLinear(3, 2, rpu_config=config, rng=rng),
        nn.Tanh(),
        nn.AnalogLinear(2, 2, rpu_config=config, rng=rng + 1),
    )


def weights(model):
    return [layer.get_weights(apply_weight_scaling=False)[0] for layer in model.analog_layers()]


def test_the_file_is_that_of_the_established_format_with_a_head_and_signs(tmp_path):
    model = network()
    model[0].set_weights([[1.0, -0.5, 0.25], [-0.5, 1.0, 0.25]])
    model[2].set_weights([[0.5, 0.1], [-0.3, 0.4]])
    rs.fusion_export(model, file_name=tmp_path / "chip.csv")
    raw = (tmp_path / "chip.csv").read_bytes()
    assert b"\r" not in raw
    lines = raw.decode().splitlines()
    assert lines[0] == "rpusim-fusion,1"
    assert lines[1:7] == ["1,3", "AnalogLinear,AnalogLinear", "6,4", "2,2", "3,2", "0,2"]
    assert [float(g) for g in lines[7].split(",")] == [40.0, 20.0, 10.0, 20.0, 40.0, 10.0]
    g = [float(g) for g in lines[8].split(",")]
    np.testing.assert_allclose(g, [40.0, 8.0, 30.0, 40.0], rtol=1e-6)
    assert lines[9:11] == ["1,-1,1,-1,1,1", "1,1,-1,1"]
    assert [float(s) for s in lines[11].split(",")] == [40.0, 40.0]


@pytest.mark.parametrize("mapping", [{}, {"weight_scaling_omega": 0.6}, {"max_input_size": 2}])
@pytest.mark.parametrize("way", ["file", "export", "lists"])
def test_weights_come_back(mapping, way, tmp_path):
    model, other = network(1, **mapping), network(7, **mapping)
    export = rs.fusion_export(model, file_name=tmp_path / "chip.csv")
    data = {"file": str(tmp_path / "chip.csv"), "export": export, "lists": export.conductances}
    params = export.params if way == "lists" else None
    back = rs.fusion_import(data[way], other, params, export.state)
    assert back is other
    assert not other.training
    for a, b in zip(weights(model), weights(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    x = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(model.eval()(x), other(x), atol=1e-5)


@pytest.mark.parametrize("w", [[[0.5, 0.5, 0.5], [-0.2, -0.2, -0.2]], np.zeros((2, 3))])
def test_rows_of_equal_weights_come_back_too(w):
    model = network()
    model[0].set_weights(w)
    export = rs.fusion_export(model)
    other = rs.fusion_import(export, network(7))
    np.testing.assert_allclose(weights(other)[0], w, atol=1e-7)


def test_a_factor_of_the_chip_is_taken_out_where_the_weights_are_known(tmp_path):
    model = network()
    export = rs.fusion_export(model, file_name=tmp_path / "chip.csv")
    measured = [0.8 * g for g in export.conductances]
    fitted = rs.fusion_import(measured, network(7), export.params)
    plain = [[{k: v for k, v in p.items() if k != "weights"} for p in own] for own in export.params]
    scaled = rs.fusion_import(measured, network(7), plain)
    for w, a, b in zip(weights(model), weights(fitted), weights(scaled), strict=True):
        np.testing.assert_allclose(a, w, rtol=1e-5)
        np.testing.assert_allclose(b, 0.8 * w, rtol=1e-5)


def test_the_fit_is_least_squares_through_the_origin():
    model = network()
    w = weights(model)[0].astype(float)
    export = rs.fusion_export(model)
    rng = np.random.default_rng(0)
    g = export.conductances[0].astype(float) * rng.uniform(0.5, 1.5, 6)
    back = rs.fusion_import([g, export.conductances[1]], network(7), export.params)
    signed = g.reshape(2, 3) * np.where(w < 0, -1.0, 1.0)
    for row in range(2):
        b = np.linalg.lstsq(signed[row][:, None], w[row], rcond=None)[0][0]
        np.testing.assert_allclose(weights(back)[0][row], b * signed[row], rtol=1e-5)


def test_a_file_without_signs_needs_params(tmp_path):
    model = network()
    export = rs.fusion_export(model, file_name=tmp_path / "chip.csv")
    lines = (tmp_path / "chip.csv").read_text().splitlines()
    (tmp_path / "old.csv").write_text(
        "\n".join(lines[1:6]) + "\n" + "\r\n".join(lines[6:9]) + "\r\n"
    )
    with pytest.raises(DataError, match="params is needed"):
        rs.fusion_import(tmp_path / "old.csv", network(7))
    other = rs.fusion_import(tmp_path / "old.csv", network(7), export.params)
    for a, b in zip(weights(model), weights(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def broken(lines, kind):
    """Return the lines of a file with something wrong."""
    if kind == "truncated":
        return lines[:-2]
    if kind == "version":
        return ["rpusim-fusion,9", *lines[1:]]
    if kind == "layer":
        return [*lines[:5], "4,2", *lines[6:]]
    if kind == "text":
        return [*lines[:7], "a,b,c,d,e,f", *lines[8:]]
    if kind == "short":
        return [*lines[:7], "1.0,2.0", *lines[8:]]
    if kind == "negative":
        return [*lines[:7], "-1.0,2,3,4,5,6", *lines[8:]]
    if kind == "signs":
        return [*lines[:9], "1,1", *lines[10:]]
    return ["hello"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "is not complete"),
        ("version", "has version"),
        ("layer", "inputs must be 3, 2, got 4, 2"),
        ("text", "holds what is no number"),
        ("short", "must have 6 conductances"),
        ("negative", "numbers >= 0"),
        ("signs", "do not fit the model"),
        ("foreign", "is no file of this model"),
    ],
)
def test_a_wrong_file_is_refused_and_changes_nothing(kind, message, tmp_path):
    rs.fusion_export(network(), file_name=tmp_path / "chip.csv")
    lines = (tmp_path / "chip.csv").read_text().splitlines()
    (tmp_path / "wrong.csv").write_text("\n".join(broken(lines, kind)) + "\n")
    other = network(7)
    before = weights(other)
    with pytest.raises((DataError, ShapeError), match=message):
        rs.fusion_import(tmp_path / "wrong.csv", other)
    for a, b in zip(before, weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_pairs_can_be_exported_and_imported_but_not_filed(tmp_path):
    pair, model = rs.SinglePairConductanceConverter(), network()
    export = rs.fusion_export(model, pair)
    assert export.conductances[0].shape == (12,)
    other = rs.fusion_import(export, network(7), g_converter=pair)
    np.testing.assert_allclose(weights(other)[0], weights(model)[0], rtol=1e-5)
    with pytest.raises(ConfigError, match="one device for the magnitude"):
        rs.fusion_export(model, pair, tmp_path / "chip.csv")
    assert not list(tmp_path.iterdir())


def test_targets_are_exported_not_what_devices_hold():
    model = network().eval()
    before = rs.fusion_export(model)
    model.program_analog_weights()
    model.drift_analog_weights(3600.0)
    for a, b in zip(before.conductances, rs.fusion_export(model).conductances, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_no_model_or_has_no_analog_layer_is_refused():
    with pytest.raises(ConfigError, match="model must be a Module"):
        rs.fusion_export("model")
    with pytest.raises(StateError, match="no analog layers"):
        rs.fusion_export(nn.Sequential(nn.Tanh()))
    with pytest.raises(ConfigError, match="g_converter must be a converter"):
        rs.fusion_export(network(), rs.FusionConductanceConverter)
