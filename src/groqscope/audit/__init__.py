"""The audit: reads requests from any source, selects, summarises, explains and compares them, and checks budgets.

from groqscope import audit

for record in audit.load(since="1h", where="ttfc > 1s"):
    print(record.request_id, record.ttfc_ns)

print(audit.load().overview().sentence)
"""

from groqscope.audit.budgets import (
    Budget,
    Budgets,
    Goodput,
    parse_budget,
    parse_budgets,
    parse_goodput,
    project_budgets,
)
from groqscope.audit.comparison import compare, compare_runs
from groqscope.audit.errors import AuditError, ExpressionError, NoRequests, NotFound, SourceError
from groqscope.audit.expression import compile_where
from groqscope.audit.model import (
    AUDIT_VERSION,
    Audit,
    BudgetResult,
    Cause,
    Change,
    Comparison,
    ComparisonRow,
    Distribution,
    Entry,
    GroupCause,
    ModelSummary,
    PhaseTotal,
    Provenance,
    RequestAudit,
    Selection,
    ToolSummary,
    Verdict,
    Why,
)
from groqscope.audit.records import Records, find, load, one_request, overview, source_of
from groqscope.audit.runs import RunAudit, RunEntry, RunsAudit, explain_run, list_runs, one_run
from groqscope.audit.scan import LISTED, Scan
from groqscope.audit.selection import Query, parse_moment
from groqscope.audit.sources import FileSource, MemorySource, Source, StoreSource, file_source, trace_source
from groqscope.store import ReadReport

__all__ = [
    "AUDIT_VERSION",
    "LISTED",
    "Audit",
    "AuditError",
    "Budget",
    "BudgetResult",
    "Budgets",
    "Cause",
    "Change",
    "Comparison",
    "ComparisonRow",
    "Distribution",
    "Entry",
    "ExpressionError",
    "FileSource",
    "Goodput",
    "GroupCause",
    "MemorySource",
    "ModelSummary",
    "NoRequests",
    "NotFound",
    "PhaseTotal",
    "Provenance",
    "Query",
    "ReadReport",
    "Records",
    "RequestAudit",
    "RunAudit",
    "RunEntry",
    "RunsAudit",
    "Scan",
    "Selection",
    "Source",
    "SourceError",
    "StoreSource",
    "ToolSummary",
    "Verdict",
    "Why",
    "compare",
    "compare_runs",
    "compile_where",
    "explain_run",
    "file_source",
    "find",
    "list_runs",
    "load",
    "one_request",
    "one_run",
    "overview",
    "parse_budget",
    "parse_budgets",
    "parse_goodput",
    "parse_moment",
    "project_budgets",
    "source_of",
    "trace_source",
]
