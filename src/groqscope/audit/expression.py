"""The language of `--where` and of budgets, parsed by recursive descent; nothing is ever evaluated as code.

    budget := measure operator number [unit] ['where' expression]
    expression := conjunction ('or' conjunction)*
    conjunction := negation ('and' negation)*
    negation := 'not' negation | '(' expression ')' | comparison
    comparison := operand (operator operand)+ | field ['not'] 'in' '(' literal (',' literal)* ')' | flag
    operand := field | number [unit] | 'text' | true | false | none
    operator := < <= > >= = == != <> ~ !~

A comparison with an unknown number is neither true nor false, and so is its negation: the request is not selected. An
absent text differs from every text. `= none` and `!= none` test whether a value is known. `~` tests whether a text
contains another, ignoring case. On a list of texts (`tool`, `finish_reasons`) an operator is true if any of them fits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, cast

from groqscope.audit.conditions import ORDER, Comparison, Condition, Flag, Junction, Known, Negation, Predicate, Sign
from groqscope.audit.errors import ExpressionError
from groqscope.audit.fields import Field, Kind, UnknownField, Value, find
from groqscope.audit.lexer import Token, tokenize, unix_ns

Vocabulary = Callable[[str], Field]
"""Finds the field of a name, or raises `UnknownField`."""

_SAME_AS: Final = {"==": "=", "<>": "!="}
_MAX_DEPTH: Final = 50


@dataclass(frozen=True, slots=True)
class _Operand:
    token: Token
    kind: Kind | None
    """`None`: the literal `none`."""
    field: Field | None = None
    value: Value = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget's parts as written: the measure, the limit, and the condition."""

    measure: Token
    operator: Token
    number: Token
    where: Predicate | None


def compile_where(text: str, vocabulary: Vocabulary = find) -> Predicate:
    """Return the predicate of an expression, by default about a request.

    Raises:
        ExpressionError: the expression cannot be understood; the message points at the place.
    """
    return Predicate(_Parser(text, vocabulary).condition())


def parse_limit(text: str, vocabulary_of: Callable[[str], Vocabulary]) -> Limit:
    """Parse a budget, without checking what it measures; what it measures has the vocabulary of its condition.

    Raises:
        ExpressionError: the budget cannot be understood; the message points at the place.
    """
    return _Parser(text, find).limit(vocabulary_of)


