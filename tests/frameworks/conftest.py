"""Frameworks that ask Groq. They want other versions than those of the development environment: `make compat`."""

import os

from support.fixtures import exported, sim, simulator

__all__ = ["exported", "sim", "simulator"]

# What some of them would ask of the network when they are imported.
os.environ |= {
    "ANONYMIZED_TELEMETRY": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "AGNO_TELEMETRY": "false",
}
