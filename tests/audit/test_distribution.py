"""Quantiles, exact and sketched."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groqscope.audit.distribution import (
    EXACT_LIMIT,
    QUANTILES,
    RELATIVE_ERROR,
    Values,
    needed,
    range_of,
    ranks_of,
    shares_of,
)

_NUMBER = st.floats(min_value=0, max_value=1e12, allow_nan=False)
_NUMBERS = st.lists(_NUMBER, min_size=1, max_size=300)


@given(_NUMBERS)
def test_exact_median(numbers):
    """The median is the standard library's."""
    assert _values(numbers).quantile(0.5) == pytest.approx(statistics.median(numbers))


@given(st.lists(_NUMBER, min_size=20, max_size=60))
def test_exact_quantiles(numbers):
    """Quantiles are those of the standard library's inclusive method."""
    expected = statistics.quantiles(numbers, n=20, method="inclusive")[18]

    assert _values(numbers).quantile(0.95) == pytest.approx(expected)


def _values(numbers):
    values = Values()
    for number in numbers:
        values.add(number)
    return values


@pytest.mark.parametrize(("quantile", "least"), [(0.5, 1), (0.9, 10), (0.95, 20), (0.99, 100), (0.999, 1000)])
def test_a_quantile_needs_values(quantile, least):
    """A quantile is given once there are enough values to expect one beyond it, and not before."""
    values = Values()
    for number in range(least - 1):
        values.add(number)
    before = values.quantile(quantile)
    values.add(1)

    assert needed(quantile) == least
    assert before is None or least == 1
    assert values.quantile(quantile) is not None


@given(st.lists(st.floats(min_value=1e-3, max_value=1e12), min_size=100, max_size=120))
def test_the_sketch_is_as_close_as_it_says(numbers):
    """Beyond the limit each quantile is within the stated error of a value at its rank; n, sum and ends are exact."""
    values = Values(limit=20)
    for number in numbers:
        values.add(number)
    ordered = sorted(numbers)

    assert not values.exact
    for quantile in (0.5, 0.9, 0.95, 0.99):
        rank = (len(ordered) - 1) * quantile
        got = values.quantile(quantile)
        near = ordered[int(rank)] * (1 - RELATIVE_ERROR - 1e-9), ordered[int(rank)] * (1 + RELATIVE_ERROR + 1e-9)
        assert near[0] <= got <= near[1]
    assert (values.n, values.min, values.max) == (len(numbers), ordered[0], ordered[-1])
    assert values.total == pytest.approx(sum(numbers))


def test_zeros_in_the_sketch():
    """0 has no logarithm, but is counted too."""
    values = Values(limit=3)
    for number in (0, 0, 0, 0, 5.0):
        values.add(number)

    assert values.quantile(0.5) == 0
    assert values.max == 5


def test_the_limit_is_where_the_sketch_begins():
    """Up to the limit everything is exact."""
    values = Values(limit=100)
    for number in range(100):
        values.add(number)
    exact = values.exact
    values.add(1)

    assert exact
    assert not values.exact
    assert EXACT_LIMIT == 100_000


@pytest.mark.parametrize(("left", "right"), [(10, 10), (10, 200), (200, 10), (200, 200)])
def test_merging_is_adding(left, right):
    """Merged values answer as if they had been added one by one, whichever of them is a sketch already."""
    rng = random.Random(3)
    numbers = [rng.expovariate(1 / 1e6) for _ in range(left + right)]
    whole, a, b = Values(100), Values(100), Values(100)
    for number in numbers:
        whole.add(number)
    for number in numbers[:left]:
        a.add(number)
    for number in numbers[left:]:
        b.add(number)
    a.merge(b)

    assert a.exact == whole.exact
    assert (a.n, a.min, a.max) == (whole.n, whole.min, whole.max)
    assert a.quantile(0.9) == pytest.approx(whole.quantile(0.9))


def test_nothing_is_not_zero():
    """Without values there is no minimum, no median and no mean."""
    empty = Values().distribution("ns")

    assert (empty.n, empty.min, empty.p50, empty.max, empty.mean) == (0, None, None, None, None)


def test_a_distribution_says_what_n_supports():
    """Of fifty values p95 is given and p99 is not."""
    values = Values()
    for value in range(50):
        values.add(value)
    given_ = values.distribution("ns")

    assert given_.p95 is not None
    assert given_.p99 is None
    assert given_.exact


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=40))
def test_few_shares_find_the_ranks_of_every_group(sizes):
    """One of them is in the range of each rank, and a group among others needs hardly more than one alone."""
    ranks = [(rank, n) for n in sizes for quantile in QUANTILES for rank in ranks_of(n, quantile)]

    shares = shares_of(ranks)

    for rank, n in ranks:
        low, high = range_of(rank, n)
        found = [share for share in shares if low <= share <= high]
        assert found
        assert all(math.floor(share * n) == rank for share in found)
    assert shares == sorted(set(shares))
    assert len(shares) <= len(set(ranks))


def test_groups_of_about_the_same_size_share_their_shares():
    """Twenty models ask for no more than one of them would, but for what their sizes differ in."""
    sizes = [*range(100_000, 100_020), 50]
    ranks = [(rank, n) for n in sizes for quantile in QUANTILES for rank in ranks_of(n, quantile)]

    assert len(shares_of(ranks)) <= 3 * 2 * len(QUANTILES)
