"""Digits, Fashion-MNIST and CIFAR-10: the right pixels, scaled by the training images alone; bad files refused in words."""

from __future__ import annotations

import builtins
import gzip
import hashlib
import os
import pickle
import random
import re
import socket
import sys
from collections import Counter
from dataclasses import FrozenInstanceError
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import resnote
from resnote.data import CIFAR10_FOLDER, DataError, cifar10, digits, fashion_mnist, first, shrunk
from resnote.settings import SettingError

pytestmark = pytest.mark.filterwarnings("error")

NAMES = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]
BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
FILES = [*BATCHES, "test_batch", "batches.meta"]
FIRST, META = "data_batch_1", "batches.meta"


def originals(images, data, brightest):
    """The images as they were before scaling; fails unless they come out as whole numbers."""
    mean, std = (torch.tensor(value, dtype=torch.float64)[:, None, None] for value in (data.mean, data.std))
    values = (images.double() * std + mean) * brightest
    assert_close(values, values.round(), rtol=0, atol=1e-3)
    return values.round().to(torch.uint8).numpy()


# --- digits ----------------------------------------------------------------------------------

scikit_learns = pytest.mark.xdist_group("scikit-learn")     # importing it takes seconds: late, and in one process


@pytest.fixture
def scans():
    return digits()


@pytest.fixture(scope="session")
def load_digits():
    from sklearn.datasets import load_digits

    return load_digits


def test_digits_are_one_channel_float32_images_with_int64_labels(scans):
    assert scans.train_images.shape == (1347, 1, 8, 8) and scans.test_images.shape == (450, 1, 8, 8)
    assert scans.train_labels.shape == (1347,) and scans.test_labels.shape == (450,)
    assert scans.train_images.dtype == scans.test_images.dtype == torch.float32
    assert scans.train_labels.dtype == scans.test_labels.dtype == torch.int64
    assert scans.train_images.is_contiguous() and scans.test_images.is_contiguous()
    assert scans.name == "digits" and scans.classes == tuple("0123456789")


def test_the_training_digits_have_mean_0_and_std_1(scans):
    std, mean = torch.std_mean(scans.train_images.double(), correction=0)
    assert_close(mean.item(), 0.0, rtol=0, atol=1e-5)
    assert_close(std.item(), 1.0, rtol=0, atol=1e-5)


@scikit_learns
def test_mean_and_std_are_those_of_the_training_digits_alone_from_0_to_1(scans, load_digits):
    train = originals(scans.train_images, scans, 16) / 16
    everything = load_digits().images / 16
    assert_close((scans.mean[0], scans.std[0]), (train.mean(), train.std()), rtol=1e-6, atol=0)
    assert abs(scans.mean[0] - everything.mean()) > 1e-5 and abs(scans.std[0] - everything.std()) > 1e-5
    assert abs(scans.test_images.double().mean()) > 1e-4, "the test digits were centred by themselves"  # seen: 4e-4


@scikit_learns
def test_every_scan_is_in_exactly_one_split_with_its_label(scans, load_digits):
    source = load_digits()
    expected = Counter(zip(map(bytes, source.images.astype(np.uint8)), source.target.tolist()))
    assert len(expected) == 1797  # no scan occurs twice, so a repeated one would show
    found = Counter()
    for images, labels in ((scans.train_images, scans.train_labels), (scans.test_images, scans.test_labels)):
        found.update(zip(map(bytes, originals(images, scans, 16)), labels.tolist()))
    assert found == expected


def test_every_class_has_the_same_share_of_both_splits_within_one_image(scans):
    train, test = (labels.bincount(minlength=10) for labels in (scans.train_labels, scans.test_labels))
    assert ((test - (train + test) * 0.25).abs() <= 1).all()


