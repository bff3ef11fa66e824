"""The audit's questions, which are written in DuckDB's SQL, in that of ClickHouse.

Only the SQL that this package writes is translated: the functions, the literals and the few forms that it uses. What
a user writes is not in it; it travels as parameters. With a cluster, each shard answers for its own rows, and sends
counts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

STORED: Final = "stored"
"""The name by which a question means all requests."""
_TOKEN: Final = re.compile(
    r"'(?:[^']|'')*'|\$\w+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\w+(?:\.\w+)*|::|<>|<=|>=|\|\||\s+|.", re.DOTALL
)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_MEMBERS: Final[Mapping[str, str]] = {
    "code": "String",
    "ns": "Nullable(Int64)",
    "id": "String",
    "tokens": "Int64",
    "name": "Nullable(String)",
    "valid": "Nullable(Bool)",
    "size": "Int64",
    "assembly": "Nullable(Int64)",
}
"""The types of the members of structs, which ClickHouse wants to be told."""
_Group = list[Any]
"""Tokens and groups of them; a group begins with its bracket."""


def translate(query: str, values: Mapping[str, Any], tables: Mapping[str, str], cluster: str | None = None) -> str:
    """Return a question in ClickHouse's SQL.

    Args:
        query: The question.
        values: What its parameters stand for, of which only the types are looked at.
        tables: Relations by the name that the question gives them.
        cluster: The cluster whose shards have a part of the rows each.
    """
    return _Translation(values, tables, cluster).query(_parsed(query))


class _Translation:
    def __init__(self, values: Mapping[str, Any], tables: Mapping[str, str], cluster: str | None) -> None:
        self._values = values
        self._tables = dict(tables)
        self._cluster = cluster

    def query(self, group: _Group) -> str:
        if _is(group[0], "WITH"):  # WITH name AS (…): the name is replaced wherever it is read from
            self._tables[group[1]] = self.render(group[3][1:])
            return self.query(group[4:])
        return self.render(group, spread=self._cluster is not None)

    def render(self, group: _Group, *, spread: bool = False) -> str:
        """Return tokens as SQL; with `spread`, the rows that its outermost select counts are counted by the shards."""
        parts: list[str] = []
        place = 0
        while place < len(group):
            token = group[place]
            following = group[place + 1] if place + 1 < len(group) else None
            is_distinct = place > 0 and _is(group[place - 1], "DISTINCT")  # IS NOT DISTINCT FROM a value
            if _is(token, "FROM", "JOIN") and following is not None and not is_distinct:
                parts += [token, self._source(following, spread=spread and _is(token, "FROM"))]
                place += 2
            elif _is(token, "row_number"):  # row_number() OVER () tells rows apart, and so do these on every shard
                parts.append("(trace_id, span_id)")
                place += 4
            elif isinstance(token, str) and isinstance(following, list) and following[0] == "(" and _is_name(token):
                filtered = _is(token, "max") and place + 2 < len(group) and _is(group[place + 2], "FILTER")
                parts.append(self._call(token, following, group[place + 3] if filtered else None))
                place += 4 if filtered else 2
            else:
                parts.append(self._one(token, spread=spread))
                place += 1
        return " ".join(parts)

    def _source(self, source: Any, *, spread: bool) -> str:
        if isinstance(source, list):
            name = source[2] if len(source) == 3 and _is(source[1], "FROM") else None
            if name not in self._tables:
                if spread and not any(_is(token, "GROUP") for token in _flat(source)):
                    return f"cluster('{self._cluster}', view({self.render(source[1:])}))"
                return f"({self.render(source[1:], spread=spread)})"
        else:
            name = source
        relation = self._tables[name]
        if not spread:
            return f"({relation}) AS {name}"
        # The newest of each shard are more than the newest.
        last = re.search(r"ORDER BY (?:(?!ORDER BY)[^()]|\([^()]*\))* LIMIT \d+$", relation)
        everywhere = f"cluster('{self._cluster}', view({relation})) AS {name}"
        return everywhere if last is None else f"(SELECT * FROM {everywhere} {last[0]}) AS {name}"

    def _one(self, token: Any, *, spread: bool) -> str:
        if isinstance(token, list):
            group = cast("_Group", token)
            if group[0] == "{":
                return self._struct(group)
            is_select = group[0] == "(" and len(group) > 1 and _is(group[1], "SELECT")
            return f"{group[0]}{self.render(group[1:], spread=spread and is_select)}{_CLOSING[group[0]]}"
        if token.startswith("$"):
            return f"{{{token[1:]}:{_type(self._values[token[1:]])}}}"
        return str(_WORDS.get(token, token))

    def _call(self, name: str, group: _Group, filtered: _Group | None = None) -> str:
        arguments = _split(group[1:])
        if name == "TRY_CAST":
            (value, kind) = _parted(arguments[0], "AS")
            return f"accurateCastOrNull(roundBankers({self.render(value)}), '{_WORDS[kind[0]]}')"
        if name == "sum" and _is(
            arguments[0][0], "TRY_CAST"
        ):  # of more dollars than 64 bits hold millionths of millionths
            return f"sum(CAST({self.render(arguments[0])} AS Int128))"
        if name == "max" and len(arguments) == 2:
            return self._greatest(arguments[0][0], self.render(arguments[1]), filtered)
        given = [self._argument(argument) for argument in arguments]
        known = _FUNCTIONS.get(name)
        if known is None:
            return f"{name}({', '.join(given)})"
        return known if isinstance(known, str) and not given else _applied(known, given)

    def _greatest(self, struct: _Group, most: str, filtered: _Group | None) -> str:
        """Return the greatest of some structs of a number and an ID: the least by what sorts the other way round."""
        number, name = (self.render(_parted(member, ":")[1]) for member in _split(struct[1:]))
        reverse = f"(-coalesce({number}, 0), concat(bitNot({name}), unhex('FF')), {self._struct(struct)})"
        only = "" if filtered is None else f" FILTER ({self.render(filtered[1:])})"
        return f"arrayMap(x -> x.3, groupArraySorted({most})({reverse}){only})"

    def _argument(self, argument: _Group) -> str:
        if _is(argument[0] if argument else None, "lambda"):
            return f"{argument[1]} -> {self.render(argument[3:])}"
        return self.render(argument)

    def _struct(self, group: _Group) -> str:
        members = [_parted(member, ":") for member in _split(group[1:])]
        names = [name[0].strip("'") for name, _ in members]
        kinds = ", ".join(f"{name} {_MEMBERS[name]}" for name in names)
        return f"CAST(({', '.join(self.render(value) for _, value in members)}) AS Tuple({kinds}))"


def _ranks(column: str, shares: str) -> str:
    several = "s" if shares.startswith("[") else ""
    return f"quantile{several}Exact({shares.strip('[ ]')})({column})"


_WORDS: Final = {"EXCLUDE": "EXCEPT", "HUGEINT": "Int64"}
"""ClickHouse does not multiply 128 bits with fractions, and integers of 64 bits overflow without an error."""
_FUNCTIONS: Final[Mapping[str, str | Callable[..., str]]] = {
    "len": "toInt64(length({}))",
    "list_filter": "arrayFilter({1}, {0})",
    "list_transform": "arrayMap({1}, {0})",
    "list_has_any": "hasAny(arrayFilter(x -> x IS NOT NULL, {0}), {1})",
    "list_max": "if(empty({0}), NULL, arrayMax({0}))",
    "list_append": "arrayPushBack",
    "list_concat": "arrayConcat",
    "list_sort": "arraySort",
    "list": "groupArray",
    "list_select": "arrayMap(i -> {0}[i], {1})",
    "unnest": "arrayJoin",
    "contains": "(position({0}, {1}) > 0)",
    "lower": "lowerUTF8",
    "starts_with": "startsWith",
    "bool_or": "CAST(max({}) AS Bool)",
    "quantile_disc": _ranks,
}


def _applied(known: str | Callable[..., str], given: Sequence[str]) -> str:
    if not isinstance(known, str):
        return known(*given)
    return known.format(*given) if "{" in known else f"{known}({', '.join(given)})"


def _type(value: object) -> str:
    match value:
        case bool():
            return "Bool"
        case int():
            return "Int64"
        case float():
            return "Float64"
        case _:
            return "Nullable(String)"


def _parsed(query: str) -> _Group:
    stack: list[_Group] = [[]]
    for token in _TOKEN.findall(query):
        if token in _CLOSING:
            stack.append([token])
        elif token in _CLOSING.values():
            group = stack.pop()
            stack[-1].append(group)
        elif not token.isspace():
            stack[-1].append(token)
    (whole,) = stack
    return whole


def _flat(group: _Group) -> "list[str]":
    return [one for token in group for one in (_flat(token) if isinstance(token, list) else [token])]


def _split(group: _Group) -> list[_Group]:
    """Return the arguments between the commas."""
    parts: list[_Group] = [[]]
    for one in group:
        if one == ",":
            parts.append([])
        else:
            parts[-1].append(one)
    return [part for part in parts if part]


def _parted(group: _Group, at: str) -> tuple[_Group, _Group]:
    place = next(place for place, token in enumerate(group) if token == at)
    return group[:place], group[place + 1 :]


def _is(token: object, *words: str) -> bool:
    return isinstance(token, str) and token in words


def _is_name(token: str) -> bool:
    return token in {"TRY_CAST", "CAST"} or (token.isidentifier() and not token.isupper())
