"""Two processes on loopback train and fit like one that has all the rows."""

import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402

from data_parallel import PROCESSES, build, train, work  # noqa: E402

REFUSED = {
    "bare": "fit_metric must know whether the 2 processes train one model",
    "no group": "process_group must be a ProcessGroup",
    "wrapped before": "s_norm_model must come before DistributedDataParallel",
    "sharded": "a weight of layer '0' must be a plain Parameter. Got a DTensor; use s_norm and",
    "sharded before": "the weight of FSDPLinear must be a plain Parameter. Got a DTensor",
}


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo here")
def test_processes_agree_with_one_that_has_all_rows(tmp_path):
    mp.spawn(work, args=(tmp_path,), nprocs=PROCESSES)
    processes = [torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES)]
    model, x = build()
    alone = train(model, x, slice(None)).state_dict()
    for way in ("wrapped", "bare"):
        first, second = (process[way] for process in processes)
        for name, value in alone.items():
            assert torch.equal(first[name], second[name]), name
            if "basis" not in name and "gain" not in name:  # eigenvectors are free in sign
                tight = 1e-6 if "factor" in name else 1e-8
                torch.testing.assert_close(first[name], value, rtol=tight, atol=tight, msg=name)
    for process in processes:
        assert process["untouched"]
        for name, sentence in REFUSED.items():
            assert sentence in process["refused"][name]
    empty, other = (process["refused"]["no batch"] for process in processes)
    assert "loader must yield at least one batch" in empty
    assert "Got one that refused" in other
