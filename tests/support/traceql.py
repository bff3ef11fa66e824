"""A part of TraceQL, strict: a query that Tempo 2.9 refuses is refused, one that is not understood here is an error.

Understood are filters of spans with their comparisons and types, `&&` and `||` between filters, `select` and `count`.
What else the language has (structural operators, arithmetic, metrics) raises `NotImplementedError`, so that no test
takes silence for an answer. Written after Tempo's documentation of the language; no Tempo was run beside it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class BadQueryError(ValueError):
    """What Tempo answers with HTTP 400."""


@dataclass
class SpanOfTrace:
    """A span with what the language can ask of its surroundings."""

    span: Span
    resource: dict[str, Any]
    scope: dict[str, Any]
    root: "SpanOfTrace | None" = None

    @cached_property
    def attributes(self) -> dict[str, Any]:
        return plain(self.span.attributes)

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        return [plain(event.attributes) for event in self.span.events]


def plain(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes by name."""
    return {a.key: _value(a.value) for a in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(v) for v in value.array_value.values]
    return getattr(value, kind) if kind else None


@dataclass(frozen=True)
class Operand:
    """A value of the language: its type, and how a span gives it; several, where a span has several events."""

    type: str
    """`attribute` when only the span knows."""
    values: Callable[[SpanOfTrace], list[Any]]
    name: str | None = None
    """Of an attribute."""


@dataclass
class Query:
    """A parsed query."""

    matching: Callable[[list[SpanOfTrace]], list[SpanOfTrace]]
    """Picks the spans of one trace."""
    selected: list[Operand] = field(default_factory=list)
    """What comes with each span."""


