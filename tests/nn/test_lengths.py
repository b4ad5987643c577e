"""Rows of given lengths against the formula, to the second derivative, by the fused kernel and without."""

import pytest

torch = pytest.importorskip("torch")

from gdnp.nn import lengths  # noqa: E402
from gdnp.nn.lengths import with_length  # noqa: E402


@pytest.fixture(params=[0, 1 << 15], ids=["fused", "separate"], autouse=True)
def _kernel(request, monkeypatch):
    monkeypatch.setattr(lengths, "LARGE", request.param)


def point(shape, dtype=torch.float64):
    g = torch.randn(shape[0], *(1,) * (len(shape) - 1), dtype=dtype, requires_grad=True)
    return g, torch.randn(shape, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("shape", [(4, 6), (4, 3, 2, 2)])
def test_output_and_two_derivatives(shape):
    g, v = point(shape)
    expected = (v.flatten(1) * (g.flatten(1) / v.flatten(1).norm(dim=1, keepdim=True))).view_as(v)
    torch.testing.assert_close(with_length(g, v), expected)
    assert torch.autograd.gradcheck(with_length, (g, v))
    assert torch.autograd.gradgradcheck(with_length, (g, v))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_types_and_rows_apart_in_memory(dtype):
    g, v = point((4, 6), dtype)
    wide = torch.randn(6, 4).to(dtype).mT  # not contiguous
    out = with_length(g, wide + 0.0 * v)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float().norm(dim=1), g.float().abs().flatten(), rtol=2e-2, atol=1e-3)
    out.float().sum().backward()
    assert v.grad.isfinite().all()
    torch.testing.assert_close(with_length(g, wide).float(), out.float())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")  # in torch.func itself
def test_transforms():
    g, v = point((4, 6))

    def value(g, v):
        return with_length(g, v).tanh().sum()

    found = torch.func.hessian(value, argnums=1)(g, v)
    expected = torch.autograd.functional.hessian(lambda w: value(g, w), v)
    torch.testing.assert_close(found, expected)
    each = torch.func.vmap(torch.func.grad(value, argnums=1), (None, 0))(g, torch.stack([v, 2.0 * v]))
    torch.testing.assert_close(each[0], 2.0 * each[1])