def test_digits_are_the_same_on_every_call_whatever_was_seeded_or_changed_before():
    def tensors(data):
        return data.train_images, data.train_labels, data.test_images, data.test_labels

    torch.manual_seed(1), np.random.seed(1)
    first = digits()
    kept = [tensor.clone() for tensor in tensors(first)]
    for tensor in tensors(first):
        tensor.zero_()
    torch.manual_seed(2), np.random.seed(2)
    second = digits()
    assert all(map(torch.equal, kept, tensors(second)))
    assert (first.mean, first.std) == (second.mean, second.std)


def test_the_split_is_the_one_that_the_recorded_study_was_made_with(scans):
    assert scans.test_labels[:12].tolist() == [2, 0, 4, 9, 4, 1, 2, 4, 6, 7, 9, 1]
    assert hashlib.sha256(bytes(scans.test_labels.tolist())).hexdigest().startswith("761b0c5b17762fe1")


@scikit_learns
def test_the_recorded_split_is_the_one_that_scikit_learn_draws(scans, load_digits):
    from sklearn.model_selection import train_test_split

    source = load_digits()
    split = train_test_split(source.images, source.target, test_size=0.25, stratify=source.target, random_state=0)
    train_images, test_images, train_labels, test_labels = split
    for images, labels, ours, named in ((train_images, train_labels, scans.train_images, scans.train_labels),
                                        (test_images, test_labels, scans.test_images, scans.test_labels)):
        assert np.array_equal(originals(ours, scans, 16)[:, 0], images) and named.tolist() == labels.tolist()


def test_the_digits_are_read_without_importing_scikit_learn(monkeypatch):
    monkeypatch.setattr(resnote, "data", resnote.data)          # which the import below sets anew
    for name in [name for name in sys.modules if name == "resnote.data" or name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    import_module("resnote.data").digits()
    assert "sklearn" not in sys.modules


@pytest.mark.parametrize("missing, words", [
    ("package", "The digits are scikit-learn's, and scikit-learn is not here."),
    ("file", "The digits are scikit-learn's, and /nowhere/datasets/data/digits.csv.gz is not here.")])
def test_digits_that_are_not_there_are_asked_for(missing, words, monkeypatch):
    found = None if missing == "package" else SimpleNamespace(origin="/nowhere/__init__.py")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    with pytest.raises(DataError) as refused:
        digits()
    assert str(refused.value).replace("\\", "/").startswith(words)


def test_digits_leave_every_random_generator_as_it_was():
    torch.manual_seed(8128), np.random.seed(8128), random.seed(8128)  # a seed that no one else would set
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), np.random.get_state()[2], random.getstate()
    digits()
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1]) and before[2] == np.random.get_state()[2]
    assert before[3] == random.getstate()


def test_nothing_touches_the_network(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    digits()
    with pytest.raises(DataError):
        cifar10(tmp_path / "absent")
    with pytest.raises(DataError):
        cifar10(tmp_path)


def test_image_data_are_frozen_short_in_print_and_can_be_compared(scans):
    assert repr(scans) == "ImageData(digits: 1,347 training and 450 test images (1, 8, 8), 10 classes)"
    assert scans == scans and scans != digits() and hash(scans)
    with pytest.raises(FrozenInstanceError):
        scans.name = "other"


# --- CIFAR-10: a small folder in its format --------------------------------------------------


def python2_pickle(value) -> bytes:
    """What Python 2 wrote, opcode by opcode as in the real files: text as bytes, NumPy's old names."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value) -> bytes:
    if isinstance(value, bytes):
        return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + len(value).to_bytes(4, "little")) + value
    if isinstance(value, int):
        return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, list):
        return b"](" + b"".join(map(_python2, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(key) + _python2(item) for key, item in value.items()) + b"u"
    return python2_array(value.shape, value.dtype.str[1:].encode(), value.tobytes())


def python2_array(shape, kind, content):
    return (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01("
            + b"".join(map(_python2, shape)) + b"tcnumpy\ndtype\n" + _python2(kind) + b"K\x00K\x01\x87R"
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + _python2(content) + b"tb")


def python3_pickle(protocol):
    return lambda value: pickle.dumps(value, protocol)


WRITERS = {"python 2": python2_pickle, **{f"protocol {p}": python3_pickle(p) for p in range(5)}}


def contents(seed=0):
    """The seven files' dictionaries; every batch has another number of images, and its own brightness."""
    rng = np.random.default_rng(seed)
    files = {META: {b"num_cases_per_batch": 10000, b"label_names": list(NAMES), b"num_vis": 3072}}
    for count, name in enumerate([*BATCHES, "test_batch"], start=2):
        images = rng.integers(0, 256 - 20 * count, (count, 3072), dtype=np.uint8)
        images[:, 1024:2048] //= 2
        files[name] = {b"batch_label": name.encode(), b"labels": rng.integers(0, 10, count).tolist(),
                       b"data": images, b"filenames": [b"leptodactylus_pentadactylus_s_%06d.png" % i
                                                       for i in range(count)]}
    return files


def write(folder, files, writer=python2_pickle):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else writer(content))
    return folder


