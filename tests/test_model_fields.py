"""Checks of the fields of configurations: what is let through, and the words of a refusal."""

import math
import re
from types import SimpleNamespace

import equinox as eqx
import pytest

from scalinglab.models.fields import field, require_choices, require_integer, require_number


@pytest.mark.parametrize(
    ("value", "ends", "text"),
    [
        (1, (2,), "n: 1; give an integer of at least 2"),
        (True, (0,), "n: True; give an integer of at least 0"),
        (2.0, (0,), "n: 2.0; give an integer of at least 0"),
        (9, (2, 8), "n: 9; give an integer in 2..8"),
        (1, (2, 8), "n: 1; give an integer in 2..8"),
    ],
)
def test_an_integer_is_refused(value, ends, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        require_integer("n", value, *ends)


@pytest.mark.parametrize(
    ("value", "ends", "text"),
    [
        (math.inf, {}, "give a finite number"),
        (math.nan, {"low": 0.0}, "give a finite number of at least 0"),
        (True, {"low": 0.0}, "give a finite number of at least 0"),
        ("1", {"low": 0.0}, "give a finite number of at least 0"),
        (-0.5, {"low": 0.0, "high": 1.0}, "give a finite number of at least 0 and at most 1"),
        (0.0, {"low": 0.0, "open_low": True}, "give a finite number above 0"),
        (2.5, {"high": 1.5}, "give a finite number at most 1.5"),
        (
            1.0,
            {"low": 0.0, "high": 1.0, "open_high": True},
            "give a finite number of at least 0 and below 1",
        ),
    ],
)
def test_a_number_is_refused(value, ends, text):
    with pytest.raises(ValueError, match=f"^{re.escape(f'f: {value!r}; {text}')}$"):
        require_number("f", value, **ends)


def test_a_remedy_replaces_the_range():
    with pytest.raises(ValueError, match=r"^n: 0; give 1 or 2$"):
        require_integer("n", 0, 1, 2, remedy="give 1 or 2")
    with pytest.raises(ValueError, match=r"^f: 0; give a share$"):
        require_number("f", 0, low=0.0, open_low=True, remedy="give a share")


def test_the_ends_of_a_range_are_in_it():
    for value in (2, 8):
        require_integer("n", value, 2, 8)
    for value in (0, 0.0, 1):
        require_number("f", value, low=0.0, high=1.0)
    require_number("f", -1e300)


def test_choices_are_refused_in_the_order_given():
    config = SimpleNamespace(rule="best", dtype="int8")
    require_choices(config, rule=("best", "worst"))
    with pytest.raises(ValueError, match=r"^dtype: 'int8'; give one of float64, float32$"):
        require_choices(config, rule=("best",), dtype=("float64", "float32"))


def test_a_field_keeps_its_words():
    class Config(eqx.Module):
        size: int = field(3, "n", ">= 1", "rows", static=True)

    (found,) = Config.__dataclass_fields__.values()
    assert found.default == 3
    assert found.metadata == {"symbol": "n", "range": ">= 1", "doc": "rows", "static": True}
