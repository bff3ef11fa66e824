"""Options for logfire's scrubber that exempt our attributes that cannot contain a secret."""

from typing import Any, Final, Literal

from logfire import ScrubbingOptions, ScrubMatch

from groqscope import semconv

_FREE_TEXT: Final = frozenset({semconv.STREAM_ERROR, semconv.STOP_SEQUENCES, semconv.TOOL_CALL_ARGUMENTS})
"""Attributes with free text, which are scrubbed like all others."""
_FIXED_FORM: Final = (
    frozenset(
        attribute.name
        for attributes in (
            semconv.FIELDS,
            semconv.DERIVED,
            semconv.USAGE_BREAKDOWN,
            *(event.attributes for event in semconv.EVENTS),
        )
        for attribute in attributes
    )
    - _FREE_TEXT
)


def scrubbing(given: ScrubbingOptions | Literal[False] | None) -> ScrubbingOptions | Literal[False]:
    """Return the user's options with our fixed-format attributes exempt; the user's callback applies to all others."""
    if given is False:
        return False
    options = given or ScrubbingOptions()
    callback = options.callback

    def exempt(match: ScrubMatch) -> Any:
        if _is_ours(match.path):
            return match.value
        return callback(match) if callback is not None else None

    return ScrubbingOptions(callback=exempt, extra_patterns=options.extra_patterns)


def _is_ours(path: tuple[str | int, ...]) -> bool:
    match path:
        case ("attributes", str() as name, *_) | ("otel_events", int(), "attributes", str() as name, *_):
            return name in _FIXED_FORM
        case _:
            return False
