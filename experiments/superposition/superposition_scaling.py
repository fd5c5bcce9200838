"""Loss against width in strong and weak superposition: after Figs 3 to 6 of arXiv 2505.10465.

Command: scalinglab run superposition-scaling [--size smoke|default|paper]
Cost: smoke 30 s (compilation), default under 4 minutes on two CPU cores, paper hours on one GPU.

Strong: a spring keeps the rows at norm 1 (weight decay -1), biases start at zero. Weak: a decay of
1/2. Losses are those of trained networks on fresh samples; the theory has no number fitted here.

Expected at size default (n = 200, 5000 steps of 512 samples, one seed): L at m = 7..40

    alpha 0     1.124 .837 .542 .290 .156 .0760     between LP and RF, interpolation within 15 %
    alpha 1      .572 .419 .257 .131 .0645 .0287
    alpha 1.5    .213 .130 .068 .0309 .0137 .0057
    alpha 2      .0513 .0281 .0134 .0057 .0026 .0011

with local exponents up to 2 or 2.5: the 1/m law needs n >> m^1.5 and m >> c(n), which no width here
has. The weak losses are about 1.0 to 1.2 times those of the features that have no row.

A strong lane has one seed at size default. The standard error of a loss is then that of its
evaluation, together with the scatter between seeds that was measured once: .3, 1.1, 3 and 5 % at
alpha = 0, 1, 1.5 and 2.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.engine import Sweep, config_from
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import superposition as model
from scalinglab.theory import superposition as theory

PAPER = "arXiv:2505.10465"
_SCATTER = ((0.0, 1.0, 1.5, 2.0), (0.003, 0.011, 0.03, 0.05))
# The interpolation was measured to hold within 15 % up to this share of dimensions.
WIDEST = 0.2


class _Scale(NamedTuple):
    features: int
    widths: tuple[int, ...]
    decays: tuple[float, ...]
    graded: tuple[tuple[float, int], ...]
    training: Mapping[str, Any]
    weak_widths: tuple[int, ...]
    weak_decays: tuple[float, ...]
    weak_steps: int
    weak_seeds: int
    seeds: int = 1


_SHORT = {"batch_size": 128, "num_steps": 400, "evaluation_samples": 4096}
_LONG = {"batch_size": 2048, "num_steps": 20_000, "learning_rate": 0.01}
_SIZES = {
    "smoke": _Scale(60, (6, 10), (0.0, 1.5), (), _SHORT, (4, 8), (1.5,), 300, 2),
    "default": _Scale(
        200,
        (7, 10, 14, 20, 28, 40),
        (0.0, 1.0, 1.5, 2.0),
        ((1.5, 14),),
        {"batch_size": 512, "num_steps": 5000},
        (5, 8, 13, 20, 30),
        (1.5, 2.0),
        3000,
        3,
    ),
    "paper": _Scale(
        1000,
        (10, 15, 25, 39, 63, 100),
        (0.0, 0.5, 1.0, 1.5, 2.0),
        ((1.0, 39), (1.5, 39)),
        _LONG,
        (10, 15, 25, 39, 63, 100),
        (1.5, 2.0),
        20_000,
        3,
        3,
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Widths by frequency decays, with the spring and with a decay of the weights."""
    scale = _SIZES[size]
    strong = model.Config(
        num_features=scale.features,
        width=scale.widths[0],
        **scale.training,
    )
    weak = model.Config(
        num_features=scale.features,
        width=scale.weak_widths[0],
        weight_decay=0.5,
        **{**scale.training, "num_steps": scale.weak_steps},
    )
    ladder = {"frequency_decay": scale.decays, "width": scale.widths}
    weak_ladder = {"frequency_decay": scale.weak_decays, "width": scale.weak_widths}
    return {
        "strong": Sweep(model, strong, ladder, seeds=scale.seeds),
        "weak": Sweep(model, weak, weak_ladder, seeds=scale.weak_seeds),
    }


class Trained(NamedTuple):
    """The losses of one ladder of widths, (widths,) each: `loss` and its standard `error`."""

    decay: float
    width: np.ndarray
    loss: np.ndarray
    error: np.ndarray


class Weak(NamedTuple):
    """One ladder in weak superposition, (widths, seeds) each.

    `loss`; `unrepresented`, that of the features without a row; `represented`, the share with one.
    """

    decay: float
    width: np.ndarray
    loss: np.ndarray
    unrepresented: np.ndarray
    represented: np.ndarray


