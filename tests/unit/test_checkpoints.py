"""Files of weights: whole or not at all, read without running anything, refused in words."""

import errno
import os
import pickle
import zipfile

import pytest
import torch
from torch import nn

from resnote import checkpoints
from resnote.checkpoints import CheckpointError, clear, load, load_weights, save
from resnote.networks import SmallNet


def test_what_is_saved_is_loaded_and_nothing_else_is_left(tmp_path):
    content = {"a": torch.randn(3), "b": [1, 2.5, "c"], "nan": float("nan")}
    save(content, tmp_path / "file.pt")
    found = load(tmp_path / "file.pt")
    assert torch.equal(found["a"], content["a"]) and found["b"] == content["b"]
    assert os.listdir(tmp_path) == ["file.pt"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_gets_a_sentence_and_leaves_the_old_file(tmp_path, monkeypatch, failing):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    save({"step": 1}, tmp_path / "file.pt")
    monkeypatch.setattr(checkpoints.os, failing, full)
    with pytest.raises(CheckpointError, match="file.pt could not be written: No space left on device. The file that was there is "
                                              "still there. Make room"):
        save({"step": 2}, tmp_path / "file.pt")
    monkeypatch.undo()
    assert load(tmp_path / "file.pt") == {"step": 1} and os.listdir(tmp_path) == ["file.pt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
def test_a_device_that_is_full_and_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "folder").mkdir()
    os.symlink("/dev/full", tmp_path / "folder" / f".file.pt.{os.getpid()}.part")
    with pytest.raises(CheckpointError, match="No space left on device. Make room"):
        save({"step": 2}, tmp_path / "folder" / "file.pt")
    with pytest.raises(CheckpointError, match="absent.*could not be written: No such file or directory"):
        save({}, tmp_path / "absent" / "file.pt")


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for name in (".file.pt.123.part", "file.pt", "other.part", ".file.pt.txt"):
        (tmp_path / name).write_bytes(b"")
    clear(tmp_path / "file.pt")
    assert sorted(os.listdir(tmp_path)) == [".file.pt.txt", "file.pt", "other.part"]


class Hostile:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.remove, (str(self.victim),)


def test_a_hostile_file_runs_nothing(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("still here", encoding="utf-8")
    torch.save({"network": Hostile(victim)}, tmp_path / "zip.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Hostile(victim)))
    for name, words in (("zip.pt", "asks for (os|posix|nt).remove;"), ("pickle.pt", "is damaged, or asks for more than it may;")):
        with pytest.raises(CheckpointError, match=f"{name} {words} .*nothing was run"):
            load(tmp_path / name)
    assert victim.read_text(encoding="utf-8") == "still here"


def test_damage_and_foreign_files_get_a_sentence_wherever_they_are_cut(tmp_path):
    path = tmp_path / "file.pt"
    save(SmallNet("residual", 8, width=2).state_dict(), path)
    whole = path.read_bytes()
    for content in (b"", b"<html>404</html>", whole[:100], whole[:len(whole) // 2], whole[:-1], whole[100:], b"\x80\x02." * 9):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="file.pt "):
            load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError, match="file.pt "):
        load(path)
    with pytest.raises(CheckpointError, match="absent.pt is not there"):
        load(tmp_path / "absent.pt")


@pytest.mark.parametrize("content, words", [
    (lambda n: SmallNet("residual", 14, width=2).state_dict(), "36 of its names are not the network's, such as 'stages.0.1.residual"),
    (lambda n: SmallNet("residual", 8, width=3).state_dict(), r"stem.conv.weight is \(3, 1, 3, 3\) in it and \(2, 1, 3, 3\)"),
    (lambda n: n.double().state_dict(), "as torch.float64, where the network has torch.float32"),
    (lambda n: {"state_dict": n.state_dict()}, "holds no weights by name"), (lambda n: [1], "holds no weights by name"),
    (lambda n: {k: v for k, v in n.state_dict().items() if k != "fc.bias"}, "1 of the network's names are not in it, such as 'fc.bias'")])
def test_weights_of_another_network_are_refused_and_the_network_stays_as_it_was(tmp_path, content, words):
    network = SmallNet("residual", 8, width=2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save(content(SmallNet("residual", 8, width=2)), tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=words):
        load_weights(network, tmp_path / "weights.pt")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    other = SmallNet("residual", 8, width=2)
    save(other.state_dict(), tmp_path / "weights.pt")       # and the next right file works
    load_weights(network, tmp_path / "weights.pt")
    assert nn.utils.parameters_to_vector(network.parameters()).equal(nn.utils.parameters_to_vector(other.parameters()))


def test_a_file_that_does_not_count_batches_loads_as_it_does_in_torch(tmp_path):
    network, other = SmallNet("residual", 8, width=2), SmallNet("residual", 8, width=2)
    save({name: value for name, value in other.state_dict().items() if "num_batches" not in name}, tmp_path / "old.pt")
    load_weights(network, tmp_path / "old.pt")
    assert torch.equal(network.fc.weight, other.fc.weight)
