"""The settings of one direction of a tile's product: `IOParameters` and its enumerations."""

import math

from rpusim.config import Choice, Config, param
from rpusim.devices.spread import SpreadLaw
from rpusim.errors import ConfigError
from rpusim.periphery.read_noise import ReadNoise

__all__ = [
    "AnalogMVType",
    "BoundManagementType",
    "IOParameters",
    "NoiseManagementType",
    "NonFinite",
    "OffsetLaw",
    "SliceADC",
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


class OffsetLaw(Choice):
    """How the voltage offsets of output lines are drawn: their magnitude, or with both signs."""

    HALF_NORMAL = "HalfNormal"
    NORMAL = "Normal"


class SliceADC(Choice):
    """How an ADC reads one slice of the input bits.

    SCALED: its range, step and noise shrink with the slice's duration (the integrator is matched to
    it). FULL_RANGE: they are those of a full input, so that the noise of a high slice is multiplied
    by its place value.
    """

    SCALED = "Scaled"
    FULL_RANGE = "FullRange"


class NonFinite(Choice):
    """What happens to inputs that are not finite.

    RAISE: an error. PROPAGATE: all outputs of such a vector are NaN. SATURATE: infinity becomes the
    largest input that the DAC passes, the scale being that of the other inputs (NaN is still an
    error).
    """

    RAISE = "raise"
    PROPAGATE = "propagate"
    SATURATE = "saturate"


POS_NEG = (AnalogMVType.POS_NEG_SEPARATE, AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM)
SLICED = (AnalogMVType.SPLIT_MODE, AnalogMVType.BIT_WISE)


class IOParameters(Config):
    r"""What one direction of the analog product does to its vectors.

    An input vector x is divided by its scale (noise management), passes the DAC (rounding, then
    clipping), is multiplied with the weights in one or several passes, with what wires and lines do
    to it, and passes the ADC (noise, rounding, clipping); the digital result is multiplied back.
    `rpusim.periphery.mvm` has the equations.

    Notes
    -----
    Resolutions are steps relative to the full range: ``1/126`` and ``126`` mean the same, 0 or
    less is off. Source of the model: Rasch, Gokmen and Haensch, IEEE Design & Test (2019), arXiv
    1906.02698; the later effects: Rasch et al., Nat. Commun. 14 (2023) 5282.

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
    out_noise_law: SpreadLaw = param(SpreadLaw.NORMAL, doc="law of that spread")
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
    w_noise: float = param(0.0, low=0.0, unit="weight", doc="strength of the noise of w_noise_type")
    w_noise_type: WeightNoiseType = param(WeightNoiseType.NONE, doc="weight noise of each read")
    read_noise: ReadNoise | None = param(
        None, like=ReadNoise(), family=ReadNoise, doc="weight noise by a law of one's own"
    )
    ir_drop: float = param(
        0.0, low=0.0, unit="nominal", doc="strength of the voltage drop along lines"
    )
    ir_drop_g_ratio: float = param(1 / 0.35 / 5e-6, above=0.0, doc="wire over device conductance")
    ir_drop_far_first: bool = param(False, doc="input 0 is the farthest from the ADC, not nearest")
    out_nonlinearity: float = param(0.0, low=0.0, unit="per out_bound", doc="S-shape of the output")
    out_nonlinearity_std: float = param(0.0, low=0.0, unit="relative", doc="spread of the S-shape")
    slope_calibration: float = param(0.0, unit="of out_bound", doc="where the S-shape has slope 1")
    v_offset_std: float = param(0.0, low=0.0, unit="relative", doc="spread of voltage offsets")
    v_offset_law: OffsetLaw = param(OffsetLaw.HALF_NORMAL, doc="how the offsets are drawn")
    v_offset_w_min: float = param(-1.0, unit="weight", doc="weight of the reference unit")
    r_series: float = param(0.0, low=0.0, unit="of output", doc="series resistance")
    r_series_max_total: float = param(
        float("inf"), low=0.0, finite=False, doc="most that r_series takes, relative"
    )
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
    nm_assumed_wmax: float = param(
        0.6, above=0.0, unit="weight", doc="ABS_MAX_NP_SUM: largest weight to expect"
    )
    nm_decay: float = param(
        1e-3, above=0.0, high=1.0, unit="per vector", doc="AVERAGE_ABS_MAX: rate of the average"
    )
    zero_input_shortcut: bool = param(
        True, doc="scaled inputs that are all zero give exact zeros, unread"
    )
    on_nonfinite: NonFinite = param(NonFinite.RAISE, doc="NaN and infinity in inputs")
    split_mode_bit_shift: int = param(
        3, low=1, unit="bits", doc="SPLIT_MODE: bits of the low slice"
    )
    slice_adc: SliceADC = param(SliceADC.SCALED, doc="SPLIT_MODE, BIT_WISE: how slices are read")

    @property
    def perfect(self) -> bool:
        """Whether the product is exact."""
        return self.is_perfect or self.mv_type is AnalogMVType.IDEAL

    @property
    def dac(self) -> tuple[float, float]:
        """(bound, step) of the DAC in input units; 0 for none."""
        return converter_range(self.inp_bound, self.inp_res)

    @property
    def adc(self) -> tuple[float, float]:
        """(bound, step) of the ADC in output units; 0 for none."""
        return converter_range(self.out_bound, self.out_res)

    @property
    def bits(self) -> int:
        """Bits of the DAC's codes, sign included; 0 if its steps are not ``2**bits - 2``."""
        bound, step = self.dac
        bits = math.log2(2.0 * bound / step + 2.0) if step > 0.0 else 0.0
        return round(bits) if abs(bits - round(bits)) < 1e-9 and bits > 1.0 else 0

    def check(self) -> None:
        """Refuse combinations that mean nothing."""
        super().check()
        if self.perfect:
            return
        where = type(self).__name__
        managed = self.noise_management is not NoiseManagementType.NONE
        needs = [
            (
                managed and self.inp_bound != 1.0,
                f"inp_bound must be 1 unless noise_management is NONE (the inputs are scaled to "
                f"it), got {self.inp_bound!r}.",
            ),
            (
                self.w_noise > 0.0 and self.w_noise_type is WeightNoiseType.NONE,
                f"w_noise is {self.w_noise!r} but w_noise_type is NONE: choose ADDITIVE_CONSTANT "
                "or PCM_READ, or leave w_noise at 0.",
            ),
            (
                self.out_noise_std > 0.0 and self.out_noise == 0.0,
                f"out_noise_std is {self.out_noise_std!r}, a spread of out_noise, which is 0.",
            ),
            (
                self.out_nonlinearity_std > 0.0 and self.out_nonlinearity == 0.0,
                f"out_nonlinearity_std is {self.out_nonlinearity_std!r}, a spread of "
                "out_nonlinearity, which is 0.",
            ),
            (
                self.slope_calibration > 0.0 and self.out_nonlinearity == self.r_series == 0.0,
                f"slope_calibration is {self.slope_calibration!r} but there is nothing to "
                "calibrate: out_nonlinearity and r_series are 0.",
            ),
            (
                self.w_read_asymmetry_dtod > 0.0 and self.mv_type not in POS_NEG,
                f"w_read_asymmetry_dtod is {self.w_read_asymmetry_dtod!r}, which acts on negative "
                "inputs that are read by themselves: mv_type must be POS_NEG_SEPARATE or "
                f"POS_NEG_SEPARATE_DIGITAL_SUM, got {self.mv_type.name}.",
            ),
            (
                self.bound_management is BoundManagementType.ITERATIVE_WORST_CASE and not managed,
                "bound_management ITERATIVE_WORST_CASE changes the scale of the inputs, which "
                "noise_management NONE does not have.",
            ),
            (
                self.bound_management is BoundManagementType.SHIFT and self.adc[0] == 0.0,
                "bound_management SHIFT needs an out_bound.",
            ),
            (
                self.mv_type in SLICED and self.bits == 0,
                f"mv_type {self.mv_type.name} reads the bits of the inputs: inp_bound must be "
                f"finite and inp_res 1 / (2**bits - 2), such as 1/254, got {self.inp_res!r}.",
            ),
            (
                self.mv_type is AnalogMVType.SPLIT_MODE
                and not self.split_mode_bit_shift < self.bits - 1,
                f"split_mode_bit_shift must be below {self.bits - 1}, the bits of a magnitude, "
                f"got {self.split_mode_bit_shift!r}.",
            ),
        ]
        for wrong, why in needs:
            if wrong:
                raise ConfigError(f"{where}.{why}")


def converter_range(bound: float, res: float) -> tuple[float, float]:
    """Return (bound, step) of a converter, 0 for none; without a bound there is no step."""
    if bound <= 0.0 or math.isinf(bound):
        return 0.0, 0.0
    if res > 1.0:
        res = 1.0 / res
    return bound, 2.0 * bound * max(res, 0.0)