def trained(dataset: xr.Dataset) -> tuple[Trained, ...]:
    """The ladders of the sweep with strong superposition, the flattest frequencies first.

    **Raises:** `ValueError` where a lane failed, so that no mean loses it silently.
    """
    found = []
    for decay in dataset["frequency_decay"].values:
        loss, sampled = (_lanes(dataset, decay, name) for name in ("loss", "loss_error"))
        seeds = loss.shape[1]
        scatter = float(np.interp(decay, *_SCATTER)) * loss.mean(axis=1) / math.sqrt(seeds)
        error = np.hypot(scatter, np.sqrt(np.sum(sampled**2, axis=1)) / seeds)
        width = dataset["width"].values.astype(float)
        found.append(Trained(float(decay), width, loss.mean(axis=1), error))
    return tuple(found)


def weakly_trained(dataset: xr.Dataset) -> tuple[Weak, ...]:
    """The ladders of the sweep with weak superposition.

    **Raises:** `ValueError` where a lane failed.
    """
    names = ("loss", "unrepresented_loss", "represented_fraction")
    width = dataset["width"].values.astype(float)
    return tuple(
        Weak(float(decay), width, *[_lanes(dataset, decay, name) for name in names])
        for decay in dataset["frequency_decay"].values
    )


def _lanes(dataset: xr.Dataset, decay: float, name: str) -> np.ndarray:
    values = dataset[name].sel(frequency_decay=decay).transpose("width", "seed").values
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: {int(np.sum(~np.isfinite(values)))} lanes failed")
    return values


