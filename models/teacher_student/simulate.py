"""The simulation in stages: training, then the losses and the picture along a line."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from scalinglab.models import students
from scalinglab.models.interface import Model, Observable, Stages, Status

from .config import Config
from .data import LINE, draw
from .sources import SOURCES
from .train import (
    Build,
    Run,
    advance,
    finite,
    perceptron,
    predicted,
    stage_count,
    start,
    test_loss,
    train_loss,
)

# A run whose training loss is not below this share of its test loss was stopped by its optimizer,
# not by its data.
LIMITED = 0.1


@jax.default_matmul_precision("highest")
def observe(
    config: Config, student: students.Student, run: Run, *, key: PRNGKeyArray
) -> dict[str, Array]:
    """The observables of a run; NaN with status NOT_FINITE where training diverged."""
    sample = draw(config, key=key)
    last = run.training.parameters
    learned = train_loss(config, student, last, sample)
    found = {
        "test_loss": run.best_loss,
        "log_test_loss": jnp.log(run.best_loss),
        "final_test_loss": test_loss(config, student, last, sample),
        "train_loss": learned,
        "best_step": run.best_step.astype(config.dtype),
        "optimisation_limited": (learned >= LIMITED * run.best_loss).astype(config.dtype),
        "teacher_on_line": sample.line_targets,
        "student_on_line": predicted(student, run.best, sample.line_inputs),
    }
    good = finite(found)
    kept = {name: jnp.where(good, value, jnp.nan) for name, value in found.items()}
    status = jnp.where(good, jnp.int32(Status.OK), jnp.int32(Status.NOT_FINITE))
    return {**kept, "status": status}


def model_of(build: Build, *, name: str, summary: str, version: int | str) -> Model:
    """The model with students of your own: any library's network, in place of the perceptron.

    **Arguments:** `build`, from a `Config` to a `Student` whose outputs have shape (rows, 1);
    `name` and `summary`, for the command line; `version`, raised whenever `build` changes, since
    stored results are found by it.

    **Returns:** a `Model` on the same `Config`, of which `student_width`, `depth` and `activation`
    mean what `build` makes of them.
    """

    def begin(config: Config, *, key: PRNGKeyArray) -> Run:
        return start(config, build(config), key=key)

    def proceed(config: Config, state: Run, stage: Int[Array, ""], *, key: PRNGKeyArray) -> Run:
        return advance(config, build(config), state, stage, key=key)

    def finish(config: Config, state: Run, *, key: PRNGKeyArray) -> dict[str, Array]:
        return observe(config, build(config), state, key=key)

    stages = Stages(stage_count, begin, proceed, finish)
    return Model(
        name=name,
        summary=summary,
        version=version,
        Config=Config,
        simulate=stages.simulate,
        stages=stages,
        draw=draw,
        smallest=Config(
            input_dimension=2,
            teacher_width=4,
            student_width=6,
            teacher_bias=0.5,
            num_samples=12,
            pool_size=16,
            test_samples=32,
            num_steps=100,
            batch_size=4,
            dtype="float64",
        ),
        observables={
            "test_loss": Observable("least test loss of all looks, one every 50 steps"),
            "log_test_loss": Observable("its logarithm, whose mean over seeds is fitted"),
            "final_test_loss": Observable("test loss after the last step"),
            "train_loss": Observable("training loss after the last step"),
            "best_step": Observable("step of the least test loss", unit="step"),
            "optimisation_limited": Observable(
                "1 where the training loss is not below a tenth of the test loss, else 0"
            ),
            "teacher_on_line": Observable(
                f"the teacher at {LINE} points from one training input to another",
                axes=("position",),
            ),
            "student_on_line": Observable("the student there", axes=("position",)),
            "status": Observable("outcome of the lane", unit="code"),
        },
        equation=(
            "x ~ U[-1, 1]^d,  y = random ReLU network of two hidden layers, of variance 1;  "
            "student: Adam on L(f(x_i), y_i), i <= D, cosine rate;  test_loss = least E L(f, y)"
        ),
        symbols={
            "d": "input_dimension",
            "D": "num_samples",
            "w": "student_width",
            "T": "num_steps",
            "B": "batch_size",
            "sigma": "label_noise",
        },
        sources=SOURCES,
    )


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` without flax."""
    del config
    students.require_flax()


MODEL = model_of(
    perceptron,
    name="teacher-student",
    summary="a network that learns a random network on inputs of d dimensions",
    version=1,
)