class _Parser:
    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._text = text
        self._find = vocabulary
        self._tokens = tokenize(text)
        self._at = 0
        self._depth = 0

    def condition(self) -> Condition:
        first = self._peek
        if first.kind == "end":
            raise self._error("the expression is empty: write for example ttfc > 1s", first)
        condition = self._expression()
        if self._peek.kind != "end":
            raise self._error(f"expected 'and', 'or' or the end, found {self._peek.text!r}")
        return condition

    def limit(self, vocabulary_of: Callable[[str], Vocabulary]) -> Limit:
        tokens: list[Token] = []
        for kind in ("name", "op", "number"):
            token = self._next()
            if token.kind != kind or token.text.lower() == "where" or (kind == "op" and token.text not in ORDER):
                raise self._error("expected a measure, < or > and a limit, for example ttfc.p95<400ms", token)
            tokens.append(token)
        self._find = vocabulary_of(tokens[0].text)
        if self._take("where"):
            return Limit(*tokens, where=Predicate(self.condition()))
        if self._peek.kind != "end":
            raise self._error("expected the end, or where and a condition")
        return Limit(*tokens, where=None)

    @property
    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _take(self, *words: str) -> Token | None:
        token = self._peek
        if token.kind in {"name", "op"} and token.text.lower() in words:
            return self._next()
        return None

    def _error(self, message: str, token: Token | None = None) -> ExpressionError:
        return ExpressionError(message, self._text, (token or self._peek).position)

    def _expression(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error("too many parentheses")
        parts = [self._conjunction()]
        while self._take("or"):
            parts.append(self._conjunction())
        self._depth -= 1
        return _joined("or", parts)

    def _conjunction(self) -> Condition:
        parts = [self._negation()]
        while self._take("and"):
            parts.append(self._negation())
        return _joined("and", parts)

    def _negation(self) -> Condition:
        negated = False
        while self._take("not"):
            negated = not negated
        condition = self._primary()
        return Negation(condition) if negated else condition

    def _primary(self) -> Condition:
        if self._take("("):
            condition = self._expression()
            if not self._take(")"):
                raise self._error("expected ')'")
            return condition
        return self._comparison()

    def _comparison(self) -> Condition:
        left = self._operand()
        if self._take("in"):
            return self._membership(left)
        if self._peek.text.lower() == "not" and self._tokens[self._at + 1].text.lower() == "in":
            self._at += 2
            return Negation(self._membership(left))
        parts: list[Condition] = []
        while self._peek.kind == "op" and self._peek.text not in "(),":
            op = self._next()
            right = self._operand()
            parts.append(self._compare(left, op, right))
            left = right
        if parts:
            return _joined("and", parts)
        if left.field is not None and left.kind == "flag":
            return Flag(left.field)
        raise self._error("expected a comparison, for example > 1s" if left.field else "expected a field to compare")

    def _operand(self) -> _Operand:
        token = self._next()
        if token.kind == "text":
            return _Operand(token, "text", value=token.text)
        if token.kind == "number":
            return _Operand(token, "duration" if token.unit == "ns" else "number", value=token.value)
        if token.kind != "name" or token.text.lower() in {"and", "or", "in"}:
            found = repr(token.text) if token.text else "the end"
            raise self._error(f"expected a field or a value, found {found}", token)
        word = token.text.lower()
        if word in {"true", "false", "yes", "no"}:
            return _Operand(token, "flag", value=word in {"true", "yes"})
        if word in {"none", "null"}:
            return _Operand(token, None)
        try:
            field = self._find(token.text)
        except UnknownField as error:
            raise self._error(f"{error} (texts need quotes)", token) from None
        return _Operand(token, field.kind, field=field)

    def _membership(self, left: _Operand) -> Condition:
        if left.field is None:
            raise self._error("'in' needs a field on its left", left.token)
        if not self._take("("):
            raise self._error("expected '(' and a list, for example in ('error', 'truncated')")
        equals = Token("op", "=", self._peek.position)
        parts = [self._compare(left, equals, self._operand())]
        while self._take(","):
            parts.append(self._compare(left, equals, self._operand()))
        if not self._take(")"):
            raise self._error("expected ',' or ')'")
        return _joined("or", parts)

    def _compare(self, left: _Operand, op: Token, right: _Operand) -> Condition:
        sign = _SAME_AS.get(op.text, op.text)
        if left.field is None and right.field is None:
            raise self._error("expected a field on one side of the comparison", left.token)
        if left.field is None:
            left, right = right, left
            sign = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)
        if left.field is None:
            raise AssertionError
        if right.kind is None:
            return self._known(left.field, sign, op)
        value = self._fitting(left.field, right)
        return self._test(left.field, sign, right.field, value, op)

    def _known(self, field: Field, sign: str, op: Token) -> Condition:
        if sign not in {"=", "!="}:
            raise self._error("none can only be compared by = and !=", op)
        return Known(field, sign == "!=")

    def _fitting(self, field: Field, right: _Operand) -> Value:
        """Check the right side against the field's kind and unit; return its value if it is a literal, else `None`."""
        kind = field.kind
        if right.field is not None:
            if (kind, field.unit) != (right.kind, right.field.unit):
                raise self._error(f"{field.name} cannot be compared with {right.field.name}", right.token)
            return None
        if kind == "time" and right.kind == "text":
            return self._time(right)
        plain = right.kind == "number" and right.token.unit is None
        if plain and kind == "duration" and right.value != 0:
            number = right.token.text
            raise self._error(f"{field.name} is a duration: write {number}ms or {number}s", right.token)
        if plain and kind in {"duration", "number"}:
            return right.value
        same = right.kind == ("text" if kind == "texts" else kind)
        if same and (kind != "number" or right.token.unit == field.unit):
            return right.value
        raise self._error(f"{field.name} {_WANTS[kind]}, not {right.token.text!r}", right.token)

    def _time(self, right: _Operand) -> int:
        try:
            return unix_ns(str(right.value))
        except ValueError:
            raise self._error("expected a time such as '2026-11-22T14:03' in ISO form", right.token) from None

    def _test(self, field: Field, sign: str, other: Field | None, value: Value, op: Token) -> Condition:
        if field.kind in {"text", "texts"}:
            if sign in ORDER:
                raise self._error(f"{field.name} is text: use = != ~ !~", op)
        elif sign in {"~", "!~"}:
            raise self._error(f"{sign} is for texts; {field.name} {_WANTS[field.kind]}", op)
        elif field.kind == "flag" and sign not in {"=", "!="}:
            raise self._error(f"{field.name} is true or false: use = or !=", op)
        return Comparison(field, cast("Sign", sign), other, value)


def _joined(word: Literal["and", "or"], parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))


_WANTS: Final[dict[Kind, str]] = {
    "duration": "needs a duration such as 400ms",
    "number": "needs a number",
    "text": "needs text in quotes",
    "texts": "needs text in quotes",
    "flag": "needs true or false",
    "time": "needs a time in quotes such as '2026-11-22T14:03'",
}
