"""What changed between two sets, and what only seems to."""

import random
from array import array
from dataclasses import replace

import pytest
from support.traffic import MODEL, MS, failed, request, traffic

from groqscope.audit import MemorySource, NoRequests, Query, Records, compare
from groqscope.audit.comparison import interval


def sets(a, b):
    return compare(Records(MemorySource(list(a)), Query()), Records(MemorySource(list(b)), Query()))


def rows(comparison):
    return {row.measure: row for row in comparison.rows}


def requests(count, seed, **injected):
    rng = random.Random(seed)
    return [request(n, rng=rng, **injected) for n in range(count)]


@pytest.mark.parametrize("quantile", [0.5, 0.95])
@pytest.mark.parametrize("count", [100, 400])
def test_false_alarms_are_as_rare_as_promised(quantile, count):
    """Of 120 pairs of equal heavy-tailed sets about one in twenty 95% intervals excludes 1, at most one in ten."""
    rng = random.Random(7)
    alarms = 0
    for _ in range(120):
        a, b = (array("d", sorted(rng.lognormvariate(0, 0.6) for _ in range(count))) for _ in range(2))
        low, high = interval(a, b, quantile, 0.95)
        alarms += low > 1 or high < 1

    assert alarms <= 12


@pytest.mark.slow
def test_whole_tables_of_equal_sets_rarely_name_a_change():
    """Of 10 comparisons of equal traffic, two models and all measures each, at most one names anything."""
    named = 0
    for seed in range(10):
        a, b = traffic(300, seed), traffic(300, 1000 + seed)
        changes = [c for row in sets(a, b).rows for c in (row.median, row.p95)]
        named += any(change.certainty != "inconclusive" for change in changes)

    assert named <= 1


def test_a_change_is_found():
    """A queue that grew by half the duration is found in duration, first chunk and phase, and nowhere else."""
    comparison = sets(requests(200, 1), requests(200, 2, queue=150 * MS))
    by_measure = rows(comparison)

    assert by_measure["duration"].median.certainty == "slower"
    assert by_measure["ttfc"].p95.certainty == "slower"
    assert by_measure["phase.queue"].median.certainty == "slower"
    assert by_measure["phase.receive"].median.certainty == "inconclusive"
    assert by_measure["duration"].median.low > 1
    assert comparison.sentence.startswith(f"{MODEL} is slower: duration median +4")


def test_the_other_way_round_it_is_faster():
    """With the two sets exchanged, slower becomes faster."""
    by_measure = rows(sets(requests(200, 1, queue=150 * MS), requests(200, 2)))

    assert by_measure["duration"].median.certainty == "faster"
    assert by_measure["duration"].median.ratio < by_measure["duration"].median.high < 1


def test_the_same_question_has_the_same_answer():
    """The draws are seeded."""
    assert sets(requests(50, 1), requests(50, 2)) == sets(requests(50, 1), requests(50, 2))


def test_too_few_requests_are_inconclusive():
    """A tenfold difference between three requests is shown, but not called a change."""
    row = rows(sets(requests(3, 1), requests(3, 2, queue=4000 * MS)))["duration"]

    assert row.median.certainty == "inconclusive"
    assert row.median.ratio > 5
    assert row.median.low is None
    assert row.median.note == "needs 20 requests in each set"


def test_nothing_but_too_few_requests_says_so():
    """Without any interval, the sentence and the method say how many requests are needed."""
    comparison = sets(requests(3, 1), requests(3, 2))

    assert comparison.sentence.startswith("Too few requests to tell: each set needs 20")
    assert comparison.method.startswith("no interval")


def test_equal_sets_cannot_be_told_apart():
    """A set compared with itself has not changed."""
    assert sets(requests(30, 1), requests(30, 1)).sentence == "No change is larger than chance explains."


def test_p95_needs_more_than_the_median():
    """Fifty requests say something about the median and nothing about p95."""
    row = rows(sets(requests(50, 1), requests(50, 2)))["duration"]

    assert row.median.low is not None
    assert row.p95.low is None


def test_models_that_only_one_set_has():
    """Models that only one set has are named, not compared."""
    other = [replace(r, model="other", span_id=f"f{r.span_id[1:]}") for r in requests(30, 3)]
    comparison = sets([*requests(30, 1), *other], requests(30, 2))

    assert (comparison.only_a, comparison.only_b) == (("other",), ())
    assert {row.model for row in comparison.rows} == {MODEL}


def test_no_model_in_common():
    """The sentence says that there is nothing to compare, where a set has several models."""
    others = [replace(r, model=f"other {n % 2}") for n, r in enumerate(requests(6, 1))]
    comparison = sets(requests(5, 1), others)

    assert comparison.sentence.startswith("Nothing to compare")
    assert comparison.rows == ()
    assert comparison.only_b == ("other 0", "other 1")


def test_one_model_with_another():
    """Two sets of one model each are compared though the models differ, and the names of both are said."""
    slow, fast = requests(60, 1, receive=5_000_000_000), requests(60, 2)
    comparison = sets(slow, [replace(r, model="other") for r in fast])
    same = sets(slow, fast)

    assert comparison.sentence == same.sentence.replace(f"{slow[0].model} is", f"other instead of {slow[0].model} is")
    assert {row.model for row in comparison.rows} == {f"other instead of {slow[0].model}"}
    assert [row.median for row in comparison.rows] == [row.median for row in same.rows]
    assert comparison.only_a == comparison.only_b == ()


def test_failed_requests_say_nothing_about_speed():
    """Errors in one set do not make it faster."""
    row = rows(sets(requests(100, 1), [*requests(100, 2), *(failed(n) for n in range(100))]))["duration"]

    assert (row.n_a, row.n_b) == (100, 100)
    assert row.median.certainty == "inconclusive"


def test_small_phases_are_not_compared():
    """A phase below a fiftieth of the time would only fill the table."""
    measures = rows(sets(requests(50, 1), requests(50, 2)))

    assert "phase.receive" in measures
    assert "phase.finish" not in measures


def test_an_interval_grows_with_its_confidence():
    """The more tests a table has, the wider each interval."""
    rng = random.Random(1)
    a, b = (array("d", sorted(rng.expovariate(1) for _ in range(200))) for _ in range(2))
    narrow, wide = interval(a, b, 0.5, 0.95), interval(a, b, 0.5, 0.999)

    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_set_of_zeros():
    """A measure that is 0 in the first set has no ratio; drawing zeros divides by nothing."""
    zeros = array("d", [0.0] * 50)

    assert interval(zeros, zeros, 0.5, 0.95) == (1.0, 1.0)
    assert interval(zeros, array("d", [1.0] * 50), 0.5, 0.95)[0] == float("inf")


def test_an_empty_set_is_a_mistake():
    """An empty set is an error."""
    with pytest.raises(NoRequests):
        sets(requests(5, 1), [])


def test_what_was_nothing_before_has_no_ratio():
    """A measure that is 0 in the first set is shown without a change."""

    def queued(ns):
        records = requests(30, 1)
        return [replace(r, phases=replace(r.phases, queue=ns)) for r in records]

    row = rows(sets(queued(0), queued(500 * MS)))["phase.queue"]

    assert (row.median.a, row.median.ratio, row.median.certainty) == (0, None, "inconclusive")
    assert row.median.note == "nothing to compare with: it is 0 in the first set"
