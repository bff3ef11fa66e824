"""`python -m groqscope.history STORE`: compacts a store beside the programs that write to it, whose work goes first."""

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

from groqscope.history.compaction import compact
from groqscope.history.errors import HistoryError

if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    gc.disable()  # to look for garbage cycles, of which there are few, takes a seventh of the time
    with suppress(HistoryError):  # nobody reads what it says; `groqscope compact` says it again
        compact(Path(sys.argv[1]))