@pytest.fixture
def files():
    return contents()


@pytest.fixture
def folder(tmp_path, files):
    return write(tmp_path / CIFAR10_FOLDER, files)


def joined(files, key):
    return np.concatenate([files[name][key] for name in BATCHES])


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_images_and_labels_come_back_in_the_order_of_the_files(tmp_path, files, writer):
    data = cifar10(write(tmp_path, files, writer))
    assert data.train_images.shape == (20, 3, 32, 32) and data.test_images.shape == (7, 3, 32, 32)
    assert data.train_images.dtype == data.test_images.dtype == torch.float32
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64
    assert np.array_equal(originals(data.train_images, data, 255).reshape(20, 3072), joined(files, b"data"))
    assert np.array_equal(originals(data.test_images, data, 255).reshape(7, 3072), files["test_batch"][b"data"])
    assert data.train_labels.tolist() == joined(files, b"labels").tolist()
    assert data.test_labels.tolist() == files["test_batch"][b"labels"]
    assert data.name == "CIFAR-10" and data.classes == tuple(name.decode() for name in NAMES)


def test_the_red_plane_comes_first_and_each_plane_goes_row_by_row(tmp_path, files):
    pixels = files[FIRST][b"data"]
    pixels[1] = 0
    pixels[1, 5], pixels[1, 1024 + 32 * 7], pixels[1, 2048 + 32 * 30 + 31] = 251, 252, 253
    data = cifar10(write(tmp_path, files))
    image = originals(data.train_images, data, 255)[1]
    assert image[0, 0, 5] == 251    # red, row 0, column 5
    assert image[1, 7, 0] == 252    # green, row 7, column 0
    assert image[2, 30, 31] == 253  # blue, row 30, column 31
    assert image.astype(int).sum() == 251 + 252 + 253


def test_an_array_stored_column_by_column_gives_the_same_images(tmp_path, files):
    row_by_row = cifar10(write(tmp_path, files))
    for name in (*BATCHES, "test_batch"):
        files[name][b"data"] = np.asfortranarray(files[name][b"data"])
    column_by_column = cifar10(write(tmp_path, files, python3_pickle(4)))
    assert torch.equal(row_by_row.train_images, column_by_column.train_images)


def test_every_channel_of_the_training_images_has_mean_0_and_std_1(folder, files):
    data = cifar10(folder)
    std, mean = torch.std_mean(data.train_images.double(), dim=(0, 2, 3), correction=0)
    assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-5)
    assert_close(std, torch.ones_like(std), rtol=0, atol=1e-5)
    pixels = joined(files, b"data").reshape(-1, 3, 1024) / 255
    assert_close(data.mean, tuple(pixels.mean((0, 2))), rtol=1e-5, atol=0)
    assert_close(data.std, tuple(pixels.std((0, 2))), rtol=1e-5, atol=0)


