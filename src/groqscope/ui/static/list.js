// A list of requests of which only the rows in sight exist; parts of it are asked for as they come into sight.
import { make, middle, miniBar } from "./drawing.js";

const PART = 100;
const narrow = matchMedia("(max-width: 760px)");
const rowHeight = () => (narrow.matches ? 66 : 30);
const words = (cell) => (Array.isArray(cell) ? cell[1] : cell);

export function fillRow(tr, columns, request) {
  tr.className = request.tags.includes("slow") ? "slow" : "";
  columns.forEach((column, index) => {
    if (column.key === "phases") { miniBar(make(tr, "td", { class: "phases" }), request.phases); return; }
    const text = words(request.cells[index]), failed = column.key === "outcome" && request.tags.includes("failed");
    const kind = [column.right ? "r" : "", column.key, failed ? "bad" : ""].filter(Boolean).join(" ");
    const cell = make(tr, "td", { class: kind, title: column.key === "id" ? request.id : column.room ? text : null });
    const shown = (failed ? "✕ " : "") + (column.room ? middle(text, column.room) : text);
    if (column.key === "id") make(cell, "a", { href: "/requests/" + encodeURIComponent(request.id), tabindex: -1 }, shown);
    else cell.textContent = shown;
  });
}

export function virtualList(parent, { fetchPart, open, sort, onSort }) {
  const scroller = make(parent, "div", { class: "scroller", tabindex: -1 });
  const table = make(scroller, "table", { class: "list" });
  const heads = make(make(table, "thead"), "tr");
  const body = make(table, "tbody");
  const parts = new Map();
  let total = 0, columns = [], chosen = -1, drawn = "", waiting = 0, opened = true, round = 0;

  function drawHeads() {
    heads.replaceChildren();
    for (const column of columns) {
      const th = make(heads, "th", { scope: "col", class: column.right ? "r" : "" });
      if (column.key === "phases" || column.key === "id") { th.textContent = column.title; continue; }
      make(th, "button", { type: "button" }, column.title).addEventListener("click", () => {
        const again = sort.key === column.key;
        onSort({ key: column.key, descending: again ? !sort.descending : Boolean(column.right || column.key === "time") });
      });
      if (sort.key === column.key) th.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
    }
  }
  function padding(height) {
    const row = make(body, "tr", { class: "pad", "aria-hidden": "true" });
    make(row, "td", { colspan: columns.length || 1 }).style.height = height + "px";
  }
  function paint(force = false) {
    const ROW = rowHeight();
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 10);
    const last = Math.min(total, first + Math.ceil(scroller.clientHeight / ROW) + 22);
    const key = first + ":" + last + ":" + chosen;
    if (!force && key === drawn) return;
    drawn = key;
    const focused = body.contains(document.activeElement);
    body.replaceChildren();
    table.setAttribute("aria-rowcount", total + 1);
    padding(first * ROW);
    for (let place = first; place < last; place++) {
      const request = parts.get(Math.floor(place / PART))?.[place % PART];
      const current = place === chosen || (chosen < 0 && place === 0);
      const tr = make(body, "tr", { tabindex: current ? 0 : -1, "data-place": place, "aria-rowindex": place + 2, "aria-selected": String(place === chosen) });
      if (request) fillRow(tr, columns, request);
      else make(tr, "td", { class: "faint", colspan: columns.length || 1 }, "…");
      if (request) tr.setAttribute("aria-label", request.cells.map(words).filter(Boolean).join(", "));
      tr.setAttribute("aria-selected", String(place === chosen));
    }
    padding((total - last) * ROW);
    if (focused) body.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
    clearTimeout(waiting);
    waiting = setTimeout(() => need(first, last), 40);
  }
  async function need(first, last) {
    const mine = round;
    for (let part = Math.floor(first / PART); part <= Math.floor(Math.max(first, last - 1) / PART); part++) {
      if (parts.has(part)) continue;
      parts.set(part, null);
      const data = await fetchPart(part * PART, PART);
      if (!opened || mine !== round) return;
      if (!data || data.problem) { parts.delete(part); return; }
      parts.set(part, data.requests);
      if (parts.size > 40) for (const known of parts.keys()) { if (Math.abs(known - part) > 15) parts.delete(known); }
      paint(true);
    }
  }
  function choose(place, focus = true) {
    if (!total) return;
    chosen = Math.max(0, Math.min(total - 1, place));
    const ROW = rowHeight(), top = chosen * ROW, head = 31;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + ROW + head > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + ROW + head - scroller.clientHeight;
    paint(true);
    if (focus) body.querySelector("[aria-selected='true']")?.focus({ preventScroll: true });
  }
  const at = (place) => parts.get(Math.floor(place / PART))?.[place % PART];
  scroller.addEventListener("scroll", () => requestAnimationFrame(() => paint()), { passive: true });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-place]");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(Number(row.dataset.place));
    const request = at(chosen);
    if (request) open(request, chosen);
  });
  const resized = () => paint(true);
  narrow.addEventListener("change", resized);
  addEventListener("resize", resized);

  return {
    set(data) {
      round++;
      columns = data.columns;
      total = data.total;
      parts.clear();
      parts.set(data.offset / PART, data.requests);
      drawHeads();
      paint(true);
    },
    key(event) {
      const page = Math.max(1, Math.floor(scroller.clientHeight / rowHeight()) - 1);
      const moves = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      if (event.target.closest?.("input, select, textarea, thead")) return false;
      if (event.key in moves) {
        event.preventDefault();
        choose(chosen < 0 ? (moves[event.key] === Infinity ? total - 1 : 0) : chosen + moves[event.key]);
        return true;
      }
      if (event.key === "Enter" && (event.target === document.body || event.target.closest("tr[data-place], main"))) {
        if (event.target.closest("a, button")) return false;
        event.preventDefault();
        if (chosen < 0) choose(0);
        const request = at(chosen);
        if (request) open(request, chosen);
        return true;
      }
      return false;
    },
    get place() { return { chosen, top: scroller.scrollTop }; },
    restore({ chosen: place, top }) {
      chosen = place;
      scroller.scrollTop = top;
      paint(true);
    },
    close() {
      opened = false;
      clearTimeout(waiting);
      narrow.removeEventListener("change", resized);
      removeEventListener("resize", resized);
    },
  };
}
