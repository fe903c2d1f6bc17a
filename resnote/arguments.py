"""What the commands' options may be, as `argparse` reads them."""

from argparse import ArgumentTypeError


def whole_number(text: str, least: int = 0) -> int:
    """The whole number that an option gives, ``least`` or more; raises `ArgumentTypeError` with the sentence for others."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return number
