"""What is taken off models and optimizers, and what is seen of a graph."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gdnp.nn.wrappers import (  # noqa: E402
    check_plain,
    random_state_kept,
    twice_differentiable,
    unwrapped,
    unwrapped_optimizers,
)


def test_models_are_unwrapped_to_the_innermost():
    model = nn.Linear(2, 2)
    assert unwrapped(torch.compile(nn.DataParallel(model), backend="eager")) == (model, None)
    assert unwrapped(model) == (model, None)
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module\. Got list"):
        unwrapped([model])


class Around:
    """A wrapper that is no Optimizer, and may keep numbers of its own."""

    def __init__(self, optimizer, state=None):
        self.base_optimizer, self.state = optimizer, {} if state is None else state


def test_optimizers_are_followed_or_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1)
    assert unwrapped_optimizers(None) == []
    assert unwrapped_optimizers(optimizer) == [optimizer]
    assert unwrapped_optimizers([Around(optimizer)]) == [optimizer]
    with pytest.raises(TypeError, match="Got a Around with a state of its own"):
        unwrapped_optimizers(Around(optimizer, {"slow": 1.0}))
    with pytest.raises(TypeError, match="must be an Optimizer of PyTorch"):
        unwrapped_optimizers(Around(None))
    sharded = type("ZeroRedundancyOptimizer", (torch.optim.SGD,), {})([nn.Parameter(torch.ones(2))], lr=0.1)
    with pytest.raises(TypeError, match="keeps a part"):
        unwrapped_optimizers(sharded)


def test_plain_parameters_only():
    check_plain([nn.Parameter(torch.ones(2)), torch.ones(2)], "a weight")
    kind = type("Quantised", (torch.Tensor,), {})
    with pytest.raises(TypeError, match=r"a weight must be a plain Parameter\. Got a Quantised"):
        check_plain([torch.ones(2).as_subclass(kind)], "a weight")


def test_the_random_state_is_kept_through_an_error():
    model, state = nn.Linear(3, 2), torch.get_rng_state()
    with pytest.raises(TypeError), random_state_kept(model):
        model(torch.rand(3).tolist())
    assert torch.equal(state, torch.get_rng_state())


def test_functions_that_are_differentiable_once_are_seen():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2.0 * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, slope):
            return 2.0 * slope

    w = torch.ones(3, requires_grad=True)
    for function, fine in ((Once.apply, False), (torch.sin, True)):
        (gradient,) = torch.autograd.grad(function(w).square().sum(), w, create_graph=True)
        assert twice_differentiable([gradient]) is fine
