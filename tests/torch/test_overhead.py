"""A call through torch costs little more than the call of `rpusim.nn` that it makes."""

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

from tests.bench.torch_overhead import CONFIGS, overhead  # noqa: E402


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_forward_takes_less_than_60_microseconds_more(config):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        there, _, _ = overhead(config, 64, 10)
    finally:
        torch.set_num_threads(threads)
    assert there < 60.0
