"""Every registered model obeys every law, and each law can be broken."""

import dataclasses
import functools
import importlib.util
import json
import pathlib

import equinox as eqx
import example_model
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scalinglab import registry
from scalinglab.experiments import laws
from scalinglab.experiments.draws import predict_over_draws
from scalinglab.models import Model, Observable, Status
from scalinglab.theory import Prediction, Theory

_SCRIPT = pathlib.Path(__file__).parent / "golden" / "regenerate.py"


@functools.cache
def subject(name: str) -> laws.Subject:
    return laws.Subject(*registry.load_model(name))


@functools.cache
def golden_script():
    spec = importlib.util.spec_from_file_location("regenerate_golden", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("law", laws.LAWS, ids=laws.title)
@pytest.mark.parametrize("name", [entry.name for entry in registry.MODELS])
def test_a_registered_model_obeys(name, law):
    law(subject(name))


@pytest.mark.parametrize("entry", registry.MODELS, ids=lambda entry: entry.name)
def test_the_numbers_are_golden(entry):
    model, _ = registry.load_model(entry.name)
    script = golden_script()
    golden = json.loads(script.path_of(model).read_text())
    command = f"python tests/golden/regenerate.py {model.name}"
    assert golden["version"] == model.version, f"the version was raised: run {command}"
    changed = script.differing(script.measure(model), golden)
    assert not changed, (
        f"{', '.join(changed)} changed: raise the model's version, since stored results carry the "
        f"old numbers under the old one, then run {command}"
    )


@pytest.mark.parametrize("entry", registry.MODELS, ids=lambda entry: entry.name)
def test_the_registry_names_the_model_that_it_loads(entry):
    model, theories = registry.load_model(entry.name)
    assert (model.name, model.summary) == (entry.name, entry.summary)
    assert bool(theories) == bool(entry.theory)


def test_the_example_obeys_every_law():
    outcomes = laws.obey(example_model.MODEL, example_model.THEORIES)
    assert [outcome.reason for outcome in outcomes if not outcome.passed] == []
    assert len(outcomes) == len(laws.LAWS)


def test_the_example_is_that_of_the_readme_and_fits_in_sixty_lines():
    text = pathlib.Path(example_model.__file__).read_text()
    assert len(text.splitlines()) <= 60
    assert text in (pathlib.Path(__file__).parent.parent / "README.md").read_text()


class Config(eqx.Module):
    """A normal variable, for models that break one law each."""

    scale: float = 1.0

    def __check_init__(self) -> None:
        if not self.scale >= 0:
            raise ValueError(f"scale: {self.scale}; give a number of at least 0")


class Loose(eqx.Module):
    scale: float = 1.0


class Unnamed(eqx.Module):
    scale: float = 1.0

    def __check_init__(self) -> None:
        if not self.scale >= 0:
            raise ValueError("bad number")


class Arrays(eqx.Module):
    scale: list = eqx.field(default_factory=list)


@dataclasses.dataclass
class Assignable:
    scale: float = 1.0


def simulate(config, *, key):
    value = config.scale * jr.normal(key, (), jnp.float64)
    return {"value": jnp.asarray(value), "status": jnp.zeros((), jnp.int32)}


def constant(config, *, key):
    del key
    return {"value": jnp.ones(()), "status": jnp.zeros((), jnp.int32)}


def with_status(status, value=None):
    def changed(config, *, key):
        found = simulate(config, key=key)
        new = {"status": status} if value is None else {"status": status, "value": value}
        return {**found, **new}

    return changed


def counting():
    calls = []

    def changed(config, *, key):
        calls.append(None)
        return {**simulate(config, key=key), "value": jr.normal(key) + jnp.float64(len(calls))}

    return changed


MODEL = Model(
    name="normal",
    summary="a normal variable",
    version=1,
    Config=Config,
    simulate=simulate,
    observables={"value": Observable("it"), "status": Observable("outcome")},
    smallest=Config(),
)


def changed(**fields) -> Model:
    return dataclasses.replace(MODEL, **fields)


@pytest.mark.parametrize(
    ("law", "model", "reason"),
    [
        ("the_declaration_is_complete", changed(name="Two Words"), "hyphens"),
        ("the_declaration_is_complete", changed(version=True), "version"),
        ("the_declaration_is_complete", changed(smallest=3), "smallest"),
        ("the_declaration_is_complete", changed(observables={}), "declare status"),
        ("the_config_is_frozen_and_typed", changed(Config=Arrays), "has type"),
        (
            "the_config_is_frozen_and_typed",
            changed(Config=Assignable, smallest=Assignable()),
            "frozen",
        ),
        ("bad_numbers_are_rejected", changed(Config=Loose, smallest=Loose()), "status is OK"),
        ("bad_numbers_are_rejected", changed(Config=Unnamed, smallest=Unnamed()), "without naming"),
        ("observables_are_as_declared", changed(observables={}), "not declared"),
        (
            "observables_are_as_declared",
            changed(observables={**MODEL.observables, "value": Observable("it", axes=("t",))}),
            "0 axes",
        ),
        ("a_status_is_returned", changed(simulate=lambda config, *, key: {}), "absent"),
        ("a_status_is_returned", changed(simulate=with_status(jnp.ones(()))), "one integer"),
        ("a_status_is_returned", changed(simulate=with_status(jnp.int32(77))), "77"),
        (
            "lanes_are_finite_or_say_why",
            changed(simulate=with_status(jnp.int32(0), jnp.nan)),
            "although",
        ),
        ("lanes_are_finite_or_say_why", changed(simulate=with_status(jnp.int32(1))), "no lane"),
        ("different_keys_differ", changed(simulate=constant), "depends on the key"),
        ("vmap_equals_a_loop", changed(simulate=counting()), "beyond rounding"),
        ("jit_equals_eager", changed(simulate=counting()), "beyond rounding"),
    ],
)
def test_a_law_can_be_broken(law, model, reason):
    broken = next(one for one in laws.LAWS if one.__name__ == law)
    with pytest.raises(laws.LawError, match=reason):
        broken(laws.Subject(model))


def theory(value, *, kind="exact", names=("value",), label="toy", error=0.0, **fields):
    def predict(config, *, key=None):
        found = value if key is None else value(config, key)
        return Prediction({"value": found}, label, kind, error, "a source")

    source = fields.pop("source", "a source")
    return Theory("toy", kind, names, lambda config: True, predict, source, **fields)


@pytest.mark.parametrize(
    ("law", "row", "reason"),
    [
        ("theories_are_labelled", theory(0.0, names=("other",)), "no observables"),
        ("theories_are_labelled", theory(0.0, names=()), "not in its table row"),
        ("theories_are_labelled", theory(0.0, label="other"), "calls itself"),
        ("theories_are_labelled", theory(0.0, source=""), "source"),
        ("theories_are_labelled", theory(0.0, error=-1.0), "relative_error"),
        ("theories_are_finite_or_say_why", theory(np.inf), "although"),
        ("theories_agree_with_the_simulation", theory(9.0), "is allowed"),
    ],
)
def test_a_law_about_theories_can_be_broken(law, row, reason):
    broken = next(one for one in laws.LAWS if one.__name__ == law)
    with pytest.raises(laws.LawError, match=reason):
        broken(laws.Subject(MODEL, (row,)))


@pytest.mark.parametrize("kind", ["asymptotic", "heuristic", "bound"])
def test_only_strict_kinds_must_agree(kind):
    laws.theories_agree_with_the_simulation(laws.Subject(MODEL, (theory(9.0, kind=kind),)))


def test_a_stated_error_widens_what_agrees():
    # 7 +- 0.2 against 0 +- 0.2 over 32 seeds: apart by more than errors, inside 100 %.
    row = theory(7.0, kind="deterministic_equivalent", error=1.2)
    laws.theories_agree_with_the_simulation(laws.Subject(MODEL, (row,)))


def test_a_theory_given_the_draw_is_held_against_that_draw():
    def exact(config, key):
        return simulate(config, key=key)["value"]

    def shifted(config, key):
        # Far below the spread over seeds (1), far above rounding: only a paired test sees it.
        return exact(config, key) + 1e-6

    laws.theories_agree_with_the_simulation(laws.Subject(MODEL, (theory(exact, needs_key=True),)))
    with pytest.raises(laws.LawError, match="is allowed"):
        laws.theories_agree_with_the_simulation(
            laws.Subject(MODEL, (theory(shifted, needs_key=True),))
        )


def test_a_failure_of_any_kind_is_a_verdict():
    def fails(config, *, key):
        raise RuntimeError("out of\nluck")

    outcomes = laws.obey(changed(simulate=fails))
    assert any(o.reason == "RuntimeError: out of luck" and not o.passed for o in outcomes)


def test_predictions_over_draws_are_averaged_and_may_be_eager():
    keys = jr.split(jr.key(3), 4)

    def traced(config, key):
        return simulate(config, key=key)["value"]

    def eager(config, key):
        return float(traced(config, key))

    expected = np.asarray([eager(Config(), key) for key in keys])
    for value in (traced, eager):
        mean, drawn = predict_over_draws(theory(value, needs_key=True), Config(), keys)
        np.testing.assert_array_equal(drawn["value"], expected)
        assert mean.observables["value"] == expected.mean()
        assert mean.status == Status.OK
