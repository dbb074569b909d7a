"""Several processes: tiles that learn in digital stay alike, pulsed ones are refused. Item 9."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

WORK = """
import sys
import torch
import rpusim as rs
from rpusim.torch import AnalogLinear, AnalogOptimizer

rank, place = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
layer = AnalogLinear(4, 3, rpu_config=rs.InferenceRPUConfig(), rng=rank)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(layer))
optimizer = AnalogOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
for _ in range(3):
    optimizer.zero_grad()
    model(torch.full((2, 4), 1.0 + rank)).square().sum().backward()
    optimizer.step()
mine = torch.from_numpy(layer.tile.get_weights()[0])
theirs = [torch.empty(3, 4) for _ in range(2)]
torch.distributed.all_gather(theirs, mine)
assert torch.equal(*theirs)
try:
    AnalogLinear(4, 3, rng=0)(torch.ones(1, 4))
except rs.StateError as error:
    assert "from 2 processes" in str(error)
else:
    raise AssertionError("pulsed tiles were not refused")
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no processes")
def test_two_processes_train_one_model(tmp_path):
    place = f"file://{tmp_path}/meeting"
    command = [sys.executable, "-c", WORK]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    workers = [subprocess.Popen([*command, str(rank), place], **options) for rank in range(2)]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(outputs)
