"""The benchmark of optimizers on something tiny: what it trains, what it reads off, and what it keeps."""

import importlib
import json
import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("PIL", reason="the picture needs Pillow")

FOLDER = Path(__file__).parents[2] / "benchmarks"
SIZES = {
    "depth": 2,
    "width": 6,
    "batch": 20,
    "steps": 12,
    "every": 4,
    "rank": 3,
    "refits": (0, 4),
    "probes": 2,
}
GRID = dict.fromkeys(("sgd", "adam", "muon", "hessian"), (0.01, 0.1))


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    networks, tasks = importlib.import_module("networks"), importlib.import_module("network_tasks")

    def tiny(n_train, n_test):
        generator = torch.Generator().manual_seed(0)
        x = (
            torch.randn(90, 8, generator=generator, dtype=torch.float64) * torch.logspace(-1, 1, 8).double()
            + 2.0
        )
        y = (x[:, 0] * 5 + x[:, 7] > 12.0).long()
        return tasks.Data(x[:60], y[:60], x[60:], y[60:], 2)

    monkeypatch.setitem(tasks.TASKS, "mnist", tiny)
    monkeypatch.setitem(networks.AXES, "mnist", (2, 4))
    networks._data.cache_clear()
    networks._whitened.cache_clear()
    return networks, tasks


@pytest.fixture
def networks(modules):
    return modules[0]


def run(networks, method, **options):
    protocol = networks.Protocol(**{**SIZES, **options})
    part = networks._part("mnist", method, 0.01, 0, protocol)
    return part.function(json.loads(json.dumps(part.config)))


def test_every_method_begins_with_the_same_function(networks):
    protocol = networks.Protocol(**SIZES)
    for architecture in ("bn", "wn", "none"):
        begins = {
            method: run(networks, method, steps=1, every=1, refits=(0,))["curve"][0][1]
            for method in networks.methods("mnist", protocol)
            if method.architecture == architecture
        }
        assert len({method.where for method in begins}) == 4
        assert max(begins.values()) - min(begins.values()) < 1e-8


def test_a_run_is_repeatable_and_counts_its_setting_up(networks):
    method = networks.Method("bn", "adam", "all", "full", 0.1)
    found, again = run(networks, method), run(networks, method)
    assert [point[:2] for point in found["curve"]] == [point[:2] for point in again["curve"]]
    assert [point[0] for point in found["curve"]] == [0, 4, 8, 12]
    assert found["curve"][0][2] > 0.0
    assert found["curve"][-1][1] < found["curve"][0][1]
    assert 0.0 <= found["accuracy"] <= 1.0


def test_batches_are_the_same_for_every_method_and_of_full_size(networks):
    protocol = networks.Protocol(batch=30, steps=5)
    rows = list(networks._batches(70, protocol, 1))
    assert [len(part) for part in rows] == [30] * 5
    assert len(set(torch.cat(rows[:2]).tolist())) == 60
    assert all(torch.equal(a, b) for a, b in zip(rows, networks._batches(70, protocol, 1), strict=True))


CURVE = {"curve": [[0, 2.0, 1.0, 1.0], [8, 1.0, 2.0, 2.0], [16, 0.5, 3.0, 3.0]]}


@pytest.mark.parametrize(
    ("target", "expected"),
    [(3.0, (0, 1.0)), (1.5, (4.0, 1.5)), (0.5, (16.0, 3.0)), (0.4, (math.inf, math.inf))],
)
def test_reached_is_linear_between_evaluations(networks, target, expected):
    assert networks.reached(CURVE, target) == pytest.approx(expected)


def result(where, metric, damping, losses, accuracy, seconds=1.0, optimizer="sgd"):
    curve = [[8 * k, loss, seconds * k, 0.0] for k, loss in enumerate(losses)]
    return {
        "task": "mnist",
        "architecture": "bn",
        "optimizer": optimizer,
        "where": where,
        "metric": metric,
        "damping": damping,
        "rate": 0.1,
        "grid": {"0.1": 1.0, "1.0": 2.0},
        "runs": [{"curve": curve, "accuracy": accuracy}] * 2,
    }