def test_another_test_batch_changes_nothing_about_the_training_images(folder, files):
    before = cifar10(folder)
    files["test_batch"][b"data"] = 255 - files["test_batch"][b"data"] // 3
    after = cifar10(write(folder, files))
    assert torch.equal(before.train_images, after.train_images)
    assert (before.mean, before.std) == (after.mean, after.std)
    assert not torch.equal(before.test_images, after.test_images)


def test_the_parent_folder_and_the_home_folder_are_found(folder, monkeypatch):
    expected = cifar10(folder).train_images
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    for path in (folder.parent, str(folder.parent), str(folder), "~", f"~/{CIFAR10_FOLDER}"):
        assert torch.equal(cifar10(path).train_images, expected)


def test_one_image_a_batch_is_enough(tmp_path, files):
    for name in (*BATCHES, "test_batch"):
        files[name][b"data"], files[name][b"labels"] = files[name][b"data"][:1], files[name][b"labels"][:1]
    data = cifar10(write(tmp_path, files))
    assert len(data.train_images) == 5 and len(data.test_images) == 1


# --- CIFAR-10: what is wrong with a file is said ---------------------------------------------


def assert_refused(folder, name, *words):
    """The message names the file, and says what was found and what to do; the mended folder works."""
    with pytest.raises(DataError) as caught:
        cifar10(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / name} "), message
    assert "cifar.html, unpack it, and give" in message and message.endswith(".")
    for word in words:
        assert word in message
    write(folder, contents())
    assert len(cifar10(folder).train_images) == 20


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert_refused(folder, name, "is missing")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>\n<title>404</title>", b"\x1f\x8b\x08\x00rest",
                                     b"\0" * 4096, b"\x80\x02.", b"\x80\x63}.", b"\x80\x02Pid\n."])
def test_a_file_that_is_no_pickle_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    assert_refused(folder, name, "cannot be read (")


@pytest.mark.parametrize("name", [FIRST, "test_batch", META])
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_truncated_file_is_named_wherever_it_is_cut(folder, files, name, writer):
    whole = writer(files[name])
    for length in {*range(0, min(len(whole), 400), 13), *range(0, len(whole), 991), len(whole) - 1}:
        (folder / name).write_bytes(whole[:length])
        with pytest.raises(DataError, match="cannot be read") as caught:
            cifar10(folder)
        assert str(folder / name) in str(caught.value)


def test_a_changed_byte_is_refused_in_words_or_changes_no_more_than_values(folder, files):
    """No other exception than DataError escapes, whatever byte is hit; pixels cannot tell."""
    whole, rng = python2_pickle(files[FIRST]), random.Random(0)
    at = {*range(150), *range(len(whole) - 120, len(whole))}
    refused = 0
    for place in [*at, *at]:
        damaged = bytearray(whole)
        damaged[place] = rng.choice([byte for byte in range(256) if byte != ord("r")])  # r fills the memory
        (folder / FIRST).write_bytes(damaged)
        try:
            data = cifar10(folder)
        except DataError as error:
            refused += str(folder / FIRST) in str(error)
        else:
            assert data.train_images.shape == (20, 3, 32, 32) and data.train_images.isfinite().all()
    assert refused > 200


def array(shape=(2, 3072), dtype=np.uint8):
    return np.ones(shape, dtype)


