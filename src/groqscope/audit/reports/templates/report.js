// The page of a report: it places, sorts, searches and draws.
import { drawFall, fillDetail, make, middle, miniBar, remember, switchTheme } from "./drawing.js";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const detailLines = byId("details").textContent.split("\n");
  const narrow = matchMedia("(max-width: 760px)");
  const rowHeight = () => (narrow.matches ? 66 : 30);
  switchTheme(byId("theme"));

  const detailAt = (index) => JSON.parse(detailLines[index]);
  const panel = byId("detail");
  let shown = null;
  function redraw() { if (shown) drawFall(shown.holder, shown.detail, data); }
  let resizing = 0;
  addEventListener("resize", () => { cancelAnimationFrame(resizing); resizing = requestAnimationFrame(redraw); });

  if (data.kind === "request") {
    panel.hidden = false;
    panel.classList.add("whole");
    document.querySelector("main").insertBefore(panel, document.querySelector("footer"));
    const detail = detailAt(0);
    shown = { detail, holder: fillDetail(panel, detail, [], data) };
    return;
  }
  if (!data.requests.length) return;

  // -- the list: only the rows in sight exist

  byId("requests").hidden = false;
  byId("requests-title").textContent = data.listed;
  const scroller = byId("scroller"), body = byId("rows"), search = byId("search"), matches = byId("matches");
  const value = (cell) => (Array.isArray(cell) ? cell[0] : cell);
  const words = (cell) => (Array.isArray(cell) ? cell[1] : cell);
  const haystack = data.requests.map((row) => row.cells.map(words).concat(row.id, row.more).join(" ").toLowerCase());
  let order = data.requests.map((_, index) => index);
  let sort = null, filter = "all", chosen = -1, drawn = "";

  const heads = byId("heads");
  data.columns.forEach((column, index) => {
    if (column.key === "phases") { make(heads, "th", { scope: "col" }, column.title); return; }
    const th = make(heads, "th", { class: column.right ? "r" : "", scope: "col" });
    make(th, "button", { type: "button" }, column.title).addEventListener("click", () => {
      const descending = sort && sort.column === index ? !sort.descending : column.right;
      sort = { column: index, descending };
      remember.set("sort", JSON.stringify(sort));
      apply();
    });
  });
  for (const [name, title] of data.filters) {
    const button = make(byId("filters"), "button", { type: "button", "aria-pressed": String(name === filter), "data-name": name }, title);
    button.addEventListener("click", () => {
      filter = name;
      for (const other of byId("filters").children) other.setAttribute("aria-pressed", String(other === button));
      apply();
    });
  }

  function compare(a, b) {
    const x = value(data.requests[a].cells[sort.column]), y = value(data.requests[b].cells[sort.column]);
    // What is not known comes last, whichever way the list is sorted.
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    const way = typeof x === "string" ? x.localeCompare(y) : x - y;
    return (sort.descending ? -way : way) || a - b;
  }
  function apply() {
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const selected = chosen >= 0 ? order[chosen] : -1;
    order = [];
    data.requests.forEach((row, index) => {
      if (filter !== "all" && !row.tags.includes(filter)) return;
      if (terms.every((term) => haystack[index].includes(term))) order.push(index);
    });
    if (sort) order.sort(compare);
    [...heads.children].forEach((th, index) => {
      if (sort && sort.column === index) th.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    });
    chosen = order.indexOf(selected);
    matches.textContent = order.length === data.requests.length ? data.count : order.length.toLocaleString("en") + " of " + data.count;
    drawn = "";
    scroller.scrollTop = 0;
    paint();
    paintDensity();
  }
  function padding(height) {
    const row = make(body, "tr", { class: "pad", "aria-hidden": "true" });
    make(row, "td", { colspan: data.columns.length }).style.height = height + "px";
  }
  function paint() {
    const ROW = rowHeight();
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 10);
    const last = Math.min(order.length, first + Math.ceil(scroller.clientHeight / ROW) + 22);
    const key = first + ":" + last + ":" + chosen;
    if (key === drawn) return;
    drawn = key;
    const focused = body.contains(document.activeElement);
    body.replaceChildren();
    byId("list").setAttribute("aria-rowcount", order.length + 1);
    if (!order.length) {
      make(make(body, "tr"), "td", { class: "none", colspan: data.columns.length }, "No request matches.");
      return;
    }
    padding(first * ROW);
    for (let place = first; place < last; place++) body.append(rowAt(place));
    padding((order.length - last) * ROW);
    if (focused) body.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
  }
  function rowAt(place) {
    const request = data.requests[order[place]];
    const current = place === chosen || (chosen < 0 && place === 0);
    const tr = document.createElement("tr");
    tr.tabIndex = current ? 0 : -1;
    tr.dataset.place = place;
    tr.setAttribute("aria-rowindex", place + 2);
    tr.setAttribute("aria-selected", String(place === chosen));
    tr.className = request.tags.includes("slow") ? "slow" : "";
    data.columns.forEach((column, index) => {
      if (column.key === "phases") { miniBar(make(tr, "td"), request.phases); return; }
      const text = words(request.cells[index]);
      const kind = [column.right ? "r" : "", column.key, column.key === "outcome" && request.tags.includes("failed") ? "bad" : ""];
      make(tr, "td", { class: kind.filter(Boolean).join(" "), title: column.key === "id" ? request.id : column.room ? text : null }, column.room ? middle(text, column.room) : text);
    });
    return tr;
  }
  function choose(place, { open = false, focus = true } = {}) {
    if (!order.length) return;
    chosen = Math.max(0, Math.min(order.length - 1, place));
    const ROW = rowHeight(), top = chosen * ROW, head = 31;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + ROW + head > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + ROW + head - scroller.clientHeight;
    drawn = "";
    paint();
    if (focus) body.querySelector("[aria-selected='true']")?.focus({ preventScroll: true });
    if (open || !panel.hidden) show(order[chosen]);
  }
  scroller.addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-place]");
    if (row) choose(Number(row.dataset.place), { open: true });
  });
  search.addEventListener("input", apply);
  narrow.addEventListener("change", () => { drawn = ""; paint(); });

  // -- requests over time

  function paintDensity() {
    const holder = byId("density");
    holder.replaceChildren();
    const times = data.requests.map((row) => value(row.cells[0]));
    let from = Infinity, to = -Infinity;
    for (const time of times) { if (time < from) from = time; if (time > to) to = time; }
    const bins = 120, all = new Array(bins).fill(0), failed = new Array(bins).fill(0);
    for (const index of order) {
      const bin = to > from ? Math.min(bins - 1, Math.floor(((times[index] - from) / (to - from)) * bins)) : 0;
      all[bin]++;
      if (data.requests[index].tags.includes("failed")) failed[bin]++;
    }
    const most = Math.max(1, ...all);
    const svg = make(holder, "svg", { viewBox: `0 0 ${bins} 30`, preserveAspectRatio: "none" });
    const tall = (count) => (count ? Math.max(2, (count / most) * 28) : 0);
    all.forEach((count, bin) => {
      make(svg, "rect", { x: bin, y: 30 - tall(count), width: 0.8, height: tall(count) });
      if (failed[bin]) make(svg, "rect", { class: "failed", x: bin, y: 30 - tall(failed[bin]), width: 0.8, height: tall(failed[bin]) });
    });
    holder.title = data.span;
  }

  // -- opening and closing

  function show(index) {
    const detail = detailAt(index);
    const was = panel.hidden;
    panel.hidden = false;
    const holder = fillDetail(panel, detail, [
      ["↑", "Previous request", () => choose(chosen - 1, { open: true, focus: false })],
      ["↓", "Next request", () => choose(chosen + 1, { open: true, focus: false })],
      ["✕", "Close", close],
    ], data);
    shown = { detail, holder };
    if (was) panel.scrollTop = 0;
    history.replaceState(null, "", "#" + encodeURIComponent(data.requests[index].id));
  }
  function close() {
    if (panel.hidden) return;
    panel.hidden = true;
    shown = null;
    history.replaceState(null, "", location.pathname + location.search);
    body.querySelector("[aria-selected='true']")?.focus({ preventScroll: true });
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target === search;
    if (event.key === "Escape") {
      if (!panel.hidden) close();
      else if (typing) { search.value = ""; apply(); search.blur(); }
      return;
    }
    if (event.key === "/" && !typing) { event.preventDefault(); search.focus(); search.select(); return; }
    const page = Math.max(1, Math.floor(scroller.clientHeight / rowHeight()) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const listed = !typing || event.key === "ArrowDown";
    if (event.key in moves && listed && !(event.target instanceof HTMLButtonElement && event.key.length > 1 && event.target.closest(".detail") === null && event.target.closest("thead"))) {
      if (typing && event.key !== "ArrowDown") return;
      event.preventDefault();
      choose(typing ? Math.max(0, chosen) : chosen < 0 ? (moves[event.key] === Infinity ? order.length - 1 : 0) : chosen + moves[event.key]);
    } else if (event.key === "Enter" && (event.target === document.body || event.target.closest?.("tr[data-place]"))) {
      event.preventDefault();
      choose(chosen < 0 ? 0 : chosen, { open: true });
    }
  });
  function fromAddress() {
    let wanted = "";
    try { wanted = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    if (!wanted) return;
    const place = order.findIndex((index) => data.requests[index].id === wanted);
    if (place >= 0) choose(place, { open: true, focus: false });
  }
  addEventListener("hashchange", fromAddress);

  try {
    const saved = JSON.parse(remember.get("sort") || "null");
    if (saved && Number.isInteger(saved.column) && saved.column < data.columns.length) sort = { column: saved.column, descending: Boolean(saved.descending) };
  } catch { /* remembered by another version: begin anew */ }
  apply();
  fromAddress();
})();
