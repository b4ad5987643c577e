"""The benchmark against rivals in a few steps: methods run, data are white, and the table is one."""

import importlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def rivals(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("networks_rivals")
    monkeypatch.setattr(module, "WIDTH", 8)
    monkeypatch.setattr(module, "DEPTH", 4)
    return module


def test_every_method_trains_on_the_table_of_raw_columns(rivals):
    for method in rivals.methods("table"):
        if method.optimizer != "adamw" and method.name != "plain" and method.step == "plain":
            continue
        if method.optimizer == "soap":
            pytest.importorskip("pytorch_optimizer")
        config = {"task": "table", "method": vars(method), "rate": 0.01, "seed": 0}
        found = rivals.run({**config, "seconds": 0.02, "batch": 100, "device": "cpu"})
        read = rivals.reading(found)
        assert read["step"] >= 1
        assert read["seconds"] >= 0.02
        assert 0.0 <= read["accuracy"] <= 1.0


def test_networks_of_their_own_train(rivals, monkeypatch):
    monkeypatch.setattr(rivals, "CHANNELS", 4)
    letters = torch.arange(600).view(40, 15) % 7
    images = torch.randn(40, 3, 32, 32)
    data = {
        "characters": (letters[:, :-1], letters[:, 1:]),
        "resnet": (images, (images.mean((1, 2, 3)) > 0.0).long()),
    }
    monkeypatch.setattr(rivals, "PLACES", 14)
    monkeypatch.setattr(rivals, "prepared", lambda task, _: [data[task]] * 3)
    for task in data:
        for method in rivals.methods(task):
            if method.optimizer not in ("sgd", "muon"):
                continue
            config = {"task": task, "method": vars(method), "rate": 0.03, "seed": 0}
            found = rivals.run({**config, "seconds": 0.01, "batch": 8, "device": "cpu"})
            assert 0.0 <= rivals.reading(found)["accuracy"] <= 1.0
    model = rivals.network("characters", "LayerNorm", 14, 7, 0).eval()
    out = model(letters[:1, :-1])
    changed = letters[:1, :-1].clone()
    changed[0, 9] += 1
    torch.testing.assert_close(model(changed)[:, :9], out[:, :9])  # nothing is seen before its time
    assert not torch.allclose(model(changed)[:, 9:], out[:, 9:])


def test_data_are_standardised_and_white(rivals, monkeypatch):
    assert [len(y) for _, y in rivals.load("table")] == [300, 100, 169]
    monkeypatch.setitem(rivals.INPUT_DAMPING, "table", 1e-14)
    rivals.prepared.cache_clear()
    for data, tight in (("standardised", 1e-3), ("ZCA", 0.05)):
        (x, _), *others = rivals.prepared("table", data)
        covariance = x.double().mT.cov(correction=0)
        torch.testing.assert_close(covariance.diagonal(), torch.ones(30).double(), rtol=0.0, atol=tight)
        if data == "ZCA":
            torch.testing.assert_close(covariance, torch.eye(30).double(), rtol=0.0, atol=tight)
        assert len(others) == 2
    rivals.prepared.cache_clear()


def test_the_study_writes_its_table(rivals, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rivals, "RATES", {"sgd": (0.01, 0.1)})
    monkeypatch.setattr(rivals, "methods", lambda task: [rivals.Method("BatchNorm", "raw", "plain", "sgd")])
    arguments = ["table", "--seconds", "0.01", "--optimizers", "sgd", "--out", str(tmp_path)]
    rivals.main(arguments)
    text = (tmp_path / "networks_rivals.md").read_text(encoding="utf-8")
    assert "| table | sgd | BatchNorm | 0." in text
    assert text.strip() in capsys.readouterr().out
    compute = rivals.run
    monkeypatch.setattr(rivals, "run", lambda config: config["seconds"] == 0.0 and compute(config))
    rivals.main(arguments)  # from the files alone
    assert (tmp_path / "networks_rivals.md").read_text(encoding="utf-8") == text
    with pytest.raises(SystemExit):
        rivals.main(["nosuch"])
    assert "TASK must be among" in capsys.readouterr().err


def test_a_run_is_read_where_the_held_out_accuracy_was_best(rivals):
    points = [(0.2, 0.3), (0.5, 0.6), (0.5, 0.9), (0.4, 0.1)]
    curve = [
        {"seconds": k + 1.0, "step": 10 * k, "loss": 1.0 / (k + 1), "held out": held, "accuracy": test}
        for k, (held, test) in enumerate(points)
    ]
    assert rivals.reading({"curve": curve}) == {
        "held out": 0.5,
        "accuracy": 0.6,
        "at": 2.0,
        "mean": pytest.approx((0.3 + 0.6 + 0.6 + 0.6) / 4),
        "loss": 0.25,
        "step": 30,
        "seconds": 4.0,
    }


@pytest.fixture
def decoupled(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("network_decoupled")


def trained(decoupled, scale, optimizer, wrap):
    """Outputs after some steps of a network whose directions were made longer."""
    torch.manual_seed(0)
    linear = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 3, dtype=torch.float64))
    model = torch.nn.Sequential(linear, torch.nn.Tanh(), torch.nn.Linear(3, 1, dtype=torch.float64))
    x, y = torch.randn(30, 4).double(), torch.randn(30, 1).double()
    g, v = linear.parametrizations.weight.original0, linear.parametrizations.weight.original1
    with torch.no_grad():
        v.mul_(scale)
    inside = optimizer(model.parameters(), lr=0.05)
    step = decoupled.DecoupledOptimizer([inside], [(g, v)], length_rate=3.0) if wrap else inside
    for _ in range(5):
        model.zero_grad()
        (model(x) - y).square().mean().backward()
        step.step()
    return model(x)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_decoupled_steps_do_not_depend_on_the_size_of_v(decoupled, optimizer):
    once, longer = (trained(decoupled, scale, optimizer, True) for scale in (1.0, 7.0))
    torch.testing.assert_close(longer, once, rtol=1e-6, atol=1e-9)
    plain, changed = (trained(decoupled, scale, optimizer, False) for scale in (1.0, 7.0))
    assert float((changed - plain).detach().norm()) > 1e-2


def test_a_decoupled_step_of_sgd_is_the_square_of_the_ratio(decoupled):
    g = torch.nn.Parameter(torch.tensor([[2.0], [0.5]]))
    v = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.6, 0.8]]))
    before = v.detach().clone(), g.detach().clone()
    v.grad, g.grad = torch.ones(2, 2), torch.ones(2, 1)
    inside = torch.optim.SGD([g, v], lr=0.1)
    decoupled.DecoupledOptimizer([inside], [(g, v)], length_rate=10.0).step()
    ratio = torch.tensor([[5.0 / 2.0], [1.0 / 0.5]])
    torch.testing.assert_close(v.detach(), before[0] - 0.1 * ratio.square())
    torch.testing.assert_close(g.detach(), before[1] - 1.0)


def test_lengths_and_directions_of_a_network(decoupled):
    nn = torch.nn
    split = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), split, nn.Tanh(), nn.Linear(4, 2))
    parts = split.parametrizations.weight
    expected = [(model[1].weight, model[0].weight), (parts.original0, parts.original1)]
    found = decoupled.length_and_direction(model)
    assert [(id(g), id(v)) for g, v in found] == [(id(g), id(v)) for g, v in expected]
