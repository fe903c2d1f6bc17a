"""Images to learn from: scikit-learn's digits, and CIFAR-10 where it is on disk.

Both come split into training and test images, scaled with the statistics of the training images
alone. Nothing is downloaded, and nothing that a file asks for is run.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

CIFAR10_FOLDER = "cifar-10-batches-py"
ADVICE = ("Get cifar-10-python.tar.gz again from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, "
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

    Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI repository, 1998.
    """
    from sklearn.datasets import load_digits  # imported late: it is slow, and cifar10 needs none of it
    from sklearn.model_selection import train_test_split

    scans = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        scans.images[:, None], scans.target, test_size=0.25, stratify=scans.target, random_state=0)
    return _scaled("digits", [(train_images, train_labels)], [(test_images, test_labels)],
                   tuple(map(str, scans.target_names)), brightest=16)


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
    if not isinstance(folder, (str, os.PathLike)):
        raise DataError(f"The folder is {folder!r}; it must be a path, such as 'data/{CIFAR10_FOLDER}'.")
    folder = Path(os.path.expanduser(folder)).absolute()  # an unknown ~user stays as it is
    if not folder.is_dir():
        _refuse(folder, "is not a folder")
    if (folder / CIFAR10_FOLDER).is_dir():
        folder /= CIFAR10_FOLDER
    classes = _class_names(folder / "batches.meta")
    train = [_batch(folder / f"data_batch_{number}") for number in range(1, 6)]
    data = _scaled("CIFAR-10", train, [_batch(folder / "test_batch")], classes, brightest=255)
    if not all(data.std):
        _refuse(folder, "holds training images with a channel of one brightness, which no scale spreads to 1")
    return data


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


def _refuse(path: Path, found: str) -> NoReturn:
    raise DataError(f"{path} {found}. {ADVICE}") from None
