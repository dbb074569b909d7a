r"""The circuit of an output line: device pairs along a wire, read at one end.

A line has S segments, from the far end to the ADC. The devices of segment k have the total
conductance :math:`G_k = \sum_j (g^+_j + g^-_j)`; :math:`R_k` is the wire from the middle of segment
k to that of the next, for the last one to the ADC. Looking from segment k to the far end the line
is a source with the admittance

.. math:: Y_1 = G_1, \qquad Y_{k+1} = \frac{Y_k}{1 + R_k Y_k} + G_{k+1}

and of the current that enters in segment k the share

.. math:: h_k = \prod_{l \ge k} \frac{1}{1 + R_l Y_l}

reaches an ADC that holds its end at 0 V. Both depend on the devices alone, not on the inputs, so
that all currents are linear in the voltages of the inputs.
"""

from __future__ import annotations

import numpy as np

from rpusim.errors import ConfigError
from rpusim.periphery.ladder_settings import IOParametersIRDropT

__all__ = ["effective_matrix", "physical_size", "transfer"]

MEGAOHM = 1e-6  # in ohms: conductances are in uS, so that R * Y has no unit


def transfer(
    conductances: np.ndarray, io: IOParametersIRDropT, n_physical: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return what share of each device's current reaches the ADC, and the lines' admittances.

    Output lines of even number are read behind their last input, those of odd number before the
    first. Inputs stand in the middle of the physical lines, the others are empty.

    Parameters
    ----------
    conductances : ndarray of shape (m, n)
        :math:`g^+ + g^-` in uS.
    io : IOParametersIRDropT
        The settings.
    n_physical : int, default 0
        Inputs of the crossbar, used or not; 0: n.

    Returns
    -------
    share : ndarray of shape (m, n)
        :math:`h_k` of the segment of each input.
    admittance : ndarray of shape (m,)
        Of each line as the ADC sees it, in uS.

    Raises
    ------
    ConfigError
        If there are more inputs than the crossbar has.
    """
    g = np.asarray(conductances, np.float64)
    m, n = g.shape
    size = physical_size(n, n_physical)
    segments = min(io.ir_drop_segments, size)
    edges = np.arange(segments + 1) * size // segments  # from the far end
    lengths = np.diff(edges)
    wire = MEGAOHM * io.ir_drop * io.ir_drop_rs
    wires = wire * np.append((lengths[:-1] + lengths[1:]) / 2.0, lengths[-1] / 2.0)
    share, admittance = np.empty((m, n)), np.empty(m)
    empty = (size - n) // 2, size - n - (size - n) // 2  # before and behind the inputs
    for odd in range(min(m, 2)):
        lines = g[odd::2, ::-1] if odd else g[odd::2]
        segment = np.searchsorted(edges, empty[odd] + np.arange(n), side="right") - 1
        used, starts = np.unique(segment, return_index=True)
        total = np.zeros((segments, lines.shape[0]))
        total[used] = np.add.reduceat(lines, starts, axis=1).T
        y = np.zeros(lines.shape[0])
        step = np.empty_like(total)
        for k in range(segments):
            y = y + total[k]
            step[k] = 1.0 / (1.0 + wires[k] * y)
            y = y * step[k]
        reaching = np.cumprod(step[::-1], axis=0)[::-1]
        shares = reaching.T[:, segment]
        share[odd::2], admittance[odd::2] = shares[:, ::-1] if odd else shares, y
    return share, admittance


def physical_size(n: int, n_physical: int) -> int:
    """Return how many inputs a crossbar has for a tile with n of them, or raise `ConfigError`."""
    if n_physical and n > n_physical:
        raise ConfigError(
            f"n_physical must be >= the inputs of the tile, {n}, got {n_physical}: split the "
            "layer, or enlarge mapping.max_input_size."
        )
    return n_physical or n


def effective_matrix(
    g_plus: np.ndarray, g_minus: np.ndarray, io: IOParametersIRDropT, n_physical: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the matrix that the wires make of device pairs, and the currents of idle lines.

    Idle inputs stand at `ir_drop_v_bias`, lines at `ir_drop_v_read`; a pulse raises the voltage of
    one device of a pair by `ir_drop_v_pulse` and lowers that of the other. With states s = -1, 0, 1
    the current of line i is

    .. math:: I_i = V_\mathrm{pulse} \sum_j h_{ij} (g^+_{ij} - g^-_{ij}) s_j
              + (V_\mathrm{bias} - V_\mathrm{read}) Y_i

    Parameters
    ----------
    g_plus, g_minus : ndarray of shape (m, n)
        Conductances in uS.
    io : IOParametersIRDropT
        The settings.
    n_physical : int, default 0
        Inputs of the crossbar, used or not; 0: n.

    Returns
    -------
    matrix : ndarray of shape (m, n)
        :math:`h (g^+ - g^-)` in uS.
    idle : ndarray of shape (m,)
        The second term, in uA.
    """
    plus, minus = np.asarray(g_plus, np.float64), np.asarray(g_minus, np.float64)
    share, admittance = transfer(plus + minus, io, n_physical)
    return share * (plus - minus), (io.ir_drop_v_bias - io.ir_drop_v_read) * admittance