WRONG_BATCHES = {
    "a list": ([1, 2], "holds no b'data' and b'labels'"),
    "text as keys": ({"data": array(), "labels": [0, 1]}, "holds no b'data' and b'labels'"),
    "no images": ({b"labels": [0, 1]}, "holds no b'data' and b'labels'"),
    "no labels": ({b"data": array()}, "holds no b'data' and b'labels'"),
    "images as a list": ({b"data": [[1] * 3072], b"labels": [0]}, "holds no array under b'data'"),
    "images as bytes": ({b"data": bytes(3072), b"labels": [0]}, "holds no array under b'data'"),
    "images as None": ({b"data": None, b"labels": [0]}, "holds no array under b'data'"),
    "a type for images": ({b"data": np.dtype("u1"), b"labels": [0]}, "holds no array under b'data'"),
    "objects": ({b"data": array(dtype=object), b"labels": [0, 1]}, "array of type 'O8', where uint8"),
    "float": ({b"data": array(dtype=np.float32), b"labels": [0, 1]}, "array of type 'f4', where uint8"),
    "signed": ({b"data": array(dtype=np.int8), b"labels": [0, 1]}, "array of type 'i1', where uint8"),
    "too narrow": ({b"data": array((2, 3071)), b"labels": [0, 1]}, "6,142 bytes of shape (2, 3071)"),
    "flat": ({b"data": array((6144,)), b"labels": [0, 1]}, "of shape (6144,), where (N, 3072) is needed"),
    "with axes": ({b"data": array((2, 3, 32, 32)), b"labels": [0, 1]}, "of shape (2, 3, 32, 32)"),
    "pixels first": ({b"data": array((3072, 2)), b"labels": [0, 1]}, "of shape (3072, 2)"),
    "no image": ({b"data": array((0, 3072)), b"labels": []}, "holds 0 bytes of shape (0, 3072)"),
    "too few labels": ({b"data": array(), b"labels": [0]}, "1 labels for 2 images"),
    "too many labels": ({b"data": array(), b"labels": [0, 1, 2]}, "3 labels for 2 images"),
    "label 10": ({b"data": array(), b"labels": [0, 10]}, "whole numbers from 0 to 9"),
    "label -1": ({b"data": array(), b"labels": [-1, 0]}, "whole numbers from 0 to 9"),
    "label 1.0": ({b"data": array(), b"labels": [1.0, 0]}, "whole numbers from 0 to 9"),
    "label True": ({b"data": array(), b"labels": [True, 0]}, "whole numbers from 0 to 9"),
    "label b'1'": ({b"data": array(), b"labels": [b"1", 0]}, "whole numbers from 0 to 9"),
    "labels as an array": ({b"data": array(), b"labels": np.zeros(2, np.uint8)}, "whole numbers from 0 to 9"),
    "labels as bytes": ({b"data": array(), b"labels": b"\0\1"}, "whole numbers from 0 to 9"),
}


@pytest.mark.parametrize("name", [FIRST, "data_batch_5", "test_batch"])
@pytest.mark.parametrize("content, words", WRONG_BATCHES.values(), ids=WRONG_BATCHES)
def test_a_batch_with_other_content_is_named_and_described(folder, name, content, words):
    (folder / name).write_bytes(pickle.dumps(content, 4))
    assert_refused(folder, name, words)


@pytest.mark.parametrize("shape, kind, content", [
    ((2, 3072), b"u1", bytes(3072)), ((1, 3072), b"u1", bytes(6144)), ((2, 3072), b"u1", bytes(6143)),
    ((1, 3072), b"u1", bytes(3073)), ((2, 3072), b"u1", [0] * 6144), ((-1, 3072), b"u1", bytes(3072))])
def test_an_array_of_more_or_fewer_bytes_than_its_shape_is_refused(folder, shape, kind, content):
    (folder / FIRST).write_bytes(b"\x80\x02}(U\x04data" + python2_array(shape, kind, content)
                                 + b"U\x06labels" + _python2([0] * shape[0]) + b"u.")
    assert_refused(folder, FIRST, "where")


@pytest.mark.parametrize("names", [NAMES[:9], [*NAMES, b"car"], [], None, b"airplanes.",
                                   [name.decode() for name in NAMES], dict.fromkeys(NAMES), [*NAMES[:9], 10]])
def test_other_class_names_than_ten_are_refused(folder, names):
    (folder / META).write_bytes(pickle.dumps({b"label_names": names}, 4))
    assert_refused(folder, META, "does not list ten names")


