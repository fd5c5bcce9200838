"""The table of what exists: names and module paths. Importing it imports none of them."""

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["model", "experiment", "figure"]


@dataclass(frozen=True)
class Entry:
    """One row: the name on the command line and the module that holds it.

    **Fields:** `name`; `module`, which holds `MODEL`, `EXPERIMENT` or `FIGURES`; `theory`, the
    module of a model's `THEORIES`; `summary`, one line; `paper`; `cost`, of an experiment at
    size default; `experiments`, those whose results a figure draws.
    """

    name: str
    module: str
    theory: str
    summary: str
    paper: str
    cost: str = ""
    experiments: tuple[str, ...] = ()


_BAHRI = "arXiv:2102.06701"

MODELS: tuple[Entry, ...] = (
    Entry(
        "random-features",
        "scalinglab.models.random_features",
        "scalinglab.theory.random_features",
        "ridge regression on random features of power-law Gaussian data",
        _BAHRI,
    ),
    Entry(
        "digits",
        "scalinglab.models.digits",
        "scalinglab.theory.digits",
        "ridge regression on ReLU random features of scikit-learn's digits",
        _BAHRI,
    ),
    Entry(
        "sphere-features",
        "scalinglab.models.sphere_features",
        "scalinglab.theory.sphere_features",
        "ridge regression on ReLU random features of points on a sphere",
        f"{_BAHRI} section 2.3",
    ),
    Entry(
        "noisy-inputs",
        "scalinglab.models.noisy_inputs",
        "scalinglab.theory.noisy_inputs",
        "ridge regression on power-law Gaussian inputs with noise added to them",
        _BAHRI,
    ),
    Entry(
        "superclass",
        "scalinglab.models.superclass",
        "scalinglab.theory.superclass",
        "ridge regression of many outputs, merged into superclasses",
        _BAHRI,
    ),
    Entry(
        "data-pruning",
        "scalinglab.models.data_pruning",
        "scalinglab.theory.data_pruning",
        "max-margin perceptron on the examples that a probe has selected",
        "arXiv:2206.14486",
    ),
)

EXPERIMENTS: tuple[Entry, ...] = (
    Entry(
        "four-regimes",
        "scalinglab.experiments.random_features.four_regimes",
        "",
        "the exponents of the four scaling regimes",
        f"{_BAHRI} Fig. 2a",
        cost="1 min",
    ),
    Entry(
        "duality",
        "scalinglab.experiments.random_features.duality",
        "",
        "data and features exchanged, and where that symmetry breaks",
        f"{_BAHRI} Fig. 2b",
        cost="1 min",
    ),
    Entry(
        "joint-risk",
        "scalinglab.experiments.random_features.joint_risk",
        "",
        "the ridge collapse, and the additive law at the optimal ridge",
        "arXiv:2405.19398",
        cost="1 min",
    ),
    Entry(
        "optimal-ridge-noise",
        "scalinglab.experiments.random_features.optimal_ridge_noise",
        "",
        "where the additive law is good: noise, and targets unlike the spectrum",
        "arXiv:2405.19398",
        cost="1 min",
    ),
    Entry(
        "fit-bias",
        "scalinglab.experiments.random_features.fit_bias",
        "",
        "a Chinchilla fit to runs whose law is known: bias and coverage",
        "arXiv:2203.15556",
        cost="2 min",
    ),
    Entry(
        "variance-decomposition",
        "scalinglab.experiments.random_features.variance_decomposition",
        "",
        "bias and variances of features, data and noise through the interpolation peak",
        "arXiv:2011.03321",
        cost="1 min",
    ),
    Entry(
        "input-noise",
        "scalinglab.experiments.random_features.input_noise",
        "",
        "noise on the inputs lowers the exponent: how much of it is a floor",
        f"{_BAHRI} Fig. 3",
        cost="1 min",
    ),
    Entry(
        "superclass",
        "scalinglab.experiments.random_features.superclass",
        "",
        "merging classes: the amplitude changes, and when the exponent does too",
        f"{_BAHRI} Fig. 3",
        cost="1 min",
    ),
    Entry(
        "digits",
        "scalinglab.experiments.random_features.digits",
        "",
        "a learning curve predicted from the kernel spectrum of real images",
        f"{_BAHRI} Fig. 2",
        "30 s",
    ),
    Entry(
        "sphere-features",
        "scalinglab.experiments.sphere_features.sphere_features",
        "",
        "the exponent 3/q of ReLU features on the sphere, and its amplitude",
        f"{_BAHRI} section 2.3",
        cost="2 min",
    ),
    Entry(
        "pruning-frontier",
        "scalinglab.experiments.data_pruning.pruning_frontier",
        "",
        "test error against kept examples, and what its frontier over f is",
        "arXiv:2206.14486 Fig. 1",
        cost="2 min",
    ),
    Entry(
        "imperfect-probe",
        "scalinglab.experiments.data_pruning.imperfect_probe",
        "",
        "an imperfect probe brings the power law back, and over-pruning ruins it",
        "arXiv:2206.14486 Fig. 2",
        cost="2 min",
    ),
    Entry(
        "easy-or-hard",
        "scalinglab.experiments.data_pruning.easy_or_hard",
        "",
        "whether to keep easy or hard examples, and where that changes",
        "arXiv:2206.14486 Fig. 3",
        cost="2 min",
    ),
)

