"""Decodes JSON to an SDK's models by pydantic-core, in a tenth of the time that the SDK takes; the results are equal.

Strict validation accepts a subset of what the SDK's construction accepts, with the same values; what it rejects is left
to the SDK (`None` is returned). Two differences are corrected:

- Validation counts unknown fields as set, the SDK's construction does not. That concerns the models which the SDK
  constructs (chunk or completion, choice, delta or message); optional fields below them it validates too.
- Validation rejects a word that a field does not list, the SDK's construction keeps it. openai's models do not list the
  service tier `on_demand`, which most of Groq's answers have, so the fields of a chunk or a completion that list words
  take any.
"""

from collections.abc import Callable
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError, create_model

_set_class: Final = object.__setattr__
"""Past the model's own `__setattr__`, which would validate."""


class Models:
    """An SDK's models of a chunk and a completion, and their validators."""

    __slots__ = ("_validators", "chunk", "completion")

    def __init__(self, chunk: type[BaseModel], completion: type[BaseModel]) -> None:
        self.chunk = chunk
        self.completion = completion
        self._validators: dict[type[BaseModel], Callable[..., Any]] = {}

    def warm_up(self) -> None:
        """Build the validators, once (7 ms); the SDK defers that to the first use too."""
        if not self._validators:
            built = {model: _validator(model) for model in (self.chunk, self.completion)}
            # In one assignment, so that another thread sees both or neither.
            self._validators = built

    def decode_chunk(self, payload: bytes) -> Any:
        """Return the chunk of a payload; `None` if the SDK has to construct it."""
        chunk = self._decoded(self.chunk, payload)
        if chunk is not None:
            for choice in chunk.choices:
                if choice.__pydantic_extra__:
                    _mend(choice)
                if choice.delta.__pydantic_extra__:
                    _mend(choice.delta)
        return chunk

    def decode_completion(self, body: bytes) -> Any:
        """Return the completion of a body; `None` if the SDK has to construct it."""
        completion = self._decoded(self.completion, body)
        if completion is not None:
            for choice in completion.choices:
                _mend(choice)
                _mend(choice.message)
        return completion

    def _decoded(self, model: type[BaseModel], payload: bytes) -> Any:
        try:
            decoded = self._validators[model](payload, strict=True)
        except KeyError:
            self.warm_up()
            return self._decoded(model, payload)
        except ValidationError:
            return None
        extra = decoded.__pydantic_extra__
        if extra:
            if extra.get("error"):
                return None
            _mend(decoded)
        _set_class(decoded, "__class__", model)
        return decoded


def _mend(model: Any) -> None:
    model.__pydantic_fields_set__.difference_update(model.__pydantic_extra__)


def _validator(model: type[BaseModel]) -> Callable[..., Any]:
    """Return the JSON validator of a subclass in which the fields that list words take any."""
    open_fields: dict[str, Any] = {
        name: (str | None if None in listed else str, ... if field.is_required() else field.default)
        for name, field in model.model_fields.items()
        if (listed := _listed(field.annotation))
    }
    subclass = create_model(model.__name__, __base__=model, **open_fields)
    subclass.model_rebuild()
    return subclass.__pydantic_validator__.validate_json


def _listed(annotation: Any) -> tuple[str | None, ...]:
    """Return the words that a type lists, and `None` if it is optional; nothing if it is another type."""
    if get_origin(annotation) is Literal:
        words = get_args(annotation)
        return words if all(type(word) is str for word in words) else ()
    words: tuple[str | None, ...] = ()
    for part in get_args(annotation):
        found = (None,) if part is NoneType else _listed(part)
        if not found:
            return ()
        words += found
    return words if any(words) else ()
