"""Images to learn from: scikit-learn's digits, and Fashion-MNIST and CIFAR-10 where they are on disk.

All come split into training and test images, scaled with the statistics of the training images
alone. Nothing is downloaded, and nothing that a file asks for is run.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import math
import os
import pickle
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as shortened
from typing import NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from resnote.settings import SettingError, check_size

DIGITS_SPLIT = Path(__file__).with_name("digits_split.json")    # the rows of scikit-learn's file, in order
FASHION_MNIST_FOLDER = "/usr/share/datasets/fashion-mnist"     # where Debian's package puts it
FASHION_MNIST_CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
FASHION_MNIST_ADVICE = ("Get the four files again, from https://github.com/zalandoresearch/fashion-mnist or from Debian's package "
                        f"dataset-fashion-mnist, which lays them into {FASHION_MNIST_FOLDER}.")
CIFAR10_FOLDER = "cifar-10-batches-py"
CIFAR10_ADVICE = ("Get cifar-10-python.tar.gz again from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, "
          f"and give cifar10 the folder {CIFAR10_FOLDER}.")


class DataError(ValueError):
    """Data that cannot be used; the message names the file and says what to do about it."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """Training and test images, their labels, and how the images were scaled.

    Attributes
    ----------
    name : what the data are called
    train_images, test_images : (N, C, H, W) float32, (original − mean) / std for each channel
    train_labels, test_labels : (N,) int64, places in ``classes``
    classes : the name of each class
    mean, std : one number a channel, of the training images with 0 for the darkest and 1 for the
        brightest value that a pixel can have; std is the population's (divided by N)
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __repr__(self) -> str:
        return (f"ImageData({self.name}: {len(self.train_images):,} training and {len(self.test_images):,} test "
                f"images {tuple(self.train_images.shape[1:])}, {len(self.classes)} classes)")


def digits() -> ImageData:
    """The 1,797 scanned digits of scikit-learn: 1,347 for training, 450 for testing, (1, 8, 8) each.

    A pixel counts the inked ones, 0 to 16, of a 4 x 4 square of the scan. Every class has the same share
    of both splits, and every call returns the same images in the same order, in tensors of its own.

    The images are read from scikit-learn's own file, since to import scikit-learn takes seconds; and their split, which its
    train_test_split drew, is recorded. Raises `DataError` where the file is missing.

    Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI repository, 1998.
    """
    scans = np.loadtxt(_digits_file(), delimiter=",", dtype=np.float32)
    split = json.loads(DIGITS_SPLIT.read_text(encoding="utf-8"))
    train, test = ((scans[rows, :-1].reshape(-1, 1, 8, 8), scans[rows, -1].astype(np.int64)) for rows in (split["train"], split["test"]))
    return _scaled("digits", [train], [test], tuple("0123456789"), brightest=16)


def _digits_file() -> Path:
    found = importlib.util.find_spec("sklearn")
    file = found and Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not (file and file.is_file()):
        raise DataError(f"The digits are scikit-learn's, and {file or 'scikit-learn'} is not here. Install the versions that constraints.txt "
                        "names: pip install --force-reinstall --no-deps -c constraints.txt scikit-learn")
    return file


def fashion_mnist(folder: str | os.PathLike = FASHION_MNIST_FOLDER) -> ImageData:
    """Fashion-MNIST from its four files on disk: 60,000 and 10,000 grey photographs of clothes, (1, 28, 28) each.

    Parameters
    ----------
    folder : holds train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz and the same two of t10k, packed or unpacked

    Raises
    ------
    DataError
        (a ValueError) for a folder or file that is missing, cut short, or other than Fashion-MNIST's.

    Source: H. Xiao, K. Rasul and R. Vollgraf, *Fashion-MNIST*, 2017, arXiv:1708.07747.
    """
    folder = _folder(folder, FASHION_MNIST_FOLDER, FASHION_MNIST_ADVICE)
    train, test = (_idx_pair(folder, name) for name in ("train", "t10k"))
    return _spread(_scaled("Fashion-MNIST", [train], [test], FASHION_MNIST_CLASSES, brightest=255), folder, FASHION_MNIST_ADVICE)


def cifar10(folder: str | os.PathLike) -> ImageData:
    """CIFAR-10 from its "python version" on disk: 50,000 and 10,000 photographs, (3, 32, 32) each.

    Parameters
    ----------
    folder : cifar-10-batches-py, or the folder that holds it. A batch may hold fewer images than the
        original's 10,000.

    Raises
    ------
    DataError
        (a ValueError) for a folder or file that is missing, damaged or other than CIFAR-10's, and for a
        file that asks for anything but an array of bytes.

    Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009.
    """
    folder = _folder(folder, f"data/{CIFAR10_FOLDER}", CIFAR10_ADVICE)
    if (folder / CIFAR10_FOLDER).is_dir():
        folder /= CIFAR10_FOLDER
    classes = _class_names(folder / "batches.meta")
    train = [_batch(folder / f"data_batch_{number}") for number in range(1, 6)]
    return _spread(_scaled("CIFAR-10", train, [_batch(folder / "test_batch")], classes, brightest=255), folder, CIFAR10_ADVICE)


