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
    (file,) = entries["a9a"]["files"]
    assert file["path"] == str(tmp_path / "nothing" / "a9a" / "a9a")
    assert len(file["checksum"]) == len("sha256:") + 64
    assert len(entries["cifar10"]["files"]) == 5
    assert main(["data"]) == 0
    lines = map(str.split, capsys.readouterr().out.splitlines())
    shown = {line[0]: " ".join(line[1:]) for line in lines if line}
    assert shown["breast_cancer"] == "yes none needed"
    assert shown["mushrooms"].startswith("no ")
    assert shown["mnist"].endswith("nothing/mnist")  # the folder of its files
    batches = tmp_path / "nothing" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    (batches / "data_batch_2").touch()
    assert main(["data"]) == 0
    assert "1 of 5 files" in capsys.readouterr().out