_STATUS: Final = {"unset": 0, "ok": 1, "error": 2}
_KIND: Final = {"unspecified": 0, "internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_WORDS: Final[dict[str, dict[str, Any]]] = {
    "status": _STATUS,
    "kind": _KIND,
    "bool": {"true": True, "false": False},
    "nil": {"nil": None},
}
_UNITS: Final = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_NUMERIC: Final = {"int", "float", "duration"}
_LATER: Final = {"avg", "min", "max", "sum", "by", "coalesce", "rate", "count_over_time", "with", "compare", "topk"}
_SCOPES: Final = ("span", "resource", "event", "instrumentation")
_NAME: Final = r"""[^\s{}()=~!<>&|^,"`]+"""
_TOKEN: Final = re.compile(
    rf"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)
    |(?P<duration>(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)(?![\w.])
    |(?P<float>\d+\.\d+)|(?P<int>-?\d+)
    |(?P<attribute>[a-z]*\.(?:"[^"]*"|{_NAME}))
    |(?P<word>[A-Za-z_]\w*(?::\w+)?)
    |(?P<operator>&&|\|\||=~|!~|!=|>=|<=|>>|<<|[{{}}()|=<>!,~+*/^-])
    )""",
    re.VERBOSE,
)


def _duration(text: str) -> int:
    return sum(int(float(n) * _UNITS[u]) for n, u in re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text))


def _length(span: SpanOfTrace) -> int:
    return span.span.end_time_unix_nano - span.span.start_time_unix_nano


_INTRINSICS: Final[dict[str, tuple[str, Callable[[SpanOfTrace], list[Any]]]]] = {
    "name": ("string", lambda s: [s.span.name]),
    "duration": ("duration", lambda s: [_length(s)]),
    "status": ("status", lambda s: [s.span.status.code]),
    "statusMessage": ("string", lambda s: [s.span.status.message]),
    "kind": ("kind", lambda s: [s.span.kind]),
    "rootName": ("string", lambda s: [s.root.span.name] if s.root else []),
    "rootServiceName": ("string", lambda s: [s.root.resource.get("service.name", "")] if s.root else []),
    "event:name": ("string", lambda s: [event.name for event in s.span.events]),
    "trace:id": ("string", lambda s: [s.span.trace_id.hex()]),
}
_INTRINSICS.update({f"span:{n}": _INTRINSICS[n] for n in ("name", "duration", "status", "statusMessage", "kind")})


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        BadQueryError: Tempo would refuse it.
        NotImplementedError: it may be right, but goes beyond what is understood here.
    """
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._at = 0

    def _scan(self) -> Iterator[tuple[str, str]]:
        at, text = 0, self._text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise BadQueryError(f"unknown character at {at} of {text!r}")
            yield found.lastgroup, found[found.lastgroup]
            at = found.end()

    def _next(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _take(self, *wanted: str) -> str | None:
        token = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if token[0] in ("operator", "word") and token[1] in wanted:
            self._at += 1
            return token[1]
        return None

    def _expect(self, wanted: str) -> None:
        if self._take(wanted) is None:
            raise BadQueryError(f"{wanted!r} expected, not {self._next()!r}, in {self._text!r}")

    def query(self) -> Query:
        made = Query(self._spansets())
        while self._take("|"):
            self._stage(made)
        if self._next() in _LATER | {">>", "<<", ">", "<", "~"}:
            raise NotImplementedError(self._text)
        if self._next() is not None:
            raise BadQueryError(f"{self._next()!r} is not expected in {self._text!r}")
        return made

    def _stage(self, made: Query) -> None:
        if self._take("select"):
            self._expect("(")
            made.selected.append(self._attribute())
            while self._take(","):
                made.selected.append(self._attribute())
            self._expect(")")
        elif self._take("count"):
            self._expect("(")
            self._expect(")")
            operator = self._take("=", "!=", "<", ">", "<=", ">=") or ""
            limit = self._operand()
            if limit.type != "int" or not operator:
                raise BadQueryError(f"count() is compared with a whole number, in {self._text!r}")
            wanted, inner = limit.values(_NOBODY)[0], made.matching

            def counted(spans: list[SpanOfTrace]) -> list[SpanOfTrace]:
                found = inner(spans)
                return found if _COMPARE[operator](len(found), wanted) else []

            made.matching = counted
        elif self._next() in _LATER:
            raise NotImplementedError(self._text)
        else:
            raise BadQueryError(f"no such stage: {self._next()!r} in {self._text!r}")

    def _attribute(self) -> Operand:
        found = self._operand()
        if found.name is None:
            raise BadQueryError(f"select() takes attributes, in {self._text!r}")
        return found

    def _spansets(self) -> Callable[[list[SpanOfTrace]], list[SpanOfTrace]]:
        left = self._spanset()
        while operator := self._take("&&", "||"):
            left = _either(left, self._spanset()) if operator == "||" else _both(left, self._spanset())
        return left

    def _spanset(self) -> Callable[[list[SpanOfTrace]], list[SpanOfTrace]]:
        if self._take("("):
            inner = self._spansets()
            self._expect(")")
            return inner
        self._expect("{")
        if self._take("}"):
            return lambda spans: spans
        condition = self._or()
        self._expect("}")
        _must(condition, {"bool"}, "a filter is true or false", self._text)
        return lambda spans: [s for s in spans if True in condition.values(s)]

    def _or(self) -> Operand:
        left = self._and()
        while self._take("||"):
            left = _logic(left, self._and(), any, self._text)
        return left

    def _and(self) -> Operand:
        left = self._comparison()
        while self._take("&&"):
            left = _logic(left, self._comparison(), all, self._text)
        return left

    def _comparison(self) -> Operand:
        left = self._unary()
        operator = self._take(*_COMPARE, "=~", "!~")
        if self._next() in {"+", "*", "/", "^", "-"}:
            raise NotImplementedError(self._text)
        return left if operator is None else _compared(left, operator, self._unary(), self._text)

    def _unary(self) -> Operand:
        if self._take("!"):
            inner = self._unary()
            _must(inner, {"bool"}, "only what is true or false can be negated", self._text)
            return Operand("bool", lambda span: [True not in inner.values(span)])
        if self._take("("):
            inner = self._or()
            self._expect(")")
            return inner
        return self._operand()

    def _operand(self) -> Operand:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "the end")
        self._at += 1
        if kind == "attribute":
            return self._of_attribute(text)
        made = _literal(kind, text)
        if made is None:
            raise BadQueryError(f"{text!r} is no value, in {self._text!r}")
        return made

    def _of_attribute(self, text: str) -> Operand:
        scope, _, quoted = text.partition(".")
        name = quoted.strip('"')
        if scope in ("link", "parent"):
            raise NotImplementedError(self._text)
        if scope and scope not in _SCOPES:
            raise BadQueryError(f"no such scope: {text!r} in {self._text!r}")

        def values(span: SpanOfTrace) -> list[Any]:
            given: dict[str, list[dict[str, Any]]] = {
                "span": [span.attributes],
                "resource": [span.resource],
                "instrumentation": [span.scope],
                "event": span.events,
                "": [{**span.resource, **span.attributes}],
            }
            return [values[name] for values in given[scope] if name in values]

        return Operand("attribute", values, name)


_NOBODY: Final = SpanOfTrace(Span(), {}, {})


def _literal(kind: str, text: str) -> Operand | None:
    def constant(of: str, value: Any) -> Operand:
        return Operand(of, lambda _: [value])

    if kind == "string":
        return constant("string", text[1:-1] if text[0] == "`" else re.sub(r"\\(.)", r"\1", text[1:-1]))
    if kind == "word" and text in _INTRINSICS:
        of, values = _INTRINSICS[text]
        return Operand(of, values, text)
    for of, words in (
        ("status", _STATUS),
        ("kind", _KIND),
        ("bool", {"true": True, "false": False}),
        ("nil", {"nil": 0}),
    ):
        if kind == "word" and text in words:
            return constant(of, words[text])
    make = {"int": int, "float": float, "duration": _duration}.get(kind)
    return constant(kind, make(text)) if make else None


def _must(operand: Operand, types: set[str], why: str, text: str) -> None:
    if operand.type not in {*types, "attribute"}:
        raise BadQueryError(f"{why}, in {text!r}")


def _logic(left: Operand, right: Operand, joined: Callable[[list[bool]], bool], text: str) -> Operand:
    for side in (left, right):
        _must(side, {"bool"}, "&& and || join what is true or false", text)
    return Operand("bool", lambda span: [joined([True in left.values(span), True in right.values(span)])])


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def _compared(left: Operand, operator: str, right: Operand, text: str) -> Operand:
    if operator in ("=~", "!~"):
        return _matched(left, operator, right, text)
    types = {left.type, right.type}
    if not (len(types) == 1 or "attribute" in types or types <= _NUMERIC):
        raise BadQueryError(f"{left.type} and {right.type} are not compared, in {text!r}")
    if operator not in ("=", "!=") and types & {"bool", "status", "kind", "nil"}:
        raise BadQueryError(f"{operator} is not for {types}, in {text!r}")
    if "nil" in types:
        if operator == "=":
            raise NotImplementedError(text)
        other = left if right.type == "nil" else right
        return Operand("bool", lambda span: [bool(other.values(span))])

    def values(span: SpanOfTrace) -> list[Any]:
        pairs = [(a, b) for a in _each(left.values(span)) for b in _each(right.values(span)) if _alike(a, b)]
        return [any(_COMPARE[operator](a, b) for a, b in pairs)]

    return Operand("bool", values)


def _matched(left: Operand, operator: str, right: Operand, text: str) -> Operand:
    for side in (left, right):
        _must(side, {"string"}, f"{operator} is for strings", text)
    if right.name is not None:
        raise BadQueryError(f"{operator} wants a regular expression, in {text!r}")
    try:
        pattern = re.compile(right.values(_NOBODY)[0])
    except re.error as error:
        raise BadQueryError(f"{error} in {text!r}") from None
    wanted = operator == "=~"

    def values(span: SpanOfTrace) -> list[Any]:
        found = [v for v in _each(left.values(span)) if isinstance(v, str)]
        return [any((pattern.fullmatch(v) is not None) == wanted for v in found)]

    return Operand("bool", values)


def _each(values: list[Any]) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, list) else [value]


def _alike(a: Any, b: Any) -> bool:
    """Values of other types are different, not an error: what an attribute holds is known only when it is read."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
    return numbers or type(a) is type(b)


def _both(
    left: Callable[[list[SpanOfTrace]], list[SpanOfTrace]], right: Callable[[list[SpanOfTrace]], list[SpanOfTrace]]
) -> Callable[[list[SpanOfTrace]], list[SpanOfTrace]]:
    def found(spans: list[SpanOfTrace]) -> list[SpanOfTrace]:
        a, b = left(spans), right(spans)
        return [s for s in spans if s in a or s in b] if a and b else []

    return found


def _either(
    left: Callable[[list[SpanOfTrace]], list[SpanOfTrace]], right: Callable[[list[SpanOfTrace]], list[SpanOfTrace]]
) -> Callable[[list[SpanOfTrace]], list[SpanOfTrace]]:
    def found(spans: list[SpanOfTrace]) -> list[SpanOfTrace]:
        a, b = left(spans), right(spans)
        return [s for s in spans if s in a or s in b]

    return found