def seed_slopes(width: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The exponent over the whole ladder, mean and standard error over the seeds."""
    each = np.array([whole_slope(width, one) for one in values.T])
    mean, error = mean_and_error(each)
    return float(mean), float(error)


def config_of(dataset: xr.Dataset, decay: float, width: float) -> model.Config:
    """The configuration of one point."""
    fields = {"frequency_decay": decay, "width": int(width)}
    return config_from(model.Config, {**json.loads(dataset.attrs["config"]), **fields})


def theory_losses(dataset: xr.Dataset, ladder: Trained, name: str) -> np.ndarray:
    """The loss of one theory at the widths of a ladder."""
    configs = [config_of(dataset, ladder.decay, width) for width in ladder.width]
    return np.array([theory.predict(config, name).observables["loss"] for config in configs])


def graded_points(dataset: xr.Dataset) -> tuple[tuple[float, int], ...]:
    """Decay and width where the theory of unequal frequencies is evaluated: it takes 20 s each."""
    features = json.loads(dataset.attrs["config"])["num_features"]
    return next((scale.graded for scale in _SIZES.values() if scale.features == features), ())


def slopes(width: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """-d log L / d log m between neighbours."""
    return -np.diff(np.log(loss)) / np.diff(np.log(width))


def slope_errors(ladder: Trained) -> np.ndarray:
    """Standard errors of the slopes between neighbours."""
    relative = ladder.error / ladder.loss
    return np.hypot(relative[1:], relative[:-1]) / np.diff(np.log(ladder.width))


def whole_slope(width: np.ndarray, loss: np.ndarray) -> float:
    """The exponent over the whole ladder by unweighted least squares of the logarithms."""
    return -float(np.polyfit(np.log(width), np.log(loss), 1)[0])


def whole_slope_error(ladder: Trained) -> float:
    """The standard error of `whole_slope`, by its linear dependence on each log L."""
    centred = np.log(ladder.width) - np.log(ladder.width).mean()
    return float(np.linalg.norm(centred * ladder.error / ladder.loss) / (centred @ centred))


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The bracket and the interpolation, the published exponents, and weak superposition."""
    strong, weak = datasets["strong"], datasets["weak"]
    claims: list[Claim] = []
    for ladder in trained(strong):
        claims += _flat_claims(strong, ladder) if ladder.decay == 0 else []
        claims += _graded_claims(strong, ladder)
        claims += _core_claims(strong, ladder) if ladder.decay >= 1 else []
        claims.append(_published_claim(ladder))
    for ladder in weakly_trained(weak):
        claims += _weak_claims(ladder)
    return tuple(claims)


def _at(ladder: Trained, i: int) -> str:
    return f"alpha={ladder.decay:g}, m={ladder.width[i]:g}"


def _flat_claims(dataset: xr.Dataset, ladder: Trained) -> list[Claim]:
    lower, upper, between = (
        theory_losses(dataset, ladder, name)
        for name in ("linear-programme", "random-frame", "interpolation")
    )
    features = json.loads(dataset.attrs["config"])["num_features"]
    claims = []
    for i, width in enumerate(ladder.width):
        span = math.log(upper[i] / lower[i])
        claims.append(
            claim(
                "Trained frames lie between the linear programme and the random frame.",
                "docs/superposition.md, section 4",
                "log(L/LP)/log(RF/LP)",
                math.log(ladder.loss[i] / lower[i]) / span,
                ladder.error[i] / ladder.loss[i] / span,
                0.5,
                "bound",
                _at(ladder, i),
                margin=0.5,
                note="agrees where the loss is between the two",
            )
        )
        if width <= WIDEST * features:
            claims.append(_interpolation_claim(ladder, i, between[i]))
    return claims


def _interpolation_claim(ladder: Trained, i: int, predicted: float) -> Claim:
    return claim(
        "A trained frame is at a fixed place between the two, on a logarithmic scale.",
        "docs/superposition.md, section 4",
        "L/interpolation",
        ladder.loss[i] / predicted,
        ladder.error[i] / predicted,
        1.0,
        "heuristic",
        _at(ladder, i),
        margin=0.15,
    )


def _graded_claims(dataset: xr.Dataset, ladder: Trained) -> list[Claim]:
    claims = []
    for decay, width in graded_points(dataset):
        if decay == ladder.decay:
            i = int(np.flatnonzero(ladder.width == width)[0])
            config = config_of(dataset, decay, width)
            predicted = theory.predict(config, "interpolation").observables["loss"]
            claims.append(_interpolation_claim(ladder, i, predicted))
    return claims


def _core_claims(dataset: xr.Dataset, ladder: Trained) -> list[Claim]:
    predicted = theory_losses(dataset, ladder, "core-frame")
    return [
        claim(
            "Trained frames beat a core with Gaussian interference for the rest.",
            "docs/superposition.md, section 3",
            "L/CRF",
            ladder.loss[i] / predicted[i],
            ladder.error[i] / predicted[i],
            0.4,
            "heuristic",
            _at(ladder, i),
            margin=0.4,
            note="agrees where the ratio is below .8",
        )
        for i in np.flatnonzero(ladder.width >= 10).tolist()
    ]


def _published_claim(ladder: Trained) -> Claim:
    return claim(
        "With strong superposition the loss falls as 1/m, or as m^(-2(alpha-1)) if that is faster.",
        f"{PAPER}, Fig. 6e",
        f"exponent of L(m), alpha={ladder.decay:g}",
        whole_slope(ladder.width, ladder.loss),
        whole_slope_error(ladder),
        theory.published_exponent(ladder.decay),
        "heuristic",
        f"m = {ladder.width[0]:g}..{ladder.width[-1]:g}",
        # The paper's own exponents scatter by this much about its line.
        margin=0.25,
    )


def _weak_claims(ladder: Weak) -> list[Claim]:
    ratio, error = mean_and_error(ladder.loss / ladder.unrepresented)
    window = f"m = {ladder.width[0]:g}..{ladder.width[-1]:g}"
    dof = ladder.loss.shape[1] - 1
    points = [
        claim(
            "With weak superposition the loss is that of the features without a row.",
            f"{PAPER}, Fig. 5a",
            "L/U, weight decay 1/2",
            ratio[i],
            error[i],
            1.075,
            "heuristic",
            f"alpha={ladder.decay:g}, m={width:g}",
            margin=0.075,
            note="agrees between 1.00 and 1.15",
            dof=dof,
        )
        for i, width in enumerate(ladder.width)
    ]
    slope = claim(
        "Its exponent is that of the features without a row.",
        f"{PAPER}, Fig. 5a",
        f"exponent of L/U, alpha={ladder.decay:g}, weight decay 1/2",
        *seed_slopes(ladder.width, ladder.loss / ladder.unrepresented),
        0.0,
        "heuristic",
        window,
        margin=0.06,
        dof=dof,
    )
    published = claim(
        "With weak superposition the exponent is alpha - 1.",
        f"{PAPER}, Fig. 5b",
        f"exponent of L, alpha={ladder.decay:g}, weight decay 1/2",
        *seed_slopes(ladder.width, ladder.loss),
        ladder.decay - 1,
        "asymptotic",
        window,
        dof=dof,
    )
    return [*points, slope, published]


EXPERIMENT = Experiment(
    name="superposition-scaling",
    summary="loss against width in superposition, between two estimates of the best frame",
    paper=f"{PAPER} Figs 3-6",
    cost={"smoke": "30 s", "default": "4 min", "paper": "hours on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
