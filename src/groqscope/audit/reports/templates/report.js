// The page places, sorts, searches and draws. It computes no figure: every number it shows is a text in the data.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const detailLines = byId("details").textContent.split("\n");
  const narrow = matchMedia("(max-width: 760px)");
  const rowHeight = () => (narrow.matches ? 66 : 30);

  // -- small tools

  const SVG = "http://www.w3.org/2000/svg";
  function make(parent, name, attributes = {}, text = null) {
    const svg = parent.namespaceURI === SVG || name === "svg";
    const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    parent.append(node);
    return node;
  }
  // Names and error codes differ at their ends, so they are cut in their middle.
  const middle = (text, room) => (text.length > room ? text.slice(0, Math.ceil((room - 1) / 2)) + "…" + text.slice(text.length - Math.floor((room - 1) / 2)) : text);
  const remember = {
    get(key) { try { return localStorage.getItem("groqscope." + key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem("groqscope." + key, value); } catch { /* a page without storage forgets */ } },
  };

  // -- light and dark

  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const known = remember.get("theme");
  if (known === "dark" || known === "light") root.dataset.theme = known;
  byId("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches;
    root.dataset.theme = dark ? "light" : "dark";
    remember.set("theme", root.dataset.theme);
  });

  // -- the waterfall of one request

  function drawFall(holder, detail) {
    holder.replaceChildren();
    const width = Math.max(300, holder.clientWidth || 800);
    const left = Math.min(170, Math.max(84, width * 0.2));
    const right = width < 520 ? 112 : 132, line = 22;
    const span = width - left - right;
    const x = (ns) => left + (detail.total ? Math.min(1, ns / detail.total) * span : 0);
    const svg = make(holder, "svg", { class: "fall", width, role: "list", "aria-label": "Waterfall of " + detail.head[0] });
    const defs = make(svg, "defs");
    const hatch = make(defs, "pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    make(hatch, "rect", { width: 1.6, height: 5, style: "fill: var(--faint)" });

    const fits = Math.max(1, Math.floor(span / 90));
    const step = fits >= 4 ? 1 : fits >= 2 ? 2 : 4;
    const grid = make(svg, "g", { "aria-hidden": "true" });
    detail.ticks.forEach((text, index) => {
      if (index % step) return;
      const at = left + (span * index) / 4;
      make(grid, "line", { class: "grid", x1: at, x2: at, y1: 20, y2: 20 });
      make(grid, "text", { class: "t", x: at, y: 13, "text-anchor": index === 0 ? "start" : index === 4 ? "end" : "middle" }, text);
    });
    make(grid, "text", { class: "t", x: 0, y: 13 }, "client, " + data.unit);
    make(grid, "text", { class: "t", x: width - 58, y: 13, "text-anchor": "end" }, data.unit);
    make(grid, "text", { class: "t", x: width, y: 13, "text-anchor": "end" }, "share");

    let y = 22, group = "client";
    const cut = (text, room) => middle(text, Math.max(3, Math.floor(room / 7.2)));
    function noteLines(text, room) {
      const lines = [""];
      for (const word of text.split(" ")) {
        const longer = (lines[lines.length - 1] + " " + word).trim();
        if (longer.length * 6.6 <= room) lines[lines.length - 1] = longer;
        else lines.push(word);
      }
      return lines.filter(Boolean);
    }
    function note(parent, text, room, below, step = 16) {
      const lines = noteLines(text, room);
      lines.forEach((words, index) => make(parent, "text", { class: "note", x: left, y: below + index * step }, middle(words, Math.floor(room / 6.6))));
      return lines.length * step;
    }
    function row(entry, indent = 0) {
      const label = [entry.name, entry.text === "-" ? "length not known" : entry.text + " " + data.unit, entry.share,
        entry.start === null ? "" : "from " + entry.from + " " + data.unit, entry.note].filter(Boolean).join(", ");
      const g = make(svg, "g", { class: "row", role: "listitem", "aria-label": label });
      make(g, "title", {}, label);
      make(g, "rect", { class: "hit", x: -6, y, width: width + 12, height: line, rx: 4 });
      make(g, "text", { x: indent, y: y + 15, class: entry.failed ? "bad" : indent ? "note" : "" }, cut(entry.name, left - indent - 6));
      if (entry.length !== null && detail.total && (entry.start !== null || indent)) {
        const drawn = x(entry.start !== null ? entry.start : entry.at);
        const size = Math.max(1.5, Math.min(entry.length / detail.total, 1) * span);
        const style = entry.start === null ? "length" : entry.failed ? "bar-failed" : entry.tone || "plain";
        make(g, "rect", { class: style, x: Math.min(drawn, left + span - 1.5), y: y + (indent ? 7 : 4), width: Math.min(size, left + span - Math.min(drawn, left + span - 1.5)), height: indent ? 8 : 14, rx: 2 });
        let end = drawn + size;
        if (entry.tail) {
          const tail = Math.min((entry.tail / detail.total) * span, left + span - end);
          make(g, "rect", { class: "tail", x: end, y: y + 7, width: Math.max(0, tail), height: 8 });
          end += tail;
        }
        if (entry.note) {
          const room = left + span - end - 8, before = drawn - left - 8, need = entry.note.length * 6.6;
          if (need < room) make(g, "text", { class: "note", x: end + 7, y: y + 15 }, entry.note);
          else if (need < before) make(g, "text", { class: "note", x: drawn - 7, y: y + 15, "text-anchor": "end" }, entry.note);
          else entry.below = entry.note;
        }
      } else if (entry.note.length * 6.6 < span) make(g, "text", { class: "note", x: left, y: y + 15 }, entry.note);
      else entry.below = entry.note;
      make(g, "text", { x: width - 58, y: y + 15, "text-anchor": "end", class: indent ? "note" : "" }, entry.text);
      make(g, "text", { x: width, y: y + 15, "text-anchor": "end", class: "note" }, entry.share);
      y += line;
      if (entry.below) y += note(make(svg, "g", { "aria-hidden": "true" }), entry.below, width - left, y + 12) + 2;
    }
    function strip() {
      if (!detail.density) return;
      const g = make(svg, "g", { class: "row", role: "listitem", "aria-label": "chunks over time: " + detail.chunks });
      make(g, "title", {}, detail.chunks + " chunks, dense where the strip is high");
      make(g, "text", { x: 0, y: y + 17 }, "chunks");
      const cell = span / detail.density.length;
      [...detail.density].forEach((digit, index) => {
        const height = digit === "0" ? 0 : 3 + Number(digit) * 1.7;
        if (height) make(g, "rect", { class: "tick", x: left + index * cell, y: y + 20 - height, width: Math.max(0.8, cell - 0.8), height });
      });
      make(g, "text", { x: width - 58, y: y + 17, "text-anchor": "end", class: "note" }, detail.chunks);
      y += 28;
    }
    for (const raw of detail.rows) {
      const entry = { group: raw[0], name: raw[1], start: raw[2], length: raw[3], tail: raw[4], failed: raw[5], text: raw[6], share: raw[7], note: raw[8], parts: raw[9], tone: raw[10], from: raw[11] };
      if (entry.group !== group) {
        if (group === "client") strip();
        group = entry.group;
        y += 12;
        make(svg, "text", { class: "heading", x: 0, y: y + 12 }, data.groups[group][0]);
        y += note(svg, data.groups[group][1], width - left, y + 12) + 2;
      }
      row(entry);
      let at = entry.start;
      for (const [name, ns, text, share, when] of entry.parts) {
        row({ name, start: null, at, length: ns, tail: 0, failed: 0, text, share, note: when }, 14);
        at += ns;
      }
    }
    if (group === "client") strip();
    for (const mark of grid.querySelectorAll("line")) mark.setAttribute("y2", y);
    y += note(svg, data.legend, width - left, y + 16) + 4;
    svg.setAttribute("height", y + 4);
    svg.setAttribute("viewBox", `0 0 ${width} ${y + 4}`);
  }

  function fillDetail(panel, detail, acts) {
    panel.replaceChildren();
    const header = make(panel, "header");
    make(header, "h2", { id: "detail-title" }, detail.verdict);
    const buttons = make(header, "div", { class: "acts" });
    for (const [text, label, act] of acts) make(buttons, "button", { type: "button", "aria-label": label, title: label }, text).addEventListener("click", act);
    for (const [sentence, advice] of detail.causes) make(panel, "p", { class: "faint" }, sentence ? sentence + ". " + advice : advice);
    const head = make(panel, "div", { class: "head" });
    for (const text of detail.head) make(head, "span", { class: text === "error" || text === "truncated" ? "bad" : "" }, text);
    const holder = make(panel, "div");
    drawFall(holder, detail);
    const list = make(panel, "dl", { class: "facts" });
    for (const [label, items] of detail.facts) {
      make(list, "dt", {}, label);
      const dd = make(list, "dd");
      for (const item of items) {
        if (label !== "ids") { make(dd, "span", {}, item); continue; }
        const button = make(dd, "button", { class: "id", type: "button", title: "copy" }, item);
        button.addEventListener("click", () => {
          navigator.clipboard?.writeText(item.slice(item.indexOf(" ") + 1)).then(() => { button.title = "copied"; }, () => {});
        });
      }
    }
    for (const note of detail.notes) make(panel, "p", { class: "faint small" }, note);
    return holder;
  }

  const detailAt = (index) => JSON.parse(detailLines[index]);
  const panel = byId("detail");
  let shown = null;
  function redraw() { if (shown) drawFall(shown.holder, shown.detail); }
  let resizing = 0;
  addEventListener("resize", () => { cancelAnimationFrame(resizing); resizing = requestAnimationFrame(redraw); });

  if (data.kind === "request") {
    panel.hidden = false;
    panel.classList.add("whole");
    document.querySelector("main").insertBefore(panel, document.querySelector("footer"));
    const detail = detailAt(0);
    shown = { detail, holder: fillDetail(panel, detail, []) };
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
    make(row, "td", { colspan: data.columns.length, style: `height:${height}px` });
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
  function miniBar(cell, phases) {
    const label = phases.map(([name, , text]) => name + " " + text).join(", ") || "no phases known";
    const mini = make(cell, "span", { class: "mini", role: "img", "aria-label": label, title: label });
    for (const [, share, , tone] of phases) make(mini, "i", { class: tone, style: `width:${share}%` });
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
    ]);
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
