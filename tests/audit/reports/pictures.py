"""Draw the documentation's pictures: `python tests/audit/reports/pictures.py [NAME]...`.

It takes chromium, playwright and pillow.
"""

import io
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests"))

from support.files import write_store  # noqa: E402
from support.report_samples import SAMPLES, both, many, one, overview, prompts_cached, stretched  # noqa: E402 - found by the line above
from support.run_samples import slow_run  # noqa: E402
from support.waiting import wait_for  # noqa: E402

from groqscope import semconv  # noqa: E402
from groqscope.audit.reports import HtmlRenderer, Look, Report, Section, TerminalRenderer  # noqa: E402
from groqscope.ui import Server  # noqa: E402

IMAGES = ROOT / "docs" / "images"
THEME = TerminalTheme(
    (24, 27, 31),
    (214, 219, 225),
    # black, red, green, yellow, blue, magenta, cyan, white
    [
        (16, 18, 21),
        (240, 113, 102),
        (126, 190, 112),
        (229, 182, 84),
        (108, 160, 230),
        (200, 140, 220),
        (90, 190, 200),
        (214, 219, 225),
    ],
    [
        (98, 106, 117),
        (255, 140, 130),
        (150, 210, 135),
        (245, 205, 120),
        (140, 185, 245),
        (220, 165, 240),
        (120, 215, 225),
        (250, 251, 252),
    ],
)
"""A dark terminal of today: text on a coloured bar is as easy to read as beside it."""
QUIET = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--force-color-profile=srgb"]


def request(name: str) -> Report:
    """Return a sample beside a morning's requests."""
    return one(SAMPLES[name](), many(200))


def cache_miss() -> Report:
    """Return a request whose system prompt had changed, beside others."""
    records = prompts_cached(60)
    return one(next(record for record in records if record.cache_miss == "system"), records)


def budgets() -> Report:
    """Return a morning's requests held against budgets with every verdict."""
    limits = ("ttfc.p95 < 400ms", "errors < 1%", "duration.p99 < 3s where model ~ 'gpt-oss'", "cost.sum < 2usd")
    return overview(many(150), budgets=limits)


def comparison() -> Report:
    """Return two days of one model, which is slower on the second."""
    calm, slow = ([r for r in day if r.model == "openai/gpt-oss-120b"] for day in (many(1400), many(2800)[1400:]))
    return both(calm, [stretched(r, 1.4) for r in slow])


def drawing(report: Report, title: str, width: int, section: Section = "all", until: str | None = None) -> str:
    """Draw a terminal as SVG, in a font that is there; `until` is the beginning of the first line that is left out."""
    console = Console(record=True, width=width, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for line in TerminalRenderer(Look(width=width, colour=True)).page(report, section).lines():
        if until is not None and line.plain.startswith(until):
            break
        console.print(line, soft_wrap=True)
    console.print()
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=title, theme=THEME), flags=re.DOTALL)
    svg = re.sub(r'viewBox="0 0 (\S+) (\S+)"', r'width="\1" height="\2" \g<0>', svg, count=1)
    return svg.replace("Fira Code", "DejaVu Sans Mono")


TERMINALS: dict[str, Callable[[], str]] = {
    "audit-waterfall": lambda: drawing(request("retried"), "groqscope audit req_01k9zq7m0002", 100, until="arrivals"),
    "audit-retried": lambda: drawing(request("retried"), "groqscope audit req_01k9zq7m0002", 100),
    "audit-slow-consumer": lambda: drawing(request("slow_consumer"), "groqscope audit req_01k9zq7m0003", 100),
    "audit-tool-calls": lambda: drawing(request("tool_calls"), "groqscope audit req_01k9zq7m0004", 100),
    "audit-overview": lambda: drawing(overview(many(400), listed=12, why=False), "groqscope audit", 120),
    "audit-why": lambda: drawing(overview(many(400)), "groqscope audit --why", 90, "why", until="  5.5%"),
    "audit-cache": lambda: drawing(overview(prompts_cached(60)), "groqscope audit --why", 100, "why"),
    "audit-cache-request": lambda: drawing(cache_miss(), "groqscope audit req_01k9zr000007", 100),
    "audit-budgets": lambda: drawing(budgets(), "groqscope audit --budget ...", 90, "budgets"),
    "audit-run": lambda: drawing(slow_run(), "groqscope audit 0af76519", 120, until="agent  "),
    "audit-compare": lambda: drawing(comparison(), "groqscope audit --compare before.jsonl after.jsonl", 100),
}


