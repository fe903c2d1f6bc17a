"""The command in one process: it learns, goes on bit for bit, and says what is wrong in words.

What needs processes of their own, interrupts, kills and `torchrun`, is in tests/kernel/test_train_processes.py.
"""

import os
import re
import signal
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from test_data import contents, idx, write
from tiny_runs import SMALL, TINY, same, threads, weights  # noqa: F401

from resnote import recipe, runs, train
from resnote.checkpoints import CheckpointError, load, save
from resnote.networks import SmallNet
from resnote.runs import FORMAT, Run, Settings
from resnote.settings import SettingError
from resnote.train import main


@pytest.fixture(scope="module")
def data():
    return train.opened(SMALL, None)


# --- one process -------------------------------------------------------------------------------


def test_it_trains_and_says_how_it_goes(tmp_path, capsys):
    assert main([*TINY, "--output", str(tmp_path / "a"), "--report", str(tmp_path / "report.html")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("residual-8: ") and "64 training images (1, 4, 4), 12 steps" in said[0]
    assert [line.split(" ·")[0] for line in said[1:4]] == [f"epoch {n} of 3" for n in (1, 2, 3)] and "\r" not in "".join(said)
    content = load(tmp_path / "a" / "checkpoint.pt")
    assert content["step"] == 12 == len(content["loss"]) and len(content["test_error"]) == 3
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 and "--batch-norm" in page and "12 of 12 steps" in page


def test_it_learns_the_digits(capsys):
    settings = Settings(depth=8, width=8, epochs=4, augment=False, schedule="cosine")
    run = Run(settings, train.opened(settings, None))
    runs.go(run, None, run.per_epoch, lambda run: None)
    assert run.history.train_error[-1] < 0.15 < run.history.train_error[0] and run.history.test_error[-1] < 0.2


def test_a_step_is_the_papers(data):
    """Gradient of the mean cross-entropy, weight decay on all weights, momentum of 0.9, on the batch that seed and step say."""
    settings = Settings(**{**vars(SMALL), "augment": False, "warm_up": 1})
    run = Run(settings, data)
    torch.manual_seed(0)
    network = SmallNet("residual", 8, width=2)
    momentum = [torch.zeros_like(p) for p in network.parameters()]
    for step, rate in ((0, 0.01), (1, 0.1)):
        batch = recipe.order(0, 0, 64)[16 * step:16 * (step + 1)]
        loss = torch.nn.functional.cross_entropy(network(data.train_images[batch]), data.train_labels[batch])
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for m, p in zip(momentum, network.parameters()):
                m.mul_(0.9).add_(p.grad + 1e-4 * p)
                p -= rate * m
        run.advance()
        assert run.history.loss[-1] == pytest.approx(loss.item(), rel=1e-5)
    for ours, theirs in zip(run.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_images_are_changed_only_where_asked_and_digits_are_never_mirrored(data):
    still, moving = (Run(Settings(**{**vars(SMALL), "augment": augment, "shrink": 1}), data) for augment in (False, True))
    wide = train.opened(Settings(images=64), None)
    moving = Run(Settings(**{**vars(SMALL), "shrink": 1}), wide)
    x, y = still._batch()
    batch = recipe.order(0, 0, 64)[:16]
    assert torch.equal(x, data.train_images[batch]) and torch.equal(y, data.train_labels[batch])
    x, y = moving._batch()
    how = recipe.changes(0, 0, 16, 1, False)
    assert torch.equal(x, recipe.changed(wide.train_images[batch], how)) and not torch.equal(x, wide.train_images[batch])


def test_a_run_that_goes_on_is_the_run_that_never_stopped_to_the_bit(data, tmp_path):
    whole, halves = Run(SMALL, data), Run(SMALL, data)
    for _ in range(whole.steps):
        whole.advance()
    for step in range(whole.steps):         # written and read before every step
        save(halves.content(), tmp_path / "checkpoint.pt")
        halves = Run(SMALL, data)
        halves.restore(load(tmp_path / "checkpoint.pt"), tmp_path / "checkpoint.pt")
        assert halves.step == step
        halves.advance()
    assert same(whole.network.state_dict(), halves.network.state_dict()) and repr(whole.content()) == repr(halves.content())


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, words", [
    (["--depth", "9"], "Depth is 9; .* Use 8 or 14"), (["--block", "bottleneck", "--depth", "8"], "Use 11 or 20"), (["--depth", "x"], "'x' is not a whole"),
    (["--width", "0"], "--width is 0"), (["--epochs", "0"], "--epochs is 0"), (["--learning-rate", "0"], "--learning-rate is 0"),
    (["--learning-rate", "nan"], "--learning-rate is nan"), (["--momentum", "1"], "--momentum is 1"), (["--weight-decay", "-1"], "--weight-decay is -1"),
    (["--data", "mnist"], "invalid choice"), (["--data", "cifar10"], "needs --folder"), (["--images", "0x"], "not a whole number"),
    (["--shrink", "3"], "squares of 3 x 3"), (["--images", "9999"], "1,347 train images"), (["--batch-size", "65"], "does not fit into 64"),
    (["--batch-size", "1"], "2 images or more"), (["--resume"], "needs the --output"), (["--checkpoint-every", "0"], "--checkpoint-every is 0"),
    (["--data", "fashion-mnist", "--folder", "/absent"], "/absent is not a folder"), (["--output", "/dev/null/x"], "Not a directory"),
    (["--nonsense"], "Unrecognized arguments: --nonsense"), (["--seed", "-1"], "not a whole number of 0 or more")])
def test_bad_arguments_get_one_sentence_and_exit_code_2(arguments, words, capsys):
    try:
        code = main([*TINY, *arguments])
    except SystemExit as ended:
        code = ended.code
    out, err = capsys.readouterr()
    assert code == 2 and err.count("\n") == 1 and out == "", err
    assert re.search(words, err), err


def test_a_checkpoint_is_not_overwritten_and_not_mistaken_for_another_runs(tmp_path, capsys):
    output = ["--output", str(tmp_path)]
    assert main([*TINY, *output]) == 0
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert main([*TINY, *output]) == 2 and "Add --resume" in capsys.readouterr().err
    for change, words in ((["--depth", "14"], "--depth 8, and this run has --depth 14"), (["--seed", "1"], "--seed 0, and this run has --seed 1"),
                          (["--no-augment"], "--augment True"), (["--block", "plain"], "--block residual")):
        assert main([*TINY, *change, *output, "--resume"]) == 1 and words in capsys.readouterr().err
    assert main([*TINY, *output, "--resume"]) == 0 and "going on after step 12" in capsys.readouterr().out
    assert load(tmp_path / "checkpoint.pt")["step"] == 12 and before[:2] == b"PK"


def changes(content):
    """Contents that are wrong each in one way."""
    yield "no checkpoint of", [1, 2]
    yield "no checkpoint of", {"network": content["network"]}
    yield "no checkpoint of", content["network"]
    yield "no checkpoint of", content | {"format": "resnote.train 0"}
    yield "settings", content | {"settings": 3}
    for step in (-1, 99, 4.0, True, None, 8):
        yield "step", content | {"step": step}
    yield "does not hold 4 numbers under 'loss'", content | {"loss": ["a"] * 4}
    yield "does not hold 4 numbers under 'loss'", content | {"loss": content["loss"][:3]}
    yield "does not hold 1 numbers under 'test_error'", content | {"test_error": [1]}
    yield "errors", content | {"wrong": 0.5}
    yield "another network", content | {"network": dict(list(content["network"].items())[1:])}
    yield "weights by name", content | {"network": [1]}
    yield "momentum", content | {"momentum": {}}
    yield "momentum", content | {"momentum": content["momentum"] | {"stem.conv.weight": torch.zeros(3)}}
    yield "momentum", content | {"momentum": {"fc.bias": 1}}
    yield "--depth", content | {"settings": content["settings"] | {"depth": 14}}
    yield "--warm-up", content | {"settings": {k: v for k, v in content["settings"].items() if k != "warm_up"}}


def test_a_checkpoint_with_anything_wrong_in_it_is_refused_and_changes_nothing(data):
    run = Run(SMALL, data)
    for _ in range(4):
        run.advance()
    assert run.content()["format"] == FORMAT
    for words, content in changes(run.content()):
        fresh = Run(SMALL, data)
        before = {name: value.clone() for name, value in fresh.network.state_dict().items()}
        with pytest.raises(CheckpointError, match=words):
            fresh.restore(content, "file.pt")
        assert same(before, fresh.network.state_dict()) and fresh.step == 0 and not fresh.history.loss


def test_a_damaged_checkpoint_and_a_full_disk_end_with_a_sentence(tmp_path, capsys, monkeypatch):
    assert main([*TINY, "--output", str(tmp_path)]) == 0
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:500])
    assert main([*TINY, "--output", str(tmp_path), "--resume"]) == 1
    assert "checkpoint.pt is damaged" in capsys.readouterr().err
    path.unlink()

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("resnote.checkpoints.os.fsync", full)
    assert main([*TINY, "--output", str(tmp_path)]) == 1
    assert "No space left on device" in capsys.readouterr().err and os.listdir(tmp_path) == []


