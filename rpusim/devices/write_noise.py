"""Write noise: what is seen of a device is the weight that pulses act on, plus noise."""

from rpusim.config import param
from rpusim.devices.base import PulsedDevice

__all__ = ["WriteNoiseDevice"]


class WriteNoiseDevice(PulsedDevice):
    r"""Base of pulsed devices with write noise.

    Pulses act on the persistent weight w; what the product sees is

    .. math:: w_\text{seen} = w + \sigma_w z, \qquad
        \sigma_w = \text{write\_noise\_std} \cdot \text{dw\_min}

    with a normal z that is drawn anew when a device is written, and only then.
    """

    write_noise_std: float = param(
        0.0, low=0.0, unit="of dw_min", doc="noise of the weight that is seen"
    )
    apply_write_noise_on_set: bool = param(True, doc="set_weights draws that noise too")

    @property
    def write_noise(self) -> float:
        """Standard deviation of the write noise, in weight units."""
        return self.write_noise_std * self.dw_min
