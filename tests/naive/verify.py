"""Write-verify, literally: one device after the other, in double precision."""

__all__ = ["write_verify"]


def write_verify(start, target, step, cycle_noise, tolerance, read_noise, reads, most, rng):
    """Return (weight, pulses, whether a read was within the tolerance) of one device.

    Every pulse moves it by ``step * (1 + cycle_noise * z)``, every check is the mean of `reads`
    reads with noise of standard deviation `read_noise`.
    """
    w, pulses = start, 0
    while True:
        seen = 0.0
        for _ in range(reads):
            seen += w + read_noise * rng.standard_normal()
        seen /= reads
        if abs(seen - target) <= tolerance:
            return w, pulses, True
        if pulses == most:
            return w, pulses, False
        sign = 1.0 if seen < target else -1.0
        w += sign * step * (1.0 + cycle_noise * rng.standard_normal())
        pulses += 1