def test_tables_and_the_default(networks):
    results = [
        result("plain", "", 0.0, [2.0, 1.0, 0.8, 0.6], 0.50),
        result("input", "full", 0.01, [2.0, 0.6, 0.3, 0.2], 0.45),
        result("input", "full", 0.1, [2.0, 1.0, 0.6, 0.5], 0.495, 2.0),
        result("input", "full", 1.0, [2.0, 1.0, 0.9, None], 0.51),
    ]
    summary = {"results": results, "curvature": {"mnist, bn": {"0": {"raw": 0.5, "scaled": 0.25}}}}
    summary |= {"speed": {"plain": 1.0, "BatchNorm": 2.0}, "left out": {"cifar10": "not here"}}
    assert networks.ratios(results[1], results[0]) == pytest.approx((1 / 3, 1 / 3))
    assert networks.ratios(results[2], results[0]) == pytest.approx((2 / 3, 4 / 3))
    assert networks.default(summary) == "input, full, λ = 0.1"
    text = networks.markdown(summary)
    assert "| bn | sgd | input, full, λ = 0.01 | 0.1* | 0.2 ± 0 | 0.4500 | 0.33 | 0.33 |" in text
    assert "| bn | sgd | input, full, λ = 1 | 0.1* | diverged | 0.5100 | - | - |" in text
    assert "one point of test accuracy everywhere: input, full, λ = 0.1." in text
    assert "| mnist, bn | 0 | 0.50 | 0.25 |" in text
    assert "| BatchNorm | 2.00 | 2.00 | 1.00 |" in text
    assert "cifar10 was left out: not here." in text
    worse = {**summary, "results": [*results[:1], result("input", "full", 0.1, [2.0, 0.1], 0.3)]}
    assert networks.default(worse) is None


def test_a_study_goes_on_where_it_was(networks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "ARCHITECTURES", ("bn", "none"))
    monkeypatch.setattr(networks, "TIMED", networks.TIMED[:3])
    protocol = networks.Protocol(
        **{**SIZES, **GRID, "steps": 4, "refits": (0,)}, seeds=(0,), dampings=(0.01,)
    )
    store = networks.Store(tmp_path / "out")
    store.begin({"benchmark": "networks"})
    first = networks.study(["mnist"], protocol, store, 1)
    computed = []
    monkeypatch.setattr(networks, "run", lambda config: computed.append(config))
    assert networks.study(["mnist"], protocol, store, 1) == json.loads(json.dumps(first)) | {
        "protocol": first["protocol"],
        "results": first["results"],
    }
    assert not computed
    assert len(first["results"]) == 32
    for one in first["results"]:
        assert one["grid"][one["rate"]] == min(one["grid"].values())
    assert "### mnist" in networks.markdown(first)
    assert "tuning: 64 of 64" in capsys.readouterr().err


def test_curvature_between_layers_is_that_of_the_hessian(modules):
    """Against the whole Hessian of a small network, with many probes."""
    networks, tasks = modules
    data = networks._data("mnist", None, None)
    model = tasks.network("none", data, 1, 3, 0)
    weights = [layer.weight for layer in tasks.linear_layers(model).values()]

    def loss_of(*values):
        names = [f"{name}.weight" for name in tasks.linear_layers(model)]
        return data.loss(
            torch.func.functional_call(model, dict(zip(names, values, strict=True)), data.x), data.y
        )

    hessian = torch.autograd.functional.hessian(loss_of, tuple(weights))
    blocks = torch.tensor([[float(block.square().sum()) for block in row] for row in hessian])
    exact = 1.0 - float(blocks.diagonal().sum() / blocks.sum())
    curvature = importlib.import_module("network_curvature")
    found = curvature.between_layers(model, loss_of(*weights), 400, 0)
    assert found["raw"] == pytest.approx(exact, rel=0.1)


def test_diagonal_of_the_hessian_is_exact_on_a_quadratic_of_one_column(modules):
    """With one probe, v∘Hv of a diagonal H is its diagonal; the step is then that of Newton in its size."""
    curvature = importlib.import_module("network_curvature")
    p = torch.nn.Parameter(torch.tensor([[1.0], [1.0]]))
    h = torch.tensor([[4.0], [0.25]])
    optimizer = curvature.DiagonalHessian([p], lr=1.0, betas=(0.0, 0.5), every=1)
    for _ in range(3):
        loss = 0.5 * (h * p * p).sum()
        optimizer.zero_grad()
        optimizer.look(loss)
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(p.detach(), torch.zeros(2, 1), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("task", ["picture", "table", "mnist", "cifar10"])
def test_tasks_are_what_they_say(modules, task, monkeypatch):
    _, tasks = modules
    monkeypatch.undo()
    if tasks.absent(task):
        pytest.skip(f"{task} is not in GDNP_DATA: {tasks.absent(task)}")
    data = tasks.load(task, 300, 100)
    assert len(data.x) == len(data.y) == 300
    assert len(data.x_test) == (100 if task in ("mnist", "cifar10") else 0)
    assert data.x.isfinite().all()
    if data.y.dtype == torch.long:
        assert set(data.y.tolist()) <= set(range(data.outputs))
    else:
        assert data.y.shape[1] == data.outputs


def test_unknown_tasks_are_wrong_usage(networks, capsys):
    with pytest.raises(SystemExit):
        networks.main(["imagenet"])
    assert "TASK must be among" in capsys.readouterr().err
