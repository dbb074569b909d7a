"""What the inputs of a vector are divided by, in float64: noise and bound management."""

from tests.naive.converters import bounded, step_of

__all__ = ["average", "exhausted", "np_sum_scale", "scale"]


def average(x, io, hidden, is_test):
    """Move the average of the largest inputs by one vector."""
    if io["noise_management"] != "AVERAGE_ABS_MAX" or is_test:
        return
    top, mu = max(abs(float(v)) for v in x), hidden.get("aux_nm_value", -1.0)
    decay = io["nm_decay"]
    hidden["aux_nm_value"] = top if mu < 0.0 else (1.0 - decay) * mu + decay * top


def scale(x, io, hidden=None):
    """Return alpha of one vector; 0 if a vector of zeros has none."""
    kind, limit = io["noise_management"], io["nm_thres"]
    top = max(abs(v) for v in x)
    if kind == "NONE":
        return 1.0
    if kind == "CONSTANT":
        return limit if limit > 0.0 else 1.0
    if kind == "ABS_MAX":
        return saturated(top, limit)
    if kind == "MAX":
        largest = max(x)
        return saturated(largest, limit) if largest > 0.0 else float(top > 0.0)
    if kind == "AVERAGE_ABS_MAX":
        mu = (hidden or {}).get("aux_nm_value", -1.0)
        return top if mu < 0.0 else mu
    if kind == "ABS_MAX_NP_SUM":
        return np_sum_scale(x, io)
    raise NotImplementedError(kind)


def np_sum_scale(x, io):
    """Return the scale that bounds the current of lines full of weights `nm_assumed_wmax`."""
    top = saturated(max(abs(v) for v in x), io["nm_thres"])
    positive = sum(v for v in x if v > 0.0)
    negative = -sum(v for v in x if v < 0.0)
    bound = io["out_bound"] if bounded(io["out_bound"]) else 1.0
    q = max(positive, negative) * io["nm_assumed_wmax"] / bound
    step = step_of(io["inp_bound"], io["inp_res"])
    if step > 0.0:
        q = min(q, top * io["max_bm_res"] / step)
    return max(top, q)


def saturated(v, limit):
    """Return `v`, at most `limit` if that is positive."""
    return min(v, limit) if limit > 0.0 else v


def exhausted(reduction, io):
    """Return whether bound management gives up."""
    step = step_of(io["inp_bound"], io["inp_res"])
    if int(reduction) > io["max_bm_factor"]:
        return True
    return step > 0.0 and reduction > io["max_bm_res"] / step
