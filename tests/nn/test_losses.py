"""Losses on tensors against those of the library, and functions of a user's own."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from gdnp.losses import LOSSES, LogLoss, PseudoHuber  # noqa: E402
from gdnp.nn.losses import numpy_derivatives, tensor_derivatives, tensor_loss  # noqa: E402
from gdnp.population.examples import Target  # noqa: E402

CLASSIFICATION = [name for name, loss in LOSSES.items() if loss.task == "classification"]


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_losses_on_tensors_are_those_of_the_library(name):
    t = np.linspace(-30.0, 30.0, 121)
    loss = LOSSES[name]
    value, first, second = tensor_derivatives(tensor_loss(name))(torch.as_tensor(t))
    assert value.numpy() == pytest.approx(loss.value(t), rel=1e-13, abs=1e-15)
    assert first.numpy() == pytest.approx(loss.gradient(t), rel=1e-12, abs=1e-15)
    assert second.numpy() == pytest.approx(loss.curvature(t), rel=1e-11, abs=1e-15)
    assert not any(found.requires_grad for found in (value, first, second))


def test_losses_may_be_functions_and_instances():
    assert tensor_loss(LogLoss()) is tensor_loss("log_loss")
    assert tensor_loss(torch.exp) is torch.exp
    t = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64)
    value, first, second = tensor_derivatives(lambda t: 3.0 * t)(t)
    assert first.tolist() == [3.0] * 5
    assert second.tolist() == [0.0] * 5
    assert value.tolist() == (3.0 * t).tolist()


def test_losses_that_cannot_take_tensors_are_refused():
    with pytest.raises(
        TypeError, match=r"Got 'target', whose formulas are NumPy's: write its value with torch"
    ):
        tensor_loss(Target())
    with pytest.raises(ValueError, match="Got 'pseudo_huber'"):
        tensor_loss(PseudoHuber())
    with pytest.raises(TypeError, match="Got int"):
        tensor_loss(3)
    with pytest.raises(ValueError, match="loss must be one of"):
        tensor_loss("no_such_loss")


def test_the_same_on_arrays():
    t = np.linspace(-3.0, 3.0, 7)
    for of_arrays, of_tensors in zip(
        numpy_derivatives(tensor_derivatives(torch.tanh))(t),
        tensor_derivatives(torch.tanh)(torch.as_tensor(t)),
        strict=True,
    ):
        assert isinstance(of_arrays, np.ndarray)
        np.testing.assert_array_equal(of_arrays, of_tensors.numpy())