def test_a_class_name_that_is_not_utf_8_is_read_with_a_mark_in_the_place_of_the_byte(folder):
    (folder / META).write_bytes(pickle.dumps({b"label_names": [*NAMES[:9], b"caf\xe9"]}, 4))
    assert cifar10(folder).classes[8:] == ("ship", "caf\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("content", [{b"fine_label_names": NAMES}, {"label_names": NAMES}, NAMES])
def test_a_meta_file_without_class_names_is_refused(folder, content):
    (folder / META).write_bytes(pickle.dumps(content, 4))
    assert_refused(folder, META, "holds no b'label_names'")


def test_a_folder_in_the_place_of_a_file_is_named(folder):
    (folder / FIRST).unlink()
    (folder / FIRST).mkdir()
    with pytest.raises(DataError, match="cannot be read") as caught:
        cifar10(folder)
    assert str(folder / FIRST) in str(caught.value)


def test_a_missing_folder_an_archive_and_an_empty_folder_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b")
    for path in ("absent", "cifar-10-python.tar.gz"):
        with pytest.raises(DataError, match="is not a folder.*unpack it") as caught:
            cifar10(path)
        assert str(tmp_path / path) in str(caught.value)  # all of it: one may stand elsewhere than one thinks
    with pytest.raises(DataError, match="batches.meta is missing.*unpack it"):
        cifar10(tmp_path)


def test_a_channel_of_one_brightness_cannot_be_scaled(tmp_path, files):
    for name in BATCHES:
        files[name][b"data"][:, 2048:] = 77
    with pytest.raises(DataError, match="channel of one brightness") as caught:
        cifar10(write(tmp_path, files))
    assert str(tmp_path) in str(caught.value)


# --- CIFAR-10: what a file asks for is not run -----------------------------------------------


class Call:
    """Pickled, it says: call this function with these arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(tmp_path):
    """What to put in a file so that plain pickle makes ``tmp_path / 'ran'``, by the name it is refused by."""
    marker = str(tmp_path / "ran")
    trap = np.empty(1, object)
    trap[0] = Call(os.mkdir, marker)
    np.save(tmp_path / "trap.npy", trap, allow_pickle=True)
    return {f"{os.name}.system": Call(os.system, f"mkdir {marker}"),
            "builtins.eval": Call(eval, f"__import__('os').mkdir({marker!r})"),
            "builtins.exec": Call(builtins.exec, f"import os; os.mkdir({marker!r})"),
            "numpy.load": Call(np.load, str(tmp_path / "trap.npy"), None, True),
            f"{os.name}.mkdir": Call(os.mkdir, marker)}


ATTACKS = [f"{os.name}.system", "builtins.eval", "builtins.exec", "numpy.load", f"{os.name}.mkdir"]
PLACES = {"alone": (FIRST, lambda attack: attack),
          "as the images": (FIRST, lambda attack: {b"data": attack, b"labels": [0]}),
          "among objects": ("test_batch", lambda attack: {b"data": np.array([attack], object), b"labels": [0]}),
          "as a label": ("data_batch_4", lambda attack: {b"labels": [0, attack], b"data": array()}),
          "where no one looks": ("data_batch_5", lambda attack: {b"x": attack, b"data": array(), b"labels": [0, 1]}),
          "in the meta file": (META, lambda attack: {b"label_names": NAMES, b"x": attack})}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_that_calls_functions_is_refused_by_name_and_runs_nothing(folder, tmp_path, attack, place, protocol):
    name, around = PLACES[place]
    malicious = pickle.dumps(around(attacks(tmp_path)[attack]), protocol)
    (folder / name).write_bytes(malicious)
    refused = attack.replace("builtins", "__builtin__") if protocol < 3 else attack  # Python 2's name
    assert_refused(folder, name, f"it asks for {refused!r}, which", "nothing was run")
    assert not (tmp_path / "ran").exists()
    pickle.loads(malicious)
    assert (tmp_path / "ran").exists(), "the attack is harmless anyway: this test shows nothing"


@pytest.mark.parametrize("module, name", [
    ("numpy", "ndarray.tofile"), ("numpy", "dtype.__class__"), ("numpy", "lib.npyio.load"), ("numpy", "fromfile"),
    ("numpy._core.multiarray", "fromfile"), ("numpy.core.multiarray", "_reconstruct.__self__"), ("numpy", "memmap"),
    ("numpy.core.numeric", "_frombuffer"), ("numpy.core.multiarray", "scalar"), ("_codecs", "lookup"),
    ("_codecs", "decode"), ("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"), ("builtins", "getattr"),
    ("os", "ndarray"), ("no_such_module", "x"), ("numpy.f2py.diagnose", "run_command"), ("\x1b[31m", "x")])
def test_only_the_names_that_cifar_needs_are_let_through(folder, module, name):
    as_opcodes = {
        "GLOBAL": b"c" + module.encode() + b"\n" + name.encode() + b"\n.",
        "INST": b"(i" + module.encode() + b"\n" + name.encode() + b"\n.",
        "STACK_GLOBAL": b"\x80\x04\x8c" + bytes([len(module)]) + module.encode()
                        + b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93."}
    for content in as_opcodes.values():
        (folder / FIRST).write_bytes(content)
        assert_refused(folder, FIRST, f"it asks for {f'{module}.{name}'!r}, which", "nothing was run")


def test_bytes_posing_as_pointers_to_objects_are_refused_without_being_followed(folder):
    """NumPy's own three names read this file and then crash the process; see resnote.data._Record."""
    (folder / FIRST).write_bytes(b"\x80\x02}(U\x04data" + python2_array((1, 3072), b"O8", b"A" * 8 * 3072)
                                 + b"U\x06labels" + _python2([0]) + b"u.")
    assert_refused(folder, FIRST, "array of type b'O8'")


@pytest.mark.parametrize("content", [
    b"cnumpy\nndarray\n(N}U\x0c__setstate__K\x01stb.", b"cnumpy\ndtype\n}U\x0c__setstate__K\x01sb.",
    b"cnumpy\nndarray\n)\x81.", b"}(U\x04datacnumpy\nndarray\n)\x81U\x06labels]u.",
    b"c_codecs\nencode\n}U\x01aK\x01sb.", b"c_codecs\nencode\n(N}U\x01aK\x01stb.", b"}(U\x04datacnumpy\nndarray\nU\x06labels]u.",
    b"}(U\x04datacnumpy\nndarray\n(tR(K\x01K\x02K\x03K\x04K\x05tbU\x06labels]u.",
    b"}(U\x04datacnumpy\nndarray\n(tR(K\x01K\x02cnumpy\ndtype\n(tRK\x04K\x05tbU\x06labels]u.",
    b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zlibtR."])
def test_a_file_cannot_change_how_the_next_one_is_read(folder, content):
    (folder / FIRST).write_bytes(b"\x80\x02" + content)
    assert_refused(folder, FIRST)


# --- Fashion-MNIST -----------------------------------------------------------------------------


def idx(values: np.ndarray) -> bytes:
    """The IDX format, written by its description: http://yann.lecun.com/exdb/mnist/, end of the page."""
    return bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape) + values.tobytes()


@pytest.fixture
def clothes(tmp_path):
    """A folder of 30 and 12 images of noise, packed."""
    random, made = np.random.default_rng(0), {}
    for name, count in (("train", 30), ("t10k", 12)):
        made[f"{name}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        made[f"{name}-labels-idx1-ubyte"] = random.integers(0, 10, count, dtype=np.uint8)
    for name, values in made.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
    return tmp_path, made


def test_fashion_mnist_comes_back_in_the_order_of_its_files_packed_or_not(clothes):
    folder, made = clothes
    data = fashion_mnist(folder)
    for images, labels, name in ((data.train_images, data.train_labels, "train"), (data.test_images, data.test_labels, "t10k")):
        original = (images * data.std[0] + data.mean[0]) * 255
        np.testing.assert_allclose(original[:, 0], made[f"{name}-images-idx3-ubyte"], atol=1e-3)
        np.testing.assert_array_equal(labels, made[f"{name}-labels-idx1-ubyte"])
    assert abs(data.train_images.mean()) < 1e-6 and len(data.classes) == 10 and data.train_images.shape == (30, 1, 28, 28)
    for file in folder.glob("*.gz"):
        (folder / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert torch.equal(fashion_mnist(str(folder)).train_images, data.train_images)


def _cut(content):
    return content[:len(content) // 2]


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("change, words", [
    (lambda values: None, "is missing"), (lambda values: _cut(gzip.compress(idx(values))), "cannot be read .EOFError"),
    (lambda values: gzip.compress(_cut(idx(values))), "bytes of the .* that it announces"), (lambda values: b"", "not a file of"),
    (lambda values: b"<html>404</html>", "cannot be read .BadGzipFile"), (lambda values: gzip.compress(b"\0\0\x0d\3" + idx(values)[4:]), "IDX format"),
    (lambda values: gzip.compress(idx(values)[:4] + b"\x7f\xff\xff\xff" + idx(values)[8:]), "announces 2,147,483,647 entries"),
    (lambda values: gzip.compress(idx(values)[:-1]), "bytes of the")])
def test_a_file_of_fashion_mnist_that_is_not_whole_is_named(clothes, name, change, words):
    folder, made = clothes
    content = change(made[name])
    (folder / f"{name}.gz").unlink()
    if content is not None:
        (folder / f"{name}.gz").write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(name)}.*{words}.*dataset-fashion-mnist"):
        fashion_mnist(folder)


def test_other_numbers_of_labels_labels_of_other_classes_and_no_folder_are_refused(clothes):
    folder, made = clothes
    file = folder / "train-labels-idx1-ubyte.gz"
    for labels, words in ((made["train-labels-idx1-ubyte"][:-1], "29 labels for 30 images"), (np.full(30, 10, np.uint8), "the label 10")):
        file.write_bytes(gzip.compress(idx(labels)))
        with pytest.raises(DataError, match=words):
            fashion_mnist(folder)
    for absent, words in ((folder / "absent", "is not a folder"), (7, "must be a path")):
        with pytest.raises(DataError, match=words):
            fashion_mnist(absent)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(made["train-labels-idx1-ubyte"])))
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.full((30, 28, 28), 9, np.uint8))))
    with pytest.raises(DataError, match="one brightness"):
        fashion_mnist(folder)


def test_the_first_images_and_smaller_ones(scans):
    data = digits()
    few = first(data, 100)
    assert torch.equal(few.train_images, data.train_images[:100]) and len(few.train_labels) == 100
    assert torch.equal(few.test_images, data.test_images) and few.std == data.std
    assert torch.equal(first(data, None, 7).test_labels, data.test_labels[:7])
    small = shrunk(data, 2)
    assert small.train_images.shape[2:] == (4, 4) and small.test_images.shape == (450, 1, 4, 4)
    assert small.train_images.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    by_hand = data.train_images[5, 0, 2:4, 4:6].mean() * data.std[0]
    assert (small.train_images[5, 0, 1, 2] * small.std[0]).item() == pytest.approx(by_hand.item(), abs=1e-5)
    for make, words in ((lambda: first(data, 1348), "has 1,347 train images"), (lambda: first(data, 0), "train is 0"),
                        (lambda: first(data, None, 451), "has 450 test images"),
                        (lambda: shrunk(data, 3), "squares of 3 x 3"), (lambda: shrunk(data, 0), "factor")):
        with pytest.raises(SettingError, match=words):
            make()
