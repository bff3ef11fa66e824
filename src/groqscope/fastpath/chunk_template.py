"""Builds a chunk as a copy of an earlier one with another text, instead of parsing it.

Nearly every chunk of a stream differs from the previous one only in its text. If the bytes before and after the text
are the same as in a chunk that was parsed, JSON allows only one meaning: that chunk with this text. Copying is faster.

    {"id":"chatcmpl-1", … ,"choices":[{"index":0,"delta":{"content":"  token  ","role":null}, … ]}
    └──────────────────────────── before ──────────────────────────┘  text   └────── after ─────┘
"""

from collections.abc import Callable
from json.decoder import JSONDecodeError, scanstring  # pyright: ignore[reportAttributeAccessIssue] - typeshed leaves it out
from typing import Any, Final

from pydantic import BaseModel

ChunkTemplate = Callable[[bytes, int, int], Any]
"""Returns a chunk with a non-empty text for bytes and the payload's begin and end; `None` if it does not fit."""

_SCALARS: Final = (str, int, float, type(None))
_new: Final = object.__new__
# An instance is filled as pydantic-core fills it: past `__setattr__`, which would validate.
_set_fields, _set_names, _set_extra, _set_private = (
    vars(BaseModel)[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


def learn_template(chunk: Any, payload: bytes) -> tuple[str, ChunkTemplate] | None:
    """Return the field of the delta that holds a chunk's text, and the template made from the chunk and its payload.

    `None` if copies would share a mutable value, or if the chunk carries more than a text: several choices, a finish
    reason, tool calls, usage, log probabilities.
    """
    name = _text_field(chunk)
    if name is None:
        return None
    (choice,) = chunk.choices
    delta = choice.delta
    key = b'"%b"' % name.encode()
    before, start, rest = payload.partition(key + b':"')
    text, end, after = rest.partition(b'"')
    # The key must occur once, and without escapes: of duplicate keys, the last one would count.
    if b"\\" in payload or payload.count(key) != 1 or text.decode() != _fields(delta)[name]:
        return None
    return name, _template_of(chunk, choice, delta, name, before + start, end + after)


def _fields(model: Any) -> dict[str, Any]:
    """Return all fields of a model, those included that only Groq's own models declare."""
    return {**model.__dict__, **(model.__pydantic_extra__ or {})}


def _text_field(chunk: Any) -> str | None:
    if len(chunk.choices) != 1:
        return None
    choice = chunk.choices[0]
    texts = _fields(choice.delta)
    content = bool(texts.get("content"))
    if choice.finish_reason is not None or content == bool(texts.get("reasoning")):
        return None
    for model, nested in ((chunk, "choices"), (choice, "delta"), (choice.delta, None)):
        if not all(isinstance(value, _SCALARS) or key == nested for key, value in _fields(model).items()):
            return None
    return "content" if content else "reasoning"


def _template_of(chunk: Any, choice: Any, delta: Any, name: str, before: bytes, after: bytes) -> ChunkTemplate:
    head, tail = len(before), len(after) - 1  # keeps the text's closing quote
    chunk_type, choice_type, delta_type = type(chunk), type(choice), type(delta)
    # Copies: the caller may change the chunk that this was learned from.
    chunk_fields, choice_fields, delta_fields = (dict(m.__dict__) for m in (chunk, choice, delta))
    chunk_names, choice_names, delta_names = (set(m.__pydantic_fields_set__) for m in (chunk, choice, delta))
    chunk_extra, choice_extra, delta_extra = (dict(m.__pydantic_extra__ or {}) for m in (chunk, choice, delta))
    declared = name in delta_fields

    def template(data: bytes, begin: int, end: int) -> Any:
        if not data.startswith(before, begin) or not data.endswith(after, begin + head, end):
            return None
        try:
            quoted = data[begin + head : end - tail].decode()
            text, stop = scanstring(quoted, 0)
        except (UnicodeDecodeError, JSONDecodeError):
            return None
        if stop != len(quoted) or not text:
            return None
        delta: Any = _new(delta_type)
        fields, extra = delta_fields.copy(), delta_extra.copy()
        (fields if declared else extra)[name] = text
        _set_fields(delta, fields)
        _set_names(delta, delta_names.copy())
        _set_extra(delta, extra)
        _set_private(delta, None)
        choice: Any = _new(choice_type)
        fields = choice_fields.copy()
        fields["delta"] = delta
        _set_fields(choice, fields)
        _set_names(choice, choice_names.copy())
        _set_extra(choice, choice_extra.copy())
        _set_private(choice, None)
        chunk: Any = _new(chunk_type)
        fields = chunk_fields.copy()
        fields["choices"] = [choice]
        _set_fields(chunk, fields)
        _set_names(chunk, chunk_names.copy())
        _set_extra(chunk, chunk_extra.copy())
        _set_private(chunk, None)
        return chunk

    return template
