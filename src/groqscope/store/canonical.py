"""Reads record spans that are just as groqscope writes them, with types and limits checked in C; refuses all others.

OTLP writes attributes as a list of names with values, of which a decoder makes two objects each. Here the list is
turned into one JSON object first, whose members are named by attribute and kind of value, so that msgspec reads a whole
span into one typed object and rejects what is unknown, of another kind or out of range. Nothing is converted or
repaired here: `codec.decode` does that, with what this module refuses, and for the rest gives the same record.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING
from functools import cache
from itertools import accumulate
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from groqscope import codec, semconv
from groqscope.codec import Maker
from groqscope.semconv import Attribute
from groqscope.store import otlp
from groqscope.store.messages import NO_LIST
from groqscope.timeline import Outcome, RequestRecord


class Refused(Exception):
    """Something is not as groqscope writes it."""


class _Text(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    string_value: str


class _Texts(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    values: tuple[_Text, ...] = ()


class _Event(msgspec.Struct, gc=False, rename="camel"):
    """As `messages.SpanEvent`, with its attributes undecoded."""

    name: str = ""
    attributes: msgspec.Raw = NO_LIST
    time_unix_nano: int | None = None


_NO_TEXTS: Final = _Texts()
_GREATEST: Final = 1.7976931348623157e308
_KINDS: Final = {
    "string": "stringValue",
    "int": "intValue",
    "double": "doubleValue",
    "boolean": "boolValue",
    "string[]": "arrayValue",
}
_TYPES: Final = {
    "string": str,
    "int": Annotated[int, Meta(ge=0, le=codec.MAX_INT)],
    "double": Annotated[float, Meta(ge=0.0, le=_GREATEST)],
    "boolean": bool,
    "string[]": _Texts,
}
_SIGNED: Final = {
    "int": Annotated[int, Meta(ge=-codec.MAX_INT, le=codec.MAX_INT)],
    "double": Annotated[float, Meta(ge=-_GREATEST, le=_GREATEST)],
}
_SECONDS: Final = Annotated[float, Meta(ge=0.0, le=codec.MAX_SECONDS)]

_BEGIN: Final = b'[{"key":'
_BETWEEN: Final = b'}},{"key":'
_END: Final = b"}}]"
_VALUE: Final = b'","value":{"'
_COMMA: Final = b",".ljust(len(_BETWEEN))
_MARK: Final = b"~" * len(_VALUE)
"""Between the name of an attribute and the kind of its value; as long as what it replaces, which is twice as fast."""

_PLACES: Final = codec.MAKE_RECORD.places
_TIMELINE: Final = _PLACES["timeline_us"]
_TAGS: Final = _PLACES["tags"]
_STRIDE: Final = _PLACES["timeline_stride"]
_CHUNKS: Final = _PLACES["chunks"]
_OUTCOME: Final = _PLACES["outcome"]
_FOUND_ATTEMPTS: Final = _PLACES["attempts"]
_ATTEMPTS_DROPPED: Final = _PLACES["attempts_dropped"]
_TIMES: Final = re.compile(r"[0-9]+;[0-9,]+")
_NO_TIMELINE: Final = ((), codec.MAKE_RECORD.defaults[_STRIDE])


class _Form:
    """The attributes of objects of one class, as they are written, and where its fields find their values."""

    def __init__(self, maker: Maker, attributes: Iterable[Attribute]) -> None:
        written = {a.name: a for a in attributes}
        self.members = {name: f"a{number}" for number, name in enumerate(written)}
        """The member of what is decoded, by attribute."""
        struct = msgspec.defstruct(
            "Attributes",
            [(self.members[name], _type(a), *_default(a, maker)) for name, a in written.items()],
            rename={
                member: f"{name}{_MARK.decode()}{_KINDS[written[name].type]}" for name, member in self.members.items()
            },
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        self._names = frozenset(name.encode() for name in written)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(struct, strict=False).decode
        found = {a.field: _converted(f"found.{self.members[name]}", a) for name, a in written.items() if a.field}
        # A function that is written out: to go through the fields of a record in a loop takes three times as long.
        expressions = ", ".join(
            _expression(name, default, found) for name, default in zip(maker.places, maker.defaults, strict=True)
        )
        scope = {f"make_{name}": group.make for name, group in codec.GROUPS.items()}
        self.values: Callable[[Any, Sequence[Any]], list[Any]] = eval(f"lambda found, given: [{expressions}]", scope)  # noqa: S307 - of fields
        """Returns the values of the fields in order, of what is decoded and of those in `codec.GIVEN`."""
        self.make = maker.make

    def read(self, raw: bytes) -> Any:
        """Return the attributes as an object.

        Raises:
            Refused: some attribute is unknown or not as it is written, or a required one is missing.
        """
        # Neither of what is replaced can be inside a string: a quote that is followed by a letter opens one.
        members = _inside(raw).replace(_BETWEEN, _COMMA).replace(_VALUE, _MARK)
        try:
            return self._decode(b"{%s}" % members)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused from None

    def parted(self, raw: bytes) -> tuple[bytes, bytes]:
        """Return the attributes that are known by name, and the others."""
        lists: tuple[list[bytes], list[bytes]] = [], []
        for attribute in _inside(raw).split(_BETWEEN):
            lists[attribute[1 : attribute.find(b'"', 1)] not in self._names].append(attribute)
        known, others = (_BEGIN + _BETWEEN.join(some) + _END if some else b"" for some in lists)
        return known, others

    def __call__(self, raw: bytes) -> Any:
        """Return the object whose attributes these are."""
        return self.make(self.values(self.read(raw), ()))


def _inside(raw: bytes) -> bytes:
    """Return attributes from the name of the first to the value of the last."""
    if raw.startswith(_BEGIN) and raw.endswith(_END):
        return raw[len(_BEGIN) : -len(_END)]
    raise Refused


def _default(attribute: Attribute, maker: Maker) -> tuple[Any, ...]:
    """Return the default of an attribute, if it has one."""
    if attribute.type == "string[]":
        return (_NO_TEXTS,)
    place = maker.places.get(attribute.field or "")
    default: Any = None if place is None or attribute.name == semconv.TIMELINE else maker.defaults[place]
    return () if default is MISSING else (default,)


def _converted(value: str, attribute: Attribute) -> str:
    """Return an expression for the value of a field."""
    if attribute.nanoseconds:
        return f"None if {value} is None else round({value} * 1e9)"
    return f"tuple([text.string_value for text in {value}.values])" if attribute.type == "string[]" else value


def _expression(name: str, default: object, found: Mapping[str, str]) -> str:
    group = codec.GROUPS.get(name)
    if group is not None:
        return f"make_{name}([{', '.join(found[f'{name}.{field}'] for field in group.places)}])"
    if name not in found and name in codec.GIVEN:
        return f"given[{codec.GIVEN.index(name)}]"
    return found.get(name, repr(default))


def _type(attribute: Attribute) -> Any:
    if attribute.name == semconv.OUTCOME:
        return Outcome
    if attribute.name == semconv.RECORD:
        return Annotated[int, Meta(ge=semconv.RECORD_VERSION, le=semconv.RECORD_VERSION)]
    if attribute.nanoseconds:
        return _SECONDS
    return (_SIGNED if attribute.field in codec.SIGNED else _TYPES)[attribute.type]


def _written() -> list[Attribute]:
    """Return the attributes of a record span, about in the order in which they are written."""
    identity = [a for name in semconv.IDENTITY for a in semconv.FIELDS if a.name == name]
    details = [a for a in (*semconv.DERIVED, *semconv.CONTENT, *semconv.FIELDS) if a not in identity]
    details.sort(key=lambda a: a.name != semconv.TIMELINE)
    return details + identity


_READ_ELSEWHERE: Final = {a.name for a in (*_written(), *semconv.USAGE_BREAKDOWN)}
_decode_events: Final = msgspec.json.Decoder(list[_Event], strict=False).decode
_decode_gaps: Final = msgspec.json.Decoder(list[int]).decode


class CanonicalReader:
    """Reads record spans that are just as groqscope writes them."""

    def __init__(self) -> None:
        self._record = _Form(codec.MAKE_RECORD, _written())
        self._events = {
            # Written in reverse order.
            event.name: (_PLACES[event.field], _Form(Maker(codec.ENTRIES[event.field]), reversed(event.attributes)))
            for event in semconv.EVENTS
            if event.field
        }
        self._derived = attrgetter(self._record.members[semconv.RECORD], self._record.members[semconv.ATTEMPTS])

    def record_of(
        self, attributes: bytes, events: msgspec.Raw, given: Sequence[Any], *, timelines: bool
    ) -> RequestRecord | None:
        """Return the record of a span; `None` of a span that is not just as groqscope writes it.

        Args:
            attributes: Those of the span, undecoded.
            events: Those of the span, undecoded.
            given: The values of the fields in `codec.GIVEN`, in that order.
            timelines: Whether to read the arrival times of chunks.
        """
        try:
            found, tags = self._attributes(attributes)
            version, tried = self._derived(found)
            values = self._record.values(found, given)
            if version is None or values[_OUTCOME] is None:
                return None
            values[_TAGS] = tags
            packed = values[_TIMELINE] if timelines else None
            values[_TIMELINE], values[_STRIDE] = _timeline(packed, values[_CHUNKS])
            self._read_events(events, values)
        except Refused:
            return None
        lost = (tried or 0) - len(values[_FOUND_ATTEMPTS])
        values[_ATTEMPTS_DROPPED] = max(values[_ATTEMPTS_DROPPED], lost)
        return codec.MAKE_RECORD.make(values)

    def _attributes(self, raw: bytes) -> tuple[Any, tuple[tuple[str, str], ...]]:
        """Return the attributes as an object, and the tags."""
        try:
            return self._record.read(raw), ()
        except Refused:
            known, others = self._record.parted(raw)
            if not others:
                raise
            return self._record.read(known), _tags(others)

    def _read_events(self, raw: msgspec.Raw, values: list[Any]) -> None:
        try:
            events = _decode_events(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused from None
        for event in events:
            reader = self._events.get(event.name)
            if reader is not None:
                place, form = reader
                values[place] = (*values[place], form(bytes(event.attributes)))
            elif event.attributes is not NO_LIST:
                _others(event.attributes)


@cache
def canonical_reader() -> CanonicalReader:
    """Return the reader, which takes as long to make as to read a hundred requests."""
    return CanonicalReader()


def _others(raw: msgspec.Raw | bytes) -> dict[str, otlp.AttributeValue]:
    """Return attributes that nothing is known of.

    Raises:
        Refused: one of them is damaged.
    """
    try:
        return otlp.read_attributes(raw)
    except otlp.UNREADABLE:
        raise Refused from None


def _tags(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Return the tags among attributes, the others of which say nothing about the record."""
    tags: dict[str, str] = {}
    for name, value in _others(raw).items():
        if name in _READ_ELSEWHERE:
            raise Refused
        if name.startswith(semconv.TAG_PREFIX):
            if not isinstance(value, str):
                raise Refused
            tags[name.removeprefix(semconv.TAG_PREFIX)] = value
    return tuple(sorted(tags.items()))


def _timeline(text: str | None, chunks: int | None) -> tuple[tuple[int, ...], int]:
    if text is None:
        return _NO_TIMELINE
    if not _TIMES.fullmatch(text):
        raise Refused
    stride, _, gaps = text.partition(";")
    try:
        times, every = tuple(accumulate(_decode_gaps(f"[{gaps}]"))), int(stride)
    except (msgspec.DecodeError, ValueError):
        raise Refused from None
    if not every or (chunks is not None and len(times) < -(-chunks // every)):
        raise Refused
    return times, every