def draw_terminal(browser: Any, name: str, svg: str) -> None:
    """Take a picture of a drawing."""
    page = browser.new_page(viewport={"width": 1800, "height": 1800}, device_scale_factor=1.25)
    page.set_content(f'<body style="margin:0;display:inline-block">{svg}</body>')
    page.locator("svg").first.screenshot(path=IMAGES / f"{name}.png", omit_background=True)
    page.close()


def draw_pages(browser: Any) -> None:
    """Take pictures of the page: the summary, dark, and an open request, light."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(HtmlRenderer().render(overview(many(400), listed=None)), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1360, "height": 900}, color_scheme="dark", device_scale_factor=1.25)
        page.goto(path.as_uri())
        page.screenshot(path=IMAGES / "html-overview.png")
        page.emulate_media(color_scheme="light")
        page.click("#filters button:has-text('retried')")
        page.click("#rows tr[data-place] >> nth=1")
        page.mouse.move(5, 5)
        page.screenshot(path=IMAGES / "html-request.png")
        page.close()


def draw_run(browser: Any) -> None:
    """Take a picture of the page of a slow run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.html"
        path.write_text(HtmlRenderer().render(slow_run()), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1360, "height": 900}, color_scheme="light", device_scale_factor=1.25)
        page.goto(path.as_uri())
        page.screenshot(path=IMAGES / "html-run.png")
        page.close()


def draw_live(browser: Any) -> None:
    """Take pictures of the live page: the last minutes, dark, and one request, light."""
    random = Random(5)
    records, now = many(3000), time.time_ns()
    ages = sorted((int(random.random() * 930e9) for _ in records), reverse=True)
    moved = [
        replace(r, start_unix_ns=now - age - r.duration_ns, trace_id=f"{i + 1:032x}", span_id=f"{i + 1:016x}")
        for i, (r, age) in enumerate(zip(records, ages, strict=True))
    ]
    point = {"asInt": "4", "timeUnixNano": str(now)}
    metric = {"name": semconv.METRIC_ACTIVE.name, "sum": {"dataPoints": [point]}}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), port=0) as server:
        write_store(Path(folder), moved)
        (Path(folder) / "metrics-1.jsonl").write_text(
            json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}) + "\n"
        )
        wait_for(lambda: server.collection.total == len(moved))
        page = browser.new_page(viewport={"width": 1360, "height": 1000}, color_scheme="dark", device_scale_factor=1.25)
        page.goto(f"{server.url}/live?window=15m")
        page.locator(".tile").first.wait_for()
        page.wait_for_timeout(1500)
        page.screenshot(path=IMAGES / "ui-live.png")
        page.emulate_media(color_scheme="light")
        page.goto(f"{server.url}/requests/req_01k9zq000390")
        page.locator(".fall").wait_for()
        page.set_viewport_size({"width": 1360, "height": 940})
        page.screenshot(path=IMAGES / "ui-request.png")
        page.close()


def main(wanted: list[str]) -> None:
    """Draw the pictures asked for, or all."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        for name, draw in TERMINALS.items():
            if not wanted or name in wanted:
                draw_terminal(browser, name, draw())
        if not wanted or "html" in wanted:
            draw_pages(browser)
        if not wanted or "html-run" in wanted:
            draw_run(browser)
        if not wanted or "ui" in wanted:
            draw_live(browser)
        browser.close()
    for path in IMAGES.glob("*.png"):
        if path.name.startswith(("audit-", "html-", "ui-")) and (not wanted or path.stem.startswith(tuple(wanted))):
            shrink(path)


def shrink(path: Path) -> None:
    """Reduce a picture to 256 colours, those of small marks included: by frequency alone these would turn grey."""
    from PIL import Image  # pyright: ignore[reportMissingImports] - only for whoever draws the pictures anew

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