def _folder(folder, example, advice) -> Path:
    if not isinstance(folder, (str, os.PathLike)):
        raise DataError(f"The folder is {folder!r}; it must be a path, such as {example!r}.")
    folder = Path(os.path.expanduser(folder)).absolute()  # an unknown ~user stays as it is
    if not folder.is_dir():
        _refuse(folder, "is not a folder", advice)
    return folder


def _spread(data: ImageData, folder, advice) -> ImageData:
    if not all(data.std):
        _refuse(folder, "holds training images with a channel of one brightness, which no scale spreads to 1", advice)
    return data


def first(data: ImageData, train: int | None = None, test: int | None = None) -> ImageData:
    """The first so many training and test images, in the scale of all; None takes all.

    Raises `SettingError` where there are fewer.
    """
    kept = {}
    for name, count in (("train", train), ("test", test)):
        images, labels = getattr(data, f"{name}_images"), getattr(data, f"{name}_labels")
        count = len(images) if count is None else check_size(name, count)
        if count > len(images):
            raise SettingError(f"{data.name} has {len(images):,} {name} images, and {count:,} were asked for. Ask for as many, or "
                               "for fewer.")
        kept |= {f"{name}_images": images[:count], f"{name}_labels": labels[:count]}
    return replace(data, **kept)


def shrunk(data: ImageData, factor: int) -> ImageData:
    """Images whose pixels are the means of ``factor`` x ``factor`` pixels, with a standard deviation of 1 again.

    Raises `SettingError` where the factor does not divide height and width.
    """
    factor, (height, width) = check_size("factor", factor), data.train_images.shape[2:]
    if height % factor or width % factor:
        raise SettingError(f"Images of {height} x {width} cannot be cut into squares of {factor} x {factor}. Use a factor that "
                           "divides both sides.")
    train, test = (F.avg_pool2d(images, factor) for images in (data.train_images, data.test_images))
    std = train.std((0, 2, 3), correction=0, keepdim=True)
    return replace(data, train_images=train / std, test_images=test / std,
                   std=tuple(a * b for a, b in zip(data.std, std.flatten().tolist())))


def _scaled(name, train, test, classes, brightest) -> ImageData:
    """Join batches of (images, labels), and scale all images with the statistics of ``train``."""
    (train_images, train_labels), (test_images, test_labels) = _joined(train), _joined(test)
    std, mean = torch.std_mean(train_images, dim=(0, 2, 3), correction=0, keepdim=True)
    for images in (train_images, test_images):
        images.sub_(mean).div_(std)
    return ImageData(name, train_images, train_labels, test_images, test_labels, classes,
                     *(tuple((value / brightest).flatten().tolist()) for value in (mean, std)))


def _joined(batches) -> tuple[Tensor, Tensor]:
    images, labels = zip(*batches)
    return (torch.from_numpy(np.concatenate(images, dtype=np.float32)),
            torch.from_numpy(np.concatenate(labels, dtype=np.int64)))


# --- Fashion-MNIST's files --------------------------------------------------------------------


