"""Constant-step device: every pulse moves the weight by the same amount, up to hard bounds."""

from rpusim.devices.base import PulsedDevice

__all__ = ["ConstantStepDevice"]


class ConstantStepDevice(PulsedDevice):
    r"""Device whose steps do not depend on its weight.

    One pulse moves the weight by

    .. math:: \Delta w_\pm = \pm \Delta_\pm (1 + \sigma z), \qquad \sigma = \text{dw\_min\_std}

    and the weight stays within the device's bounds. Hidden state: none. Where a bound is out of
    reach the sum of a batch's pulses is drawn at once, see `rpusim.pulses.aggregate`.

    Notes
    -----
    Source: Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016), eq. 2 and table 1.

    Examples
    --------
    >>> from rpusim import ConstantStepDevice
    >>> round(ConstantStepDevice(dw_min=0.01).mean_step(0.3, -1), 6)
    -0.01
    """

    step_depends_on_weight = False
    noise_parameters = ("dw_min_std",)

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by a constant step."""
        step = dev.dwmin_up if sign > 0.0 else dev.dwmin_down
        return w + sign * step * (1.0 + model.dw_min_std * z)
