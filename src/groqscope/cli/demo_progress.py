"""Progress of the demo: spinners on a terminal, otherwise a line per scene."""

import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from groqscope.cli.demo_scenes import Scene


class SceneProgress:
    """Shows the progress of scenes: a line for each when it has ended. May be called from any thread."""

    def __init__(self, width: int) -> None:
        self.failed: list[str] = []
        """Titles of scenes that failed."""
        self._width = width
        self._lock = threading.Lock()

    def begin(self, scene: Scene) -> None:
        """Show that a scene is running."""

    def end(self, scene: Scene, note: str, seconds: float | None) -> None:
        """Show the result of a scene, and how long it took."""
        with self._lock:
            print(f"  {scene.title:<{self._width}}  {_time(seconds):>7}  {note}", flush=True)


class _Spinners(SceneProgress):
    """A spinner for each scene that is running."""

    def __init__(self, bars: Any, scenes: Sequence[Scene]) -> None:
        super().__init__(0)
        self._bars = bars
        self._tasks = {
            scene.key: bars.add_task(scene.title, visible=False, total=1, note="", seconds="") for scene in scenes
        }

    def begin(self, scene: Scene) -> None:
        """Start the spinner of a scene."""
        self._bars.update(self._tasks[scene.key], visible=True)

    def end(self, scene: Scene, note: str, seconds: float | None) -> None:
        """Stop the spinner, and show the result beside it."""
        self._bars.update(self._tasks[scene.key], completed=1, note=note, seconds=_time(seconds))


@contextmanager
def make_progress(scenes: Sequence[Scene]) -> Generator[SceneProgress]:
    """Yield spinners if standard output is a terminal, else lines."""
    width = max(len(scene.title) for scene in scenes)
    if not sys.stdout.isatty():
        yield SceneProgress(width)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (
        TextColumn(" "),
        SpinnerColumn("line", finished_text="[green]*[/]"),
        TextColumn(f"{{task.description:<{width}}}", markup=False),
        TextColumn("{task.fields[seconds]:>8}", markup=False),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
    )
    with Progress(*columns, console=Console(highlight=False)) as bars:
        yield _Spinners(bars, scenes)


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"
