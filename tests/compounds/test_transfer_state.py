"""Tiki-Taka with and without buffer: states continue, same bits everywhere, bounds hold."""

import pytest

import rpusim as rs
from rpusim.kernels import backend
from rpusim.tiles import compounds
from rpusim.tiles.compounds import BufferedTransferCompound, TransferCompound
from tests.backends import OTHERS
from tests.compounds.cells import check_continues, random_steps, same_state, tile_of


def noisy(**changes):
    return rs.SoftBoundsDevice(lifetime=100.0, diffusion=0.001, **changes)


PULSED = dict(fast_lr=0.5, units_in_mbatch=False)
PAIR = rs.ReferenceUnitCell([noisy()])
CELLS = {
    "columns": TransferCompound([noisy(), noisy()], transfer_every=2.0, **PULSED),
    "rows, drawn": TransferCompound(
        [noisy(), noisy(write_noise_std=1.0)], transfer_columns=False, random_selection=True,
        n_reads_per_transfer=2, gamma=0.3, **PULSED,
    ),
    "resets": TransferCompound([noisy(), noisy()], with_reset_prob=0.5, gamma=1.0, **PULSED),
    "chain of pairs": TransferCompound([PAIR] * 3, gamma_vec=[1.0, -1.0, 1.0], **PULSED),
    "nested": TransferCompound(
        [TransferCompound([noisy()] * 2, **PULSED), rs.VectorUnitCell([noisy()] * 2)], gamma=0.5
    ),
    "buffered": BufferedTransferCompound([noisy(), noisy()], thres_scale=0.1, **PULSED),
    "buffered rows": BufferedTransferCompound(
        [noisy()] * 3, transfer_columns=False, forget_buffer=False, n_reads_per_transfer=2,
        random_selection=True, gamma=0.5, transfer_update=dict(desired_bl=5), **PULSED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_a_saved_cell_continues_bit_for_bit(name, tmp_path):
    check_continues(
        lambda: tile_of(CELLS[name], update=rs.UpdateParameters()), tmp_path / "tile.npz"
    )


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", CELLS)
def test_all_backends_give_the_same_bits(name, other):
    tiles = [tile_of(CELLS[name], update=rs.UpdateParameters(), backend=b) for b in ("cpu", other)]
    for tile in tiles:
        random_steps(tile, 4)
    same_state(*tiles)
    assert tiles[0].stats.transfers > 0


@pytest.mark.parametrize("name", CELLS)
def test_the_number_of_threads_changes_no_bit(name, monkeypatch):
    monkeypatch.setattr(backend, "WORTH_A_THREAD", 1)
    before, tiles = rs.get_num_threads(), []
    try:
        for count in (1, 3):
            rs.set_num_threads(count)
            tiles.append(tile_of(CELLS[name], (17, 19), rs.UpdateParameters()))
            random_steps(tiles[-1], 3)
    finally:
        rs.set_num_threads(before)
    same_state(*tiles)


@pytest.mark.parametrize("name", CELLS)
def test_weights_stay_within_the_range_that_is_told(name):
    tile = tile_of(CELLS[name], (5, 6), rs.UpdateParameters())
    random_steps(tile, 40, rate=1.0)
    low, high = tile.weight_range()
    w = tile.crossbar._held()
    assert ((low - 1e-6 <= w) & (w <= high + 1e-6)).all()
    for name, plane in tile.get_hidden_parameters().items():
        if name.startswith("persistent_weights"):
            end = name.removeprefix("persistent_weights")
            hidden = tile.get_hidden_parameters()
            assert (plane <= hidden["max_bound" + end]).all()
            assert (plane >= hidden["min_bound" + end]).all()


def test_a_cell_survives_storage():
    for device in CELLS.values():
        config = rs.RPUConfig(device=device)
        assert rs.RPUConfig.from_dict(config.to_dict()) == config
        assert eval(repr(config), {**vars(rs), **vars(compounds)}) == config