FIGURES: tuple[Entry, ...] = (
    Entry(
        "four-regimes",
        "scalinglab.paper_figs.bahri2021",
        "",
        "four panels of risk against size, with fitted and predicted exponents",
        f"{_BAHRI} Fig. 2a",
        experiments=("four-regimes",),
    ),
    Entry(
        "duality",
        "scalinglab.paper_figs.bahri2021",
        "",
        "exponents over the plane of samples and features",
        f"{_BAHRI} Fig. 2b",
        experiments=("duality",),
    ),
    Entry(
        "joint-risk",
        "scalinglab.paper_figs.bahri2021",
        "",
        "the ridge collapse and the optimal-ridge frontier",
        "arXiv:2405.19398",
        experiments=("joint-risk",),
    ),
    Entry(
        "optimal-ridge-noise",
        "scalinglab.paper_figs.bahri2021",
        "",
        "maps of the error of the additive law, and a cut with simulation",
        "arXiv:2405.19398",
        experiments=("optimal-ridge-noise",),
    ),
    Entry(
        "fit-bias",
        "scalinglab.paper_figs.fit_bias",
        "",
        "what a Chinchilla fit reports where the truth is known",
        "arXiv:2203.15556",
        experiments=("fit-bias",),
    ),
    Entry(
        "variance-decomposition",
        "scalinglab.paper_figs.bahri2021",
        "",
        "bias and variances against features, and against the ridge at the peak",
        "arXiv:2011.03321",
        experiments=("variance-decomposition",),
    ),
    Entry(
        "input-noise",
        "scalinglab.paper_figs.bahri2021",
        "",
        "learning curves and exponents against the noise on the inputs",
        f"{_BAHRI} Fig. 3",
        experiments=("input-noise",),
    ),
    Entry(
        "superclass",
        "scalinglab.paper_figs.bahri2021",
        "",
        "learning curves and exponents against the number of superclasses",
        f"{_BAHRI} Fig. 3",
        experiments=("superclass",),
    ),
    Entry(
        "digits",
        "scalinglab.paper_figs.bahri2021",
        "",
        "predicted and measured learning curves on digits",
        f"{_BAHRI} Fig. 2",
        experiments=("digits",),
    ),
    Entry(
        "sphere-features",
        "scalinglab.paper_figs.bahri2021",
        "",
        "learning curves on spheres, duality, and exponents against 3/q",
        f"{_BAHRI} section 2.3",
        experiments=("sphere-features",),
    ),
    Entry(
        "sphere-amplitude",
        "scalinglab.paper_figs.bahri2021",
        "",
        "the amplitude of the risk over that of the theory, against q",
        f"{_BAHRI} section 2.3",
        experiments=("sphere-features",),
    ),
    Entry(
        "pruning-frontier",
        "scalinglab.paper_figs.sorscher2022",
        "",
        "the ladder of keep fractions, and two frontiers with the laws fitted to them",
        "arXiv:2206.14486 Fig. 1",
        experiments=("pruning-frontier",),
    ),
    Entry(
        "imperfect-probe",
        "scalinglab.paper_figs.sorscher2022",
        "",
        "frontiers at five angles, over-pruning, and four rules side by side",
        "arXiv:2206.14486 Fig. 2",
        experiments=("imperfect-probe",),
    ),
    Entry(
        "easy-or-hard",
        "scalinglab.paper_figs.sorscher2022",
        "",
        "the better rule over pool and keep fraction, with simulated signs",
        "arXiv:2206.14486 Fig. 3",
        experiments=("easy-or-hard",),
    ),
)


def table(kind: Kind) -> tuple[Entry, ...]:
    """The rows of one kind."""
    rows: Mapping[Kind, tuple[Entry, ...]] = {
        "model": MODELS,
        "experiment": EXPERIMENTS,
        "figure": FIGURES,
    }
    return rows[kind]


def find(kind: Kind, name: str) -> Entry:
    """The row of that name.

    **Raises:** `ValueError` with the nearest name when there is none.
    """
    rows = table(kind)
    for row in rows:
        if row.name == name:
            return row
    raise ValueError(f"{kind}: {name!r} is unknown: {nearest(name, [row.name for row in rows])}")


def nearest(name: str, names: list[str]) -> str:
    """A remedy for a mistyped name: the nearest of `names`, or all of them."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none yet"


def load_model(name: str) -> tuple[Any, tuple[Any, ...]]:
    """The model of that name and its theories, in order; their modules are imported here."""
    entry = find("model", name)
    model = importlib.import_module(entry.module).MODEL
    theories = importlib.import_module(entry.theory).THEORIES if entry.theory else ()
    return model, tuple(theories)


def load_experiment(name: str) -> Any:
    """The experiment of that name."""
    return importlib.import_module(find("experiment", name).module).EXPERIMENT


def load_figure(name: str) -> Any:
    """The figure of that name."""
    return importlib.import_module(find("figure", name).module).FIGURES[name]
