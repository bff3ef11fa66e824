"""What can be rendered."""

from typing import Literal

from groqscope.audit.model import Audit, Comparison, RequestAudit
from groqscope.timeline import RequestRecord

Report = Audit | RequestAudit | Comparison | RequestRecord
"""An overview, one request with its verdict, two sets side by side, or a record alone."""

Section = Literal["all", "tools", "why", "budgets"]
"""Which part of an overview."""
