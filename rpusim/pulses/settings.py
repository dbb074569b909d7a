"""The settings of the pulsed update: `UpdateParameters` and `PulseType`."""

from rpusim.config import Choice, Config, param
from rpusim.errors import ConfigError

__all__ = ["CountLRFeedbackPolicy", "PulseType", "UpdateParameters"]


class PulseType(Choice):
    """How a vector pair becomes coincidences of pulses."""

    NONE = "None"
    STOCHASTIC_COMPRESSED = "StochasticCompressed"
    STOCHASTIC = "Stochastic"
    NONE_WITH_DEVICE = "NoneWithDevice"
    MEAN_COUNT = "MeanCount"
    DETERMINISTIC_IMPLICIT = "DeterministicImplicit"
    MEAN_FIELD = "MeanField"


class CountLRFeedbackPolicy(Choice):
    """A part of the established vocabulary that nothing reads, here or there."""

    NONE = "None"
    PAST_MOMENTUM = "PastMomentum"
    EXTERN = "Extern"


class UpdateParameters(Config):
    r"""How a tile turns ``W <- W - lr * d x^T`` into pulses.

    A line with activation x or error d fires in each of `BL` slots with probability :math:`B|x|` or
    :math:`A|d|`; a crosspoint moves by one step where both lines fire. With granularity g and
    :math:`k = \text{lr}\,\max|x|\,\alpha\max|d| / g`:

    .. math::
        BL = \min(\lceil k \rceil, \text{desired\_bl}), \qquad A B = \frac{\text{lr}}{g\,BL}, \qquad
        \frac{A}{B} = \frac{\max|x|}{\alpha \max|d|}

    With `update_bl_management` off BL is `desired_bl` (or, with `fixed_bl` off and a large rate,
    :math:`\lceil \text{lr}/g \rceil`); with `update_management` off as well A = B. Where k exceeds
    `desired_bl` the train saturates: errors beyond ``g * desired_bl / (lr * max|x|)`` are treated
    alike.

    Notes
    -----
    `d_sparsity` of the reference has no consumer and is not carried over. NONE updates exactly and
    clips once at the devices' bounds; NONE_WITH_DEVICE does so after every vector. MEAN_FIELD is
    the limit of ever smaller steps: a vector moves a device by ``lr |x d| / g`` noise-free steps of
    its law, as a real number, so that only the shape of the law matters and `dw_min` does not.
    Source: Gokmen and Vlasov, Front. Neurosci. 10 (2016); Rasch, Gokmen and Haensch, IEEE Design &
    Test (2019).
    """

    desired_bl: int = param(31, low=1, high=65536, unit="slots", doc="(largest) length of a train")
    fixed_bl: bool = param(True, doc="without BL management: always desired_bl slots")
    pulse_type: PulseType = param(PulseType.STOCHASTIC_COMPRESSED, doc="kind of trains")
    res: float = param(
        0.0, low=0.0, unit="probability", doc="step of both probabilities, or their number"
    )
    x_res_implicit: float = param(
        0.0, low=0.0, unit="of max x", doc="DETERMINISTIC_IMPLICIT: step for x"
    )
    d_res_implicit: float = param(
        0.0, low=0.0, unit="of max d", doc="DETERMINISTIC_IMPLICIT: step for d"
    )
    sto_round: bool = param(False, doc="whether these steps round stochastically")
    update_bl_management: bool = param(True, doc="choose the train length for each vector")
    update_management: bool = param(True, doc="balance the probabilities of x and d")
    um_grad_scale: float = param(
        1.0, above=0.0, doc="alpha: below 1 clips errors, above lengthens trains"
    )

    def check(self) -> None:
        """Refuse resolutions that the pulse type does not use."""
        super().check()
        implicit = self.pulse_type is PulseType.DETERMINISTIC_IMPLICIT
        for name in ("x_res_implicit", "d_res_implicit"):
            if getattr(self, name) > 0.0 and not implicit:
                raise ConfigError(
                    f"UpdateParameters.{name} is used by pulse_type DETERMINISTIC_IMPLICIT only, "
                    f"got {self.pulse_type.name}."
                )
        if self.res > 0.0 and implicit:
            raise ConfigError(
                "UpdateParameters.res is not used by pulse_type DETERMINISTIC_IMPLICIT: "
                "use x_res_implicit and d_res_implicit."
            )