def _idx_pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, 1, 28, 28) uint8 and labels (N,) of "train" or "t10k"."""
    path, (count, *_), pixels = _idx(folder, f"{name}-images-idx3-ubyte", (28, 28))
    labels_path, (number,), values = _idx(folder, f"{name}-labels-idx1-ubyte", ())
    if number != count:
        _refuse(labels_path, f"holds {number:,} labels for {count:,} images", FASHION_MNIST_ADVICE)
    labels = np.frombuffer(values, np.uint8)
    if labels.max() >= len(FASHION_MNIST_CLASSES):
        _refuse(labels_path, f"holds the label {labels.max()}, where 0 to 9 are needed", FASHION_MNIST_ADVICE)
    return np.frombuffer(pixels, np.uint8).reshape(count, 1, 28, 28), labels


def _idx(folder: Path, name: str, each: tuple[int, ...]) -> tuple[Path, tuple[int, ...], bytes]:
    """A file in the IDX format: four bytes of kind, a big-endian length for each axis, and the bytes themselves.

    ``each`` is the shape of one entry. Nothing beyond what the lengths announce is read.
    """
    path = folder / f"{name}.gz"
    opened, path = (gzip.open, path) if path.exists() or not (folder / name).exists() else (open, folder / name)
    kind = bytes((0, 0, 8, 1 + len(each)))          # 8: unsigned bytes
    try:
        with opened(path, "rb") as file:
            head = file.read(4)
            shape = tuple(int.from_bytes(file.read(4), "big") for _ in range(1 + len(each)))
            if head != kind or shape[1:] != each:
                _refuse(path, f"is not a file of {'images of 28 x 28' if each else 'labels'} in the IDX format", FASHION_MNIST_ADVICE)
            if not 1 <= shape[0] <= 1_000_000:
                _refuse(path, f"announces {shape[0]:,} entries, where up to a million are read", FASHION_MNIST_ADVICE)
            needed = math.prod(shape)
            content = file.read(needed)
    except FileNotFoundError:
        _refuse(path, "is missing", FASHION_MNIST_ADVICE)
    except (OSError, EOFError, zlib.error) as error:
        _refuse(path, f"cannot be read ({type(error).__name__}: {error})", FASHION_MNIST_ADVICE)
    if len(content) != needed:
        _refuse(path, f"holds {len(content):,} bytes of the {needed:,} that it announces", FASHION_MNIST_ADVICE)
    return path, shape, content


# --- CIFAR-10's files ------------------------------------------------------------------------


class _Record:
    """What a file says of an array or of its dtype, taken down and not acted upon.

    NumPy's own functions would do, and would do more: a file could tell them to take its bytes for
    pointers to Python objects, and they would follow those.
    """

    def __init__(self, *arguments):
        self.arguments = arguments

    def __setstate__(self, state):
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Reads plain values as they are and arrays as `_Record`, and refuses every other name."""

    STAND_INS = {"numpy.core.multiarray._reconstruct": _Record,
                 "numpy._core.multiarray._reconstruct": _Record,  # as NumPy 2 calls it
                 "numpy.ndarray": _Record,
                 "numpy.dtype": _Record,
                 "_codecs.encode": str.encode}  # how Python 3 writes bytes in Python 2's protocol

    def find_class(self, module, name):
        if (wanted := f"{module}.{name}") not in self.STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {wanted!r}, which no file of CIFAR-10 does; "
                                         "nothing was run")
        return self.STAND_INS[wanted]


def _entries(path: Path, *keys: bytes) -> list:
    """The values of ``keys`` in the dictionary that a file holds."""
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="bytes").load()  # Python 2 wrote it: its text is bytes
    except FileNotFoundError:
        _refuse(path, "is missing")
    except Exception as error:  # damage shows as nearly any exception, MemoryError included
        _refuse(path, f"cannot be read ({type(error).__name__}: {error})")
    if not isinstance(content, dict) or not content.keys() >= {*keys}:
        _refuse(path, f"holds no {' and '.join(map(repr, keys))}, as a file of CIFAR-10 does")
    return [content[key] for key in keys]


def _class_names(path: Path) -> tuple[str, ...]:
    names, = _entries(path, b"label_names")
    if not (isinstance(names, list) and len(names) == 10 and all(isinstance(name, bytes) for name in names)):
        _refuse(path, "does not list ten names under b'label_names'")
    return tuple(name.decode(errors="replace") for name in names)


def _batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, 3, 32, 32) uint8 and labels (N,) of one file; red, green, blue, each row by row."""
    record, labels = _entries(path, b"data", b"labels")
    try:
        _, shape, dtype, column_major, pixels = record.state
        kind, count = dtype.arguments[0], len(pixels) // 3072
    except (AttributeError, IndexError, TypeError, ValueError):
        _refuse(path, "holds no array under b'data', where uint8 (N, 3072) is needed")
    if kind not in ("u1", b"u1") or not isinstance(pixels, bytes):
        _refuse(path, f"holds an array of type {shortened(kind)}, where uint8 is needed")
    if count < 1 or shape != (count, 3072) or len(pixels) != count * 3072:
        _refuse(path, f"holds {len(pixels):,} bytes of shape {shortened(shape)}, where (N, 3072) is needed")
    if not (isinstance(labels, list) and all(type(label) is int and 0 <= label <= 9 for label in labels)):
        _refuse(path, "holds labels that are not a list of whole numbers from 0 to 9")
    if len(labels) != count:
        _refuse(path, f"holds {len(labels):,} labels for {count:,} images")
    images = np.frombuffer(pixels, np.uint8).reshape(shape, order="F" if column_major else "C")
    return images.reshape(count, 3, 32, 32), np.array(labels)


def _refuse(path: Path, found: str, advice: str = CIFAR10_ADVICE) -> NoReturn:
    raise DataError(f"{path} {found}. {advice}") from None
