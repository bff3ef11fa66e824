"""The SDKs' families, and the objects that each SDK constructs itself."""

import json
from importlib import import_module
from typing import Any, Final

import openai
import pytest

from groqscope.instrument.families import GROQ, Family
from groqscope.instrument.families import of as family_of

_openai: Final = family_of(openai.OpenAI)
assert _openai is not None
FAMILIES: Final = (GROQ, _openai)
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.package)


def constructed(family: Family, payload: bytes | str, model: type[Any]) -> Any:
    """What the SDK itself makes of a payload."""
    construct_type = import_module(f"{family.package}._models").construct_type
    return construct_type(value=json.loads(payload), type_=model)
