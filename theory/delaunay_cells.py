"""Moments of the Delaunay simplex that contains a point, among uniform samples in d dimensions.

Far from any boundary three parts of that simplex are independent:

- v, the volume of its circumscribed ball, over that of the cube: Beta(d + 1, D - d), which is the
  density of d + 1 samples on a sphere of volume v, times (1 - v)^(D-d-1) for no sample inside;
- the directions u_0..u_d of its vertices from the centre: uniform on the sphere, weighted with the
  squared volume of the simplex (one factor from the change of variables, of Blaschke and
  Petkantschin, one since a point falls into a simplex with a probability proportional to it);
- the barycentric coordinates w of the point: uniform, Dirichlet(1, .., 1).

The squared volume is proportional to det[m_i]^2 with m_i = (1, u_i), so that the directions are a
determinantal process with the kernel k(u, v) = 1 + d u.v of rank d + 1: with e an expectation over
independent uniform u_i,

    E sum over distinct i, j, .. of g(u_i, u_j, ..) = e[ g(u_1, u_2, ..) det k(u_i, u_j) ].     (K)

For products of powers of one coordinate a_i of u_i the determinant, expanded in permutations, is a
sum of products of traces over their cycles. Sums over coinciding indices are set partitions, so
that moments of power sums s_p = sum_i w_i a_i^p are finite sums, exact at every d.

| here | symbol |
|---|---|
| dimension | d |
| powers | p_1, p_2, .. |
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

Terms = Sequence[tuple[float, tuple[int, ...]]]


def ball_volume(dimension: int) -> float:
    """V_d = pi^(d/2)/Gamma(1 + d/2), the volume of the unit ball.

    **Arguments:** `dimension` d >= 1.
    """
    return math.pi ** (dimension / 2) / math.gamma(1 + dimension / 2)


def beta_moment(order: float, first: float, second: float) -> float:
    """E v^s for v ~ Beta(a, b), Gamma(a + s) Gamma(a + b)/(Gamma(a) Gamma(a + b + s)).

    **Arguments:** `order` s; `first` a > 0; `second` b > 0, with a + s > 0.
    """
    total = first + second
    logarithm = math.lgamma(first + order) - math.lgamma(first)
    return math.exp(logarithm + math.lgamma(total) - math.lgamma(total + order))


@functools.lru_cache(maxsize=4096)
def power_sum_moment(powers: tuple[int, ...], dimension: int) -> float:
    """E s_p1 s_p2 .. with s_p = sum_i w_i a_i^p, a_i the first coordinate of u_i.

    The sum over set partitions of the factors: those of one block share an index, and

        E w_1^n1 w_2^n2 .. = n1! n2! .. d!/(d + k)!,   k factors in all.

    **Arguments:** `powers` p >= 0, at most six of them; `dimension` d >= 1.

    **Limits:** 1 for powers of zero; (n1! ..)-weighted moments of an interval's ends for d = 1.
    """
    scale = math.factorial(dimension) / math.factorial(dimension + len(powers))
    total = 0.0
    for blocks in _partitions(len(powers)):
        if len(blocks) <= dimension + 1:
            weight = math.prod(math.factorial(len(block)) for block in blocks)
            sums = tuple(sorted(sum(powers[i] for i in block) for block in blocks))
            total += weight * _distinct(sums, dimension)
    return scale * total


def mean_of(terms: Terms, dimension: int) -> float:
    """The mean of a polynomial in power sums: coefficients with the powers of their factors."""
    return sum((factor * power_sum_moment(powers, dimension) for factor, powers in terms), 0.0)


def times(one: Terms, other: Terms) -> Terms:
    """The product of two polynomials in power sums."""
    return [(a * b, tuple(sorted((*p, *q)))) for a, p in one for b, q in other]


# m_k = sum_i w_i (a_i - s_1)^k.
CENTRAL: dict[int, Terms] = {
    2: [(1.0, (2,)), (-1.0, (1, 1))],
    3: [(1.0, (3,)), (-3.0, (1, 2)), (2.0, (1, 1, 1))],
    4: [(1.0, (4,)), (-4.0, (1, 3)), (6.0, (1, 1, 2)), (-3.0, (1, 1, 1, 1))],
}


def _partitions(count: int) -> Iterator[list[list[int]]]:
    """Of 0..count-1 into blocks."""
    if count == 0:
        yield []
        return
    for smaller in _partitions(count - 1):
        for i in range(len(smaller)):
            yield [block + [count - 1] * (i == j) for j, block in enumerate(smaller)]
        yield [*smaller, [count - 1]]


@functools.lru_cache(maxsize=4096)
def _distinct(powers: tuple[int, ...], dimension: int) -> float:
    """(K) for a_1^p1 a_2^p2 ..: over permutations, sign times a trace for each cycle."""
    if sum(powers) % 2:
        return 0.0
    total = 0.0
    for permutation in itertools.permutations(range(len(powers))):
        product, sign = 1.0, 1
        for cycle in _cycles(permutation):
            product *= _trace(tuple(powers[i] for i in cycle), dimension)
            sign *= (-1) ** (len(cycle) - 1)
        total += sign * product
    return total


def _cycles(permutation: tuple[int, ...]) -> list[list[int]]:
    left = set(range(len(permutation)))
    found = []
    while left:
        cycle = [min(left)]
        while (following := permutation[cycle[-1]]) != cycle[0]:
            cycle.append(following)
        left -= set(cycle)
        found.append(cycle)
    return found


@functools.lru_cache(maxsize=4096)
def _trace(powers: tuple[int, ...], dimension: int) -> float:
    """tr B_p1 B_p2 .. with B_p = K^-1 E[a^p m m^T] and K = E m m^T = diag(1, 1/d, .., 1/d).

    B_p is a 2 x 2 block on (1, a) and d - 1 times a number on the other coordinates of u.
    """
    block, number = np.eye(2), 1.0
    for power in powers:
        moments = [_coordinate_moment(power + k, dimension) for k in (0, 1, 2)]
        block = block @ np.array([moments[:2], [dimension * m for m in moments[1:]]])
        if dimension > 1:
            number *= dimension * (moments[0] - moments[2]) / (dimension - 1)
    return float(np.trace(block)) + (dimension - 1) * number


def _coordinate_moment(power: int, dimension: int) -> float:
    """E a^p on the unit sphere, 1 3 5 .. (p - 1)/(d (d + 2) .. (d + p - 2)) for even p."""
    if power % 2:
        return 0.0
    return math.prod((2 * k + 1) / (dimension + 2 * k) for k in range(power // 2))
