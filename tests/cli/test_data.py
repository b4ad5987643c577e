"""``gdnp data``: what is known by name, and what of it is here."""

import json

from gdnp.cli import main


def test_data_lists_what_is_known(capsys, offline, tmp_path):
    assert main(["data", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "nothing")
    entries = {entry["name"]: entry for entry in found["datasets"]}
    assert entries["gaussian"]["present"]
    assert not entries["a9a"]["present"]
    assert entries["a9a"]["path"] == str(tmp_path / "nothing" / "a9a" / "a9a")
    assert len(entries["a9a.t"]["sha256"]) == 64
    assert len(entries["cifar10"]["files"]) == 5
    assert entries["mnist"]["path"] == str(tmp_path / "nothing" / "mnist")
    assert entries["mnist"]["sha256"] is None
    assert main(["data"]) == 0
    shown = capsys.readouterr().out
    assert "breast_cancer" in shown
    assert "mushrooms" in shown
    batches = tmp_path / "nothing" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    (batches / "data_batch_2").touch()
    assert main(["data"]) == 0
    assert "1 of 5 files" in capsys.readouterr().out
