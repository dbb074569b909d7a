"""The settings of one direction of a tile's product: `IOParameters` and its enumerations."""

from rpusim.config import Choice, Config, param
from rpusim.errors import ConfigError

__all__ = [
    "AnalogMVType",
    "BoundManagementType",
    "IOParameters",
    "NoiseManagementType",
    "WeightNoiseType",
]


class NoiseManagementType(Choice):
    """How the inputs of a vector are scaled into the range of the DAC."""

    NONE = "None"
    ABS_MAX = "AbsMax"
    ABS_MAX_NP_SUM = "AbsMaxNPSum"
    MAX = "Max"
    CONSTANT = "Constant"
    AVERAGE_ABS_MAX = "AverageAbsMax"


class BoundManagementType(Choice):
    """What happens when an output exceeds the range of the ADC."""

    NONE = "None"
    ITERATIVE = "Iterative"
    ITERATIVE_WORST_CASE = "IterativeWorstCase"
    SHIFT = "Shift"


class WeightNoiseType(Choice):
    """Noise of the weights at each read, referred to the output."""

    NONE = "None"
    ADDITIVE_CONSTANT = "AdditiveConstant"
    PCM_READ = "PCMRead"


class AnalogMVType(Choice):
    """How many passes make up a product."""

    IDEAL = "Ideal"
    ONE_PASS = "OnePass"
    POS_NEG_SEPARATE = "PosNegSeparate"
    POS_NEG_SEPARATE_DIGITAL_SUM = "PosNegSeparateDigitalSum"
    SPLIT_MODE = "SplitMode"
    BIT_WISE = "BitWise"


class IOParameters(Config):
    r"""What one direction of the analog product does to its vectors.

    An input vector x is divided by its scale (noise management), passes the DAC (rounding, then
    clipping), is multiplied with the weights, and passes the ADC (noise, rounding, clipping); the
    digital result is multiplied back. `rpusim.periphery.mvm` has the equations.

    Options of later versions are present at their defaults and refuse other values.

    Notes
    -----
    Resolutions are steps relative to the full range: ``1/126`` and ``126`` mean the same, 0 or
    less is off. Source of the model: Rasch, Gokmen and Haensch, IEEE Design & Test (2019), arXiv
    1906.02698.

    Examples
    --------
    >>> IOParameters(inp_res=1 / 126, out_noise=0.0)
    IOParameters(out_noise=0.0)
    """

    is_perfect: bool = param(False, doc="exact product, times out_scale; nothing is drawn")
    mv_type: AnalogMVType = param(AnalogMVType.ONE_PASS, doc="passes of a product")
    inp_bound: float = param(
        1.0, finite=False, unit="input", doc="DAC clips here; <= 0 or inf: never"
    )
    inp_noise: float = param(0.0, low=0.0, unit="input", doc="std of the noise after the DAC")
    inp_res: float = param(1 / 126, unit="of 2*inp_bound", doc="DAC step, or number of steps")
    inp_sto_round: bool = param(False, doc="DAC rounds stochastically")
    inp_asymmetry: float = param(0.0, unit="relative", doc="loss of negative inputs")
    out_bound: float = param(
        12.0, finite=False, unit="output", doc="ADC clips here; <= 0 or inf: never"
    )
    out_noise: float = param(0.06, low=0.0, unit="output", doc="std of the noise at each ADC read")
    out_noise_std: float = param(0.0, low=0.0, unit="relative", doc="spread of out_noise over ADCs")
    out_res: float = param(1 / 510, unit="of 2*out_bound", doc="ADC step, or number of steps")
    out_sto_round: bool = param(False, doc="ADC rounds stochastically")
    out_scale: float = param(1.0, doc="digital factor of the result")
    out_asymmetry: float = param(0.0, unit="relative", doc="loss of negative outputs")
    bound_management: BoundManagementType = param(
        BoundManagementType.ITERATIVE,
        doc="repeat with smaller inputs when the ADC clips (forward only)",
    )
    noise_management: NoiseManagementType = param(
        NoiseManagementType.ABS_MAX, doc="scale of an input vector"
    )
    w_noise: float = param(0.0, low=0.0, unit="weight", doc="std of the weight noise of each read")
    w_noise_type: WeightNoiseType = param(WeightNoiseType.NONE, doc="kind of weight noise")
    ir_drop: float = param(
        0.0, low=0.0, unit="nominal", doc="strength of the voltage drop along lines"
    )
    ir_drop_g_ratio: float = param(1 / 0.35 / 5e-6, above=0.0, doc="wire over device conductance")
    out_nonlinearity: float = param(0.0, low=0.0, unit="per out_bound", doc="S-shape of the output")
    out_nonlinearity_std: float = param(0.0, low=0.0, unit="relative", doc="spread of the S-shape")
    slope_calibration: float = param(0.0, unit="of out_bound", doc="where the S-shape has slope 1")
    v_offset_std: float = param(0.0, low=0.0, unit="relative", doc="spread of voltage offsets")
    v_offset_w_min: float = param(-1.0, unit="weight", doc="weight of the reference unit")
    r_series: float = param(0.0, low=0.0, unit="of output", doc="series resistance")
    w_read_asymmetry_dtod: float = param(
        0.0, low=0.0, unit="relative", doc="polarity spread of devices"
    )
    max_bm_factor: int = param(1000, low=1, doc="largest reduction of bound management")
    max_bm_res: float = param(
        0.25, above=0.0, unit="of DAC steps", doc="largest reduction, in DAC steps"
    )
    bm_test_negative_bound: bool = param(True, doc="whether -out_bound counts too")
    nm_thres: float = param(
        0.0, unit="input", doc="CONSTANT: the scale; else its largest value; 0: off"
    )

    def check(self) -> None:
        """Refuse what this version does not compute, and combinations that mean nothing."""
        super().check()
        built: dict[str, tuple] = {
            "mv_type": (AnalogMVType.ONE_PASS, AnalogMVType.IDEAL),
            "bound_management": (BoundManagementType.NONE, BoundManagementType.ITERATIVE),
            "noise_management": (
                NoiseManagementType.NONE,
                NoiseManagementType.ABS_MAX,
                NoiseManagementType.CONSTANT,
            ),
            "w_noise_type": (WeightNoiseType.NONE, WeightNoiseType.ADDITIVE_CONSTANT),
        }
        off = "inp_asymmetry out_asymmetry out_noise_std ir_drop out_nonlinearity"
        off += " out_nonlinearity_std slope_calibration v_offset_std r_series w_read_asymmetry_dtod"
        built |= {name: (0.0,) for name in off.split()}
        for name, values in built.items():
            value = getattr(self, name)
            if value not in values:
                known = " or ".join(repr(v) for v in values)
                raise ConfigError(
                    f"IOParameters.{name} must be {known} in this version, got {value!r}."
                )
        managed = self.noise_management is not NoiseManagementType.NONE
        if managed and self.inp_bound != 1.0 and not self.is_perfect:
            raise ConfigError(
                "IOParameters.inp_bound must be 1 unless noise_management is NONE "
                f"(the inputs are scaled to it), got {self.inp_bound!r}."
            )
        if self.w_noise > 0.0 and self.w_noise_type is WeightNoiseType.NONE:
            raise ConfigError(
                f"IOParameters.w_noise is {self.w_noise!r} but w_noise_type is NONE: "
                "choose ADDITIVE_CONSTANT or leave w_noise at 0."
            )
