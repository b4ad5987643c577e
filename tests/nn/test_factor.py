"""What every metric checks before it is taken: that its smallest eigenvalue is told from zero."""

import pytest

torch = pytest.importorskip("torch")

from gdnp.nn.factor import Factor, check_positive, damped_diagonal  # noqa: E402
from gdnp.nn.moments import InputMoments  # noqa: E402


def test_damping_is_in_units_of_the_mean_variance():
    moments = InputMoments((2, 3), "diagonal")
    moments.update(torch.tensor([[[0.0, 0, 0], [2, 4, 0]], [[0, 0, 0], [20, 40, 0]]], dtype=torch.float64))
    third = 5.0 / 3.0
    expected = torch.tensor([[1.0, 4.0, 0.0], [100.0, 400.0, 0.0]]) + 0.3 * torch.tensor(
        [[third], [100.0 * third]]
    )
    torch.testing.assert_close(damped_diagonal(moments, 0.3), expected.double())


def test_one_singular_metric_of_a_group_is_enough():
    most = torch.tensor([1.0, 1.0])
    check_positive(torch.tensor([1e-3, 1e-5]), most, 1e-6)
    for least in (1e-7, 0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"positive definite after damping\. Got .*; raise damping"):
            check_positive(torch.tensor([1e-3, least]), most, 1e-6)


def test_representations_say_how():
    factor, rows = Factor((2,), torch.zeros(1), whitens=True), torch.ones(1, 2)
    for method in (factor.whiten, factor.inputs, factor.colour, factor.norm):
        with pytest.raises(NotImplementedError):
            method(rows)
