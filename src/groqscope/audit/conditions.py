"""What an expression says, as a tree: tested on a record here, and written as SQL where columns are asked.

A comparison with a value that is not known is neither true nor false, which is `None`.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from groqscope.audit.fields import Field, Value

Truth = bool | None
Test = Callable[[Any], Truth]
Sign = Literal["<", "<=", ">", ">=", "=", "!=", "~", "!~"]

FINAL_SIGMA: Final = "\N{GREEK SMALL LETTER FINAL SIGMA}"
SIGMA: Final = "\N{GREEK SMALL LETTER SIGMA}"

ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with a value, or with another field."""

    field: Field
    sign: Sign
    other: Field | None
    value: Value


@dataclass(frozen=True, slots=True)
class Known:
    """Whether a field has a value."""

    field: Field
    known: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """A field that is true or false, by itself."""

    field: Field


@dataclass(frozen=True, slots=True)
class Junction:
    """Several conditions, all of which hold, or any."""

    word: Literal["and", "or"]
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite of a condition."""

    part: "Condition"


Condition = Comparison | Known | Flag | Junction | Negation


class Predicate:
    """A condition that can be called with a record."""

    __slots__ = ("_test", "condition")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self._test = test_of(condition)

    def __call__(self, record: Any) -> bool:
        """Return whether the condition holds, and is known to."""
        return self._test(record) is True


def test_of(condition: Condition) -> Test:
    """Return the test of a record."""
    match condition:
        case Comparison():
            return _comparison_test(condition)
        case Known():
            return _known_test(condition.field, known=condition.known)
        case Flag():
            return _flag(condition.field)
        case Junction():
            tests = [test_of(part) for part in condition.parts]
            return _all(tests) if condition.word == "and" else _any(tests)
        case Negation():
            return _not(test_of(condition.part))


def _comparison_test(one: Comparison) -> Test:
    value = one.value
    right: Callable[[Any], Value] = one.other.get if one.other else lambda _: value
    if one.field.kind in {"text", "texts"}:
        return _text_test(one.field, one.sign, right)
    return _number_test(one.field, {"=": operator.eq, "!=": operator.ne, **ORDER}[one.sign], right)


def _known_test(field: Field, *, known: bool) -> Test:
    get = field.get
    if known:
        return lambda record: get(record) not in {None, ()}
    return lambda record: get(record) in {None, ()}


def _flag(field: Field) -> Test:
    get = field.get

    def test(record: Any) -> Truth:
        value = get(record)
        return None if value is None else bool(value)

    return test


def _number_test(field: Field, compare: Callable[[Any, Any], bool], right: Callable[[Any], Value]) -> Test:
    get = field.get

    def test(record: Any) -> Truth:
        a, b = get(record), right(record)
        return None if a is None or b is None else compare(a, b)

    return test


def _text_test(field: Field, sign: str, right: Callable[[Any], Value]) -> Test:
    get = field.get
    part = sign in {"~", "!~"}

    def test(record: Any) -> Truth:
        value, wanted = get(record), right(record)
        if value is None or wanted is None:
            return False
        texts = value if isinstance(value, tuple) else (str(value),)
        targets = wanted if isinstance(wanted, tuple) else (str(wanted),)
        if part:
            return any(without_case(w) in without_case(t) for t in texts for w in targets)
        return any(t == w for t in texts for w in targets)

    return _not(test) if sign.startswith("!") else test


def _all(tests: list[Test]) -> Test:
    def test(record: Any) -> Truth:
        unknown = False
        for one in tests:
            truth = one(record)
            if truth is False:
                return False
            unknown |= truth is None
        return None if unknown else True

    return test


def _any(tests: list[Test]) -> Test:
    def test(record: Any) -> Truth:
        unknown = False
        for one in tests:
            truth = one(record)
            if truth:
                return True
            unknown |= truth is None
        return None if unknown else False

    return test


def _not(test: Test) -> Test:
    def negated(record: Any) -> Truth:
        truth = test(record)
        return None if truth is None else not truth

    return negated


def without_case(text: str) -> str:
    """Return a text in lower case, letter by letter, so that SQL has the same: of few letters Python knows more."""
    return text.lower() if text.isascii() else text.replace("İ", "i").lower().replace(FINAL_SIGMA, SIGMA)
