"""What the commands share in reading their arguments: one-line errors, and the store's folder."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

Size = Literal["smoke", "default", "paper"]
SIZES: tuple[Size, ...] = get_args(Size)
EXECUTORS = ("local", "dask")


class UsageError(ValueError):
    """Bad input: its text is printed on one line, and the exit status is 2."""


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one line: the argument, the value, the remedy."""

    def __init__(self, command: str, summary: str) -> None:
        super().__init__(
            prog=f"scalinglab {command}",
            description=summary,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(re.sub(r"^argument (.*?/)?(?=-|\w)", "", message))

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The arguments read.

        **Raises:** `UsageError` for one that is unknown, with the nearest option.
        """
        found, unknown = self.parse_known_args(list(arguments))
        if unknown:
            self.refuse(unknown[0])
        return found

    def refuse(self, unknown: str) -> NoReturn:
        """**Raises:** `UsageError` for the unknown argument, with the nearest option."""
        from scalinglab.registry import nearest

        if not unknown.startswith("-"):
            raise UsageError(f"{unknown!r}: one argument too many: see {self.prog} --help")
        options = [text for text in self._option_string_actions if text.startswith("--")]
        flag = unknown.split("=")[0]
        raise UsageError(f"{flag}: unknown option of {self.prog}: {nearest(flag, options)}")


def one_of(*names: str) -> Callable[[str], str]:
    """An argparse type: one of `names`."""

    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text!r} is unknown: give one of {', '.join(names)}")
        return text

    return read


def whole(*, least: int) -> Callable[[str], int]:
    """An argparse type: an integer of at least `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give an integer of at least {least}")
        return value

    return read


def number(text: str) -> float:
    """An argparse type: a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number") from None


def add_store(parser: Parser) -> None:
    """The option `--store`."""
    parser.add_argument(
        "--store",
        metavar="DIR",
        help="folder of results (default: $SCALINGLAB_STORE, else ./results)",
    )


def add_size(parser: Parser) -> None:
    """The option `--size`."""
    parser.add_argument(
        "--size",
        type=one_of(*SIZES),
        default="default",
        metavar="|".join(SIZES),
        help="smoke takes seconds, default minutes on two cores, paper an accelerator",
    )


def store_folder(option: str | None) -> Path:
    """The folder of results: the option, the environment's SCALINGLAB_STORE, or ./results."""
    return Path(option or os.environ.get("SCALINGLAB_STORE") or "results")


def require(value: Any, placeholder: str, remedy: str) -> Any:
    """The positional argument. **Raises:** `UsageError` with the remedy when it is missing."""
    if value is None:
        raise UsageError(f"{placeholder}: missing: {remedy}")
    return value
