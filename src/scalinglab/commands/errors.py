"""Which errors are answers to bad input, and how they are told."""

from .arguments import UsageError


def is_bad_input(error: ValueError) -> bool:
    """Whether the error was raised on purpose, by this project or by the user's own model.

    Those name the field, the value and the remedy. Any other is a bug, and keeps its traceback.
    """
    if isinstance(error, UsageError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    module = trace.tb_frame.f_globals.get("__name__", "")
    if module.split(".")[0] == "scalinglab":
        return True
    from .loading import is_own_module

    return is_own_module(module)


def one_line(error: BaseException) -> str:
    """The text of an error without line breaks."""
    return " ".join(str(error).split())
