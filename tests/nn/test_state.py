"""What a state dict says beside its numbers: in tensors alone, and refused where it does not fit."""

import json

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gdnp.nn import fit_metric, s_norm  # noqa: E402
from layers import METRICS, linear, own  # noqa: E402


@pytest.mark.parametrize("metric", [*METRICS, "batch"])
def test_states_are_of_tensors_alone_and_describe_themselves(metric):
    layer = s_norm(linear(), metric=metric, **own(metric, linear()))
    state = layer.state_dict()
    assert all(type(value) is torch.Tensor for value in state.values())
    described = [json.loads(bytes(value.tolist())) for name, value in state.items() if "_extra_state" in name]
    assert [found["metric"] for found in described] == [metric] * (metric not in ("identity", "batch"))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            {"metric": "low_rank", "rank": 2},
            {"metric": "low_rank", "rank": 3},
            "rank=2 for a layer with rank=3",
        ),
        (
            {"metric": "kronecker", "axes": (2, 3)},
            {"metric": "kronecker", "axes": (3, 2)},
            r"axes=\[2, 3\] for a layer with axes=\[3, 2\]",
        ),
        (
            {"metric": "full"},
            {"metric": "full", "mode": "whiten"},
            "mode='normalize' for a layer with mode='whiten'",
        ),
        ({"metric": "diagonal"}, {"metric": "full"}, "metric='diagonal' for a layer with metric='full'"),
        ({"metric": "full"}, {"metric": "identity"}, "Unexpected key"),
        ({"metric": "identity"}, {"metric": "full"}, "Missing key"),
        ({"metric": "batch"}, {"metric": "full"}, "Missing key"),
    ],
)
def test_another_kind_is_refused(first, second, message):
    with pytest.raises(RuntimeError, match=message):
        s_norm(linear(), **second).load_state_dict(s_norm(linear(), **first).state_dict())


def test_damping_is_taken_over():
    x = torch.randn(20, 6, dtype=torch.float64)
    models = [nn.Sequential(s_norm(linear(), damping=damping)) for damping in (0.1, 0.9)]
    fit_metric(models[0], [x], damping=0.3)
    models[1].load_state_dict(models[0].state_dict())
    assert models[1][0].parametrizations.weight[0].damping == 0.3