def test_a_loss_that_is_no_number_ends_it_with_the_weights_before(tmp_path, capsys):
    assert main([*TINY, "--learning-rate", "1e8", "--epochs", "30", "--output", str(tmp_path)]) == 1
    assert "no longer a finite number" in capsys.readouterr().err
    if (tmp_path / "checkpoint.pt").exists():
        assert all(value.isfinite().all() for value in weights(tmp_path).values())


def test_a_batch_that_cannot_be_shared_is_refused(data):
    with pytest.raises(SettingError, match="16 cannot be shared by 3 processes"):
        Run(SMALL, data, runs.Processes(0, 3))
    with pytest.raises(SettingError, match="in equal parts of 2 images or more"):
        Run(SMALL, data, runs.Processes(0, 16))


def test_cifar_10_and_fashion_mnist_are_trained_from_their_folders_and_a_half_copied_one_is_named(tmp_path, capsys):
    write(tmp_path / "cifar", contents())
    for name, count in (("train", 12), ("t10k", 4)):
        images, labels = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    small = ["--depth", "11", "--block", "bottleneck", "--width", "2", "--epochs", "1", "--batch-size", "4", "--threads", "1"]
    assert main(["--data", "cifar10", "--folder", str(tmp_path / "cifar"), *small]) == 0
    assert "bottleneck-11: " in (out := capsys.readouterr().out) and "(3, 32, 32)" in out
    assert main(["--data", "fashion-mnist", "--folder", str(tmp_path), *small]) == 0
    assert "12 training images (1, 28, 28), 3 steps" in capsys.readouterr().out
    for folder, data, name in ((tmp_path, "fashion-mnist", "t10k-labels-idx1-ubyte"), (tmp_path / "cifar", "cifar10", "data_batch_3")):
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])
        assert main(["--data", data, "--folder", str(folder), *small]) == 2
        assert name in (err := capsys.readouterr().err) and err.count("\n") == 1


