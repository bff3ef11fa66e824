"""How DuckDB is set up."""

import subprocess
import sys

_ASK = "SELECT current_setting('enable_progress_bar')"


def test_no_progress_bar_in_what_a_program_prints():
    """DuckDB draws one where there is no script: in `python -c` and in notebooks."""
    code = f'from groqscope.history.engine import connect; print(connect().execute("{_ASK}").fetchone())'
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(False,)\n"
