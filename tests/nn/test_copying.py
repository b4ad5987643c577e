"""Copies and pickles of parametrised layers stand on their own."""

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch")

from torch.nn.utils import parametrize  # noqa: E402

from gdnp.nn import fold  # noqa: E402
from layers import METRICS, fitted, linear, linear_inputs  # noqa: E402


@pytest.mark.parametrize("metric", [*METRICS, "batch"])
def test_copies_are_independent(metric):
    layer, x = linear(), linear_inputs()
    fitted(layer, x, metric)
    layer(x)
    layer.eval()
    expected = layer(x).detach()
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    copies = [
        copy.deepcopy(layer),
        copy.deepcopy(copy.deepcopy(layer)),
        pickle.loads(pickle.dumps(layer)),
        pickle.loads(pickle.dumps(copy.deepcopy(layer))),
        torch.load(buffer, weights_only=False),
    ]
    for one in copies:
        torch.testing.assert_close(one(x), expected)
        assert list(one.state_dict()) == list(layer.state_dict())
        assert not {p.data_ptr() for p in one.parameters()} & {p.data_ptr() for p in layer.parameters()}
        with parametrize.cached():
            layer(x)
            with torch.no_grad():
                next(one.parameters()).mul_(2.0)
            assert not torch.allclose(one(x), expected)
            with torch.no_grad():
                next(one.parameters()).mul_(0.5)
        fold(one)
        torch.testing.assert_close(one(x), expected)
        torch.testing.assert_close(layer(x), expected)
