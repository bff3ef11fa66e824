// The views that the server writes with the HTML report's own templates: overview, why, runs, a run, a comparison.
import { make } from "./drawing.js";
import { address, asking, exports, insert, inTerminal, nothing, selection } from "./data.js";
import { filters } from "./filters.js";

// A view that is asked for, inserted, and asked for again when something new has arrived and nothing was opened in it.
function report(main, shell, path, parameters, { kind, group = false, chips = false, bar = true, after = () => {}, ask = path.slice(1), asks = selection(parameters), more = asks, formats = undefined }) {
  const asked = asking();
  if (bar) filters(main, shell, path, parameters, { group, chips });
  const holder = make(main, "div", { class: "report", "aria-busy": "true" });
  const foot = make(main, "footer", { class: "foot" });
  let version = -1, busy = false, at = 0, partial = false;
  async function load() {
    busy = true;
    const data = await asked.ask(ask, asks);
    busy = false;
    if (!data) return;
    at = Date.now();
    holder.setAttribute("aria-busy", "false");
    holder.replaceChildren();
    foot.replaceChildren();
    version = data.version ?? -1;
    partial = (data.loading ?? null) !== null;
    if (data.problem) {
      nothing(holder, data);
      return;
    }
    insert(holder, data.html);
    after(holder, data);
    for (const text of data.provenance ?? []) make(foot, "span", {}, text);
    exports(foot, kind, more, formats);
    if (data.command) inTerminal(foot, data.command);
  }
  load();
  return {
    event(latest) {
      if (busy || latest.version === version || Date.now() - at < 2000 || scrollY > 200 || holder.querySelector("details[open]")) return;
      const whole = partial && latest.loading === null;
      if (latest.total <= 5000 || whole || holder.querySelector(".empty")) load();
    },
    close() { asked.stop(); },
  };
}

export function overview(main, shell, parameters) {
  return report(main, shell, "/overview", parameters, { kind: "overview", group: true });
}

export function why(main, shell, parameters) {
  return report(main, shell, "/why", parameters, {
    kind: "why",
    after(holder, data) {
      for (const cause of holder.querySelectorAll(".cause[data-cause]")) {
        const code = cause.dataset.cause, where = selection(parameters);
        where.set("cause", code);
        const links = make(cause, "div", { class: "links" });
        make(links, "a", { href: address("/requests", where) }, "these requests");
        for (const id of data.causes[code] ?? []) make(links, "a", { class: "id", href: "/requests/" + encodeURIComponent(id) }, id);
      }
    },
  });
}

const ORDERS = ["newest", "slowest", "dearest"];
export function runs(main, shell, parameters) {
  const order = ORDERS.includes(parameters.get("order")) ? parameters.get("order") : "newest";
  const asks = selection(parameters);
  asks.set("order", order);
  const row = make(main, "div", { class: "filterbar", role: "group", "aria-label": "Order" });
  for (const name of ORDERS) {
    make(row, "button", { type: "button", "aria-pressed": String(name === order) }, name === "dearest" ? "most expensive" : name).addEventListener("click", () => {
      parameters.set("order", name);
      shell.go(address("/runs", parameters));
    });
  }
  return report(main, shell, "/runs", parameters, {
    kind: "runs",
    ask: "runs",
    asks,
    formats: ["html", "json"],
    after(holder, data) {
      // The name of a run leads to it; its ID, of which a reader has no use here, makes room for the reason.
      const table = [...holder.querySelectorAll("section table")].at(-1);
      table.querySelector("thead tr").lastElementChild.remove();
      [...table.querySelectorAll("tbody tr")].forEach((row, index) => {
        row.lastElementChild.remove();
        const cell = row.children[1], text = cell.textContent;
        cell.replaceChildren();
        make(cell, "a", { href: "/runs/" + encodeURIComponent(data.ids[index]), title: data.ids[index] }, text);
      });
    },
  });
}

export function run(main, shell, parameters, id) {
  const view = report(main, shell, "/runs", parameters, {
    kind: "run",
    bar: false,
    ask: "runs/" + encodeURIComponent(id),
    asks: new URLSearchParams(),
    more: new URLSearchParams({ id }),
    formats: ["html", "json"],
    after(holder) {
      for (const words of holder.querySelectorAll(".run-row p[data-id]")) {
        make(words, "a", { href: "/requests/" + encodeURIComponent(words.dataset.id) }, "open the request");
      }
    },
  });
  return { ...view, key(event) { if (event.key === "Escape") { history.back(); return true; } return false; } };
}

export function compare(main, shell, parameters) {
  const asked = asking();
  const sides = new URLSearchParams();
  for (const [name, value] of parameters) if (/^[ab]\./.test(name) && value) sides.append(name, value);
  make(main, "h1", { class: "visually-hidden" }, "Compare");
  filters(main, shell, "/compare", parameters, { chips: false, prefix: "a.", note: "A" });
  filters(main, shell, "/compare", parameters, { chips: false, prefix: "b.", note: "B" });
  const quick = make(main, "div", { class: "filterbar", role: "group", "aria-label": "Quick comparisons" });
  const pairs = [
    ["this hour with the one before", { "a.since": "2h", "a.until": "1h", "b.since": "1h" }],
    ["today with yesterday", { "a.since": "2d", "a.until": "1d", "b.since": "1d" }],
    ["the last 15 minutes with the hour before", { "a.since": "75m", "a.until": "15m", "b.since": "15m" }],
  ];
  for (const [title, pair] of pairs) make(quick, "a", { class: "button", href: address("/compare", new URLSearchParams(pair)) }, title);
  const asks = [...sides].length > 0;
  const holder = make(main, "div", { class: "report", "aria-busy": String(asks) });
  const foot = make(main, "footer", { class: "foot" });
  if (!asks) {
    const box = make(holder, "section", { class: "empty" });
    make(box, "h2", {}, "What changed from A to B?");
    make(box, "p", {}, "Choose two times, models or services above, or one of the pairs.");
    return { close() { asked.stop(); } };
  }
  asked.ask("compare", sides).then((data) => {
    if (!data) return;
    holder.setAttribute("aria-busy", "false");
    if (data.problem) { nothing(holder, data); return; }
    insert(holder, data.html);
    data.sides.forEach((texts, index) => {
      const line = make(foot, "div", { class: "side" });
      make(line, "strong", {}, "AB"[index]);
      for (const text of texts) make(line, "span", {}, text);
    });
    exports(foot, "compare", sides, ["html", "json", "csv"]);
  });
  return { close() { asked.stop(); } };
}
