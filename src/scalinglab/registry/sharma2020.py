"""Rows of teachers and students, after arXiv:2004.10802 and the deep half of 2102.06701."""

from .entry import Entry

_BAHRI = "arXiv:2102.06701"

MODELS: tuple[Entry, ...] = (
    Entry(
        "teacher-student",
        "scalinglab.models.teacher_student",
        "",
        "a network that learns a random network on inputs of d dimensions",
        "arXiv:2004.10802",
    ),
)

EXPERIMENTS: tuple[Entry, ...] = (
    Entry(
        "manifold-dimension",
        "scalinglab.experiments.teacher_student.manifold_dimension",
        "",
        "the exponent of networks against the dimension of their data",
        f"{_BAHRI} Fig. 1b",
        cost="6 min",
    ),
    Entry(
        "aspect-ratio",
        "scalinglab.experiments.teacher_student.aspect_ratio",
        "",
        "the exponent of networks against their width and depth",
        f"{_BAHRI} Fig. S5",
        cost="3 min",
    ),
)

FIGURES: tuple[Entry, ...] = (
    Entry(
        "manifold-dimension",
        "scalinglab.paper_figs.bahri2021_students",
        "",
        "learning curves in d dimensions, and their exponents against 4/d",
        f"{_BAHRI} Fig. 1b",
        experiments=("manifold-dimension",),
    ),
    Entry(
        "teacher-line",
        "scalinglab.paper_figs.bahri2021_students",
        "",
        "a teacher and its students along a line, for growing training sets",
        f"{_BAHRI} Fig. 1b",
        experiments=("manifold-dimension",),
    ),
    Entry(
        "aspect-ratio",
        "scalinglab.paper_figs.bahri2021_students",
        "",
        "learning curves and exponents against the width and depth of the student",
        f"{_BAHRI} Fig. S5",
        experiments=("aspect-ratio",),
    ),
)
