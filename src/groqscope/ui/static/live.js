// The last minutes, as they happen.
import { make } from "./drawing.js";
import { firstSteps } from "./data.js";
import { chart, colourOf, variable } from "./charts.js";
import { fillRow } from "./list.js";

const WINDOWS = ["5m", "15m", "1h", "6h"];
const PHASES = ["prepare", "retry", "pool_wait", "connect", "tls", "send", "queue", "prefill", "network", "generate", "receive", "consume", "finish"];
const NAMES = { consume: "your code", pool_wait: "pool" };

export function live(main, shell, parameters) {
  const window = WINDOWS.includes(parameters.get("window")) ? parameters.get("window") : "5m";
  const head = make(main, "div", { class: "livehead" });
  make(head, "h1", {}, "Live");
  const choices = make(head, "span", { class: "filters", role: "group", "aria-label": "Window" });
  for (const name of WINDOWS) {
    make(choices, "button", { type: "button", "aria-pressed": String(name === window) }, name).addEventListener("click", () => shell.go("/live?window=" + name));
  }
  const pause = make(head, "button", { type: "button", "aria-pressed": "false" }, "pause");
  const welcome = make(main, "section", { class: "empty", hidden: "" });
  make(welcome, "h2", {}, "Waiting for the first request");
  firstSteps(welcome);
  const body = make(main, "div", { hidden: "" });
  const tiles = make(body, "dl", { class: "tiles" });
  const grid = make(body, "div", { class: "charts" });
  const perSecond = (place) => (row) => row[place] / width;
  const charts = [
    chart(grid, {
      title: "Requests", unit: "per second",
      series: [
        { label: "all", colour: variable("bar"), bars: true, values: perSecond(1), empty: 0 },
        { label: "failed", colour: variable("bad"), bars: true, values: perSecond(2), empty: 0 },
      ],
    }),
    chart(grid, {
      title: "Where a request's time goes", unit: "ms per request, moving over 12 points", stacked: true,
      series: PHASES.map((name, place) => ({ label: NAMES[name] ?? name, colour: () => colourOf("phase-" + name), values: (row) => row[10][place] })),
    }),
    chart(grid, {
      title: "Durations", unit: "ms, moving over 12 points",
      series: [
        { label: "first chunk p50", colour: () => colourOf("phase-prefill"), values: (row) => row[3] },
        { label: "p95", colour: () => colourOf("phase-prefill"), dash: [4, 3], values: (row) => row[4] },
        { label: "total p50", colour: () => colourOf("phase-receive"), values: (row) => row[5] },
        { label: "p95", colour: () => colourOf("phase-receive"), dash: [4, 3], values: (row) => row[6] },
      ],
    }),
    chart(grid, {
      title: "Tokens", unit: "per second",
      series: [
        { label: "in", colour: () => colourOf("phase-prefill"), bars: true, values: perSecond(7), empty: 0 },
        { label: "out", colour: () => colourOf("phase-generate"), bars: true, values: perSecond(8), empty: 0 },
      ],
    }),
  ];
  const lower = make(body, "div", { class: "lower" });
  const newest = make(lower, "section", { class: "requests", "aria-labelledby": "newest-title" });
  const bar = make(newest, "div", { class: "bar" });
  make(bar, "h2", { id: "newest-title" }, "Newest requests, durations in ms");
  make(bar, "a", { href: "/requests", class: "keys" }, "all requests");
  const table = make(make(newest, "div", { class: "scroller short", tabindex: 0, role: "region", "aria-label": "Newest requests" }), "table", { class: "list" });
  const heads = make(make(table, "thead"), "tr"), rows = make(table, "tbody");
  const limits = make(lower, "section", { hidden: "" });
  make(limits, "h2", {}, "Groq's rate limits");
  const meters = make(limits, "div", { class: "meters" });
  const buckets = new Map();
  let width = 2, shown = "", paused = false;

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "resume" : "pause";
    if (!paused && shell.latest) event(shell.latest);
  });
  rows.addEventListener("click", (click) => {
    const row = click.target.closest("tr[data-id]");
    if (row && !click.target.closest("a")) shell.go("/requests/" + encodeURIComponent(row.dataset.id));
  });

  function event(latest) {
    if (latest.window !== window) return;
    width = latest.width;
    for (const row of latest.buckets) buckets.set(row[0], row);
    if (paused) return;
    const empty = !latest.total;
    welcome.hidden = !empty || latest.loading !== null;
    body.hidden = empty;
    if (empty) return;
    const last = latest.now - (latest.now % width) - width, times = []; // the latest bucket that is complete
    for (let at = last - Math.floor(latest.length / width) * width; at <= last; at += width) times.push(at);
    for (const at of buckets.keys()) if (at < times[0]) buckets.delete(at);
    const found = times.map((at) => buckets.get(at) ?? null);
    for (const one of charts) one.set(times, found);
    drawTiles(latest.tiles);
    drawLimits(latest.limits);
    drawNewest(latest.list);
  }
  function drawTiles(texts) {
    tiles.replaceChildren();
    for (const [label, value, more, tone] of texts) {
      const tile = make(tiles, "div", { class: "tile" });
      make(tile, "dt", {}, label);
      make(tile, "dd", { class: "value" + (tone ? " " + tone : "") }, (tone === "bad" ? "✕ " : "") + value);
      make(tile, "dd", { class: "sub" }, more);
    }
  }
  function drawLimits(known) {
    limits.hidden = !known.length;
    meters.replaceChildren();
    for (const [model, what, text, share, part, age] of known) {
      const line = make(meters, "div", { class: "limit" });
      make(line, "span", { class: "name" }, model);
      make(line, "span", { class: "faint" }, what);
      make(line, "b", { class: part < 0.1 ? "bad" : "" }, (part < 0.1 ? "✕ " : "") + share);
      const meter = make(line, "svg", { class: "meter", role: "img", "aria-label": `${text} ${what} left` });
      make(meter, "rect", { class: part < 0.1 ? "low" : "left", width: part * 100 + "%", height: "100%" });
      make(line, "span", { class: "faint small" }, `${text} left, ${age} s ago`);
    }
  }
  function drawNewest(list) {
    const key = list.requests.map((request) => request.id).join(" ");
    if (key === shown) return;
    const before = new Set(shown.split(" "));
    const focused = rows.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.id : null;
    heads.replaceChildren();
    for (const column of list.columns) make(heads, "th", { scope: "col", class: column.right ? "r" : "" }, column.title);
    rows.replaceChildren();
    for (const request of list.requests) {
      const tr = make(rows, "tr", { "data-id": request.id, "data-place": "" });
      fillRow(tr, list.columns, request);
      tr.querySelector("td.id a")?.removeAttribute("tabindex");
      if (shown && !before.has(request.id)) tr.classList.add("new");
      if (request.id === focused) tr.querySelector("a")?.focus({ preventScroll: true });
    }
    shown = key;
  }
  shell.follow(window);
  return { event, close() { for (const one of charts) one.close(); } };
}