def test_where_another_process_is_gone_the_sentence_is_said_before_anything_of_the_run_is_freed(monkeypatch, capsys):
    """To free a network that was shared can wait for what that process still owes; torchrun then ends this one by force."""
    alive, left = [], []

    def shared(*_):
        network = SmallNet("plain", 8)
        alive.append(weakref.ref(network))
        raise RuntimeError("[gloo] Connection closed by peer")

    @contextmanager
    def joined():
        yield runs.Processes()

    def leave(code):
        left.append((code, alive[0]() is not None, capsys.readouterr().err[:40]))

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(train, "joined", joined)
    monkeypatch.setattr(train, "_train", shared)
    assert main(TINY, leave) == 1 and alive[0]() is None
    assert left == [(1, True, "Another process of this run is gone, or ")]


def test_a_request_to_end_that_comes_while_a_process_ends_does_not_cut_its_last_sentence(tmp_path, capsys, monkeypatch):
    """torchrun asks the others to end as soon as one process is gone, which they may have noticed themselves just before."""
    asked = []

    @contextmanager
    def left_by_another():
        try:
            yield runs.Processes()
        finally:
            signal.raise_signal(signal.SIGTERM)

    def connection_closed(*_):
        raise RuntimeError("[gloo] Connection closed by peer")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(train, "joined", left_by_another)
    monkeypatch.setattr(train, "_train", connection_closed)
    before = signal.signal(signal.SIGTERM, lambda *_: asked.append("while it still had to speak"))
    try:
        assert main([*TINY, "--output", str(tmp_path)]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not asked and capsys.readouterr().err.startswith("Another process of this run is gone")
