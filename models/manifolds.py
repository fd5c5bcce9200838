"""Samples on manifolds of known dimension, embedded isometrically in a larger space.

| manifold | points | boundary | curved |
|---|---|---|---|
| flat-torus | uniform in [0, 1]^d with periodic distances; not embedded | no | no |
| sphere | uniform on the unit sphere S^d in d + 1 dimensions | no | yes |
| torus | product of d circles of unit circumference, in 2 d dimensions | no | extrinsically |
| cube | uniform in [0, 1]^d | yes | no |
| gaussian | standard normal in d dimensions, its density falling off | no | no |
| swiss-roll | uniform on a spiral sheet times a cube, side 10 | yes | extrinsically |
"""

import math
from typing import Literal, get_args

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

Manifold = Literal["flat-torus", "sphere", "torus", "cube", "gaussian", "swiss-roll"]
MANIFOLDS: tuple[str, ...] = get_args(Manifold)
# The spiral r = angle from 1.5 pi to 4.5 pi, as scikit-learn's, 90 long; and the other sides.
_TURNS = 1.5 * math.pi, 4.5 * math.pi
_SIDE = 10.0
_NEWTON = 20


def local_dimension(manifold: str, dimension: int) -> int:
    """Of the smallest flat space that holds the manifold.

    **Arguments:** `manifold`, one of `MANIFOLDS`; `dimension` d of the manifold.
    """
    extra = {"sphere": 1, "swiss-roll": 1, "torus": dimension}
    return dimension + extra.get(manifold, 0)


def draw_points(
    manifold: str, dimension: int, count: int, dtype: str, *, key: PRNGKeyArray
) -> Float[Array, "count local"]:
    """Independent points in the smallest flat space, uniform by volume but for `gaussian`.

    **Arguments:** `manifold`, one of `MANIFOLDS`; `dimension` d >= 1, 2 or more for `swiss-roll`;
    `count`; `dtype`; `key`.
    """
    if manifold == "gaussian":
        return jr.normal(key, (count, dimension), dtype)
    if manifold == "sphere":
        points = jr.normal(key, (count, dimension + 1), dtype)
        return points / jnp.linalg.norm(points, axis=1, keepdims=True)
    uniform = jr.uniform(key, (count, dimension), dtype)
    if manifold == "torus":
        angle = 2 * jnp.pi * uniform
        return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=1) / (2 * jnp.pi)
    if manifold == "swiss-roll":
        angle = _angle_at(uniform[:, 0])
        spiral = jnp.stack([angle * jnp.cos(angle), angle * jnp.sin(angle)], axis=1)
        return jnp.concatenate([spiral, _SIDE * uniform[:, 1:]], axis=1)
    return uniform


def _arc(angle: Float[Array, " count"]) -> Float[Array, " count"]:
    """The length of the spiral r = angle from the origin."""
    return (angle * jnp.sqrt(1 + angle**2) + jnp.arcsinh(angle)) / 2


def _angle_at(share: Float[Array, " count"]) -> Float[Array, " count"]:
    """Where a share of the spiral's length lies: Newton's method, which converges from the outer
    end, since the length is convex in the angle."""
    low, high = (_arc(jnp.full(1, end, share.dtype)) for end in _TURNS)
    wanted = low + share * (high - low)
    angle = jnp.full(share.shape, _TURNS[1], share.dtype)
    for _ in range(_NEWTON):
        angle = angle - (_arc(angle) - wanted) / jnp.sqrt(1 + angle**2)
    return angle


def embed(
    points: Float[Array, "count local"],
    ambient_dimension: int,
    *,
    key: PRNGKeyArray,
) -> Float[Array, "count ambient"]:
    """The points in a random subspace of the ambient space: a random isometry.

    **Arguments:** `points`; `ambient_dimension`, at least their own; `key`.
    """
    shape = ambient_dimension, points.shape[1]
    frame, _ = jnp.linalg.qr(jr.normal(key, shape, points.dtype))
    return jnp.sum(points[:, None, :] * frame[None, :, :], axis=2)


def squared_distances(
    rows: Float[Array, "rows ambient"],
    points: Float[Array, "count ambient"],
    *,
    periodic: bool,
) -> Float[Array, "rows count"]:
    """From differences, which lose no digits; `periodic` in every coordinate with period 1."""
    gap = rows[:, None, :] - points[None, :, :]
    if periodic:
        gap = gap - jnp.round(gap)
    return jnp.sum(gap**2, axis=2)
