// The list of requests.
import { make } from "./drawing.js";
import { address, asking, exports, insert, inTerminal, nothing, selection } from "./data.js";
import { filters } from "./filters.js";
import { virtualList } from "./list.js";

const SMALL = 5000;
export const lastList = { address: "/requests", ids: null, place: -1, restore: null };

export function requests(main, shell, parameters) {
  const here = address("/requests", parameters);
  const asked = asking(), parts = asking(), dense = asking();
  const heading = make(main, "h1", { class: "visually-hidden" }, "Requests");
  filters(main, shell, "/requests", parameters, { group: true });
  const groups = make(main, "div");
  const section = make(main, "section", { class: "requests", "aria-labelledby": "requests-title" });
  const bar = make(section, "div", { class: "bar" });
  const title = make(bar, "h2", { id: "requests-title" }, "Requests");
  const search = make(bar, "input", { id: "search", type: "search", placeholder: "search: model, outcome, id, tool …", "aria-label": "Search requests", autocomplete: "off", spellcheck: "false" });
  search.value = parameters.get("q") ?? "";
  const fresh = make(bar, "button", { type: "button", class: "fresh", hidden: "" });
  const tools = make(bar, "span", { class: "keys" });
  const density = make(section, "div", { class: "density", role: "img", "aria-label": "Requests over time" });
  const holder = make(section, "div");
  const sort = { key: parameters.get("sort") ?? "time", descending: parameters.get("order") !== "asc" };
  let version = -1, known = 0, list = null, busy = false, timer = 0, begun = {}, partial = false;

  const full = (offset, limit) => {
    const all = selection(parameters);
    for (const name of ["q", "cause", "sort", "order"]) if (parameters.get(name)) all.set(name, parameters.get(name));
    if (offset !== undefined) { all.set("offset", offset); all.set("limit", limit); }
    // The parts of a list are all of the same requests, though others arrive meanwhile.
    for (const [name, value] of Object.entries(begun)) all.set(name, value);
    return all;
  };
  async function load() {
    busy = true;
    fresh.hidden = true;
    begun = {};
    section.setAttribute("aria-busy", "true");
    const data = await asked.ask("requests", full(0, 100));
    if (data) section.setAttribute("aria-busy", "false");
    busy = false;
    if (!data) return;
    if (data.problem || !data.total) {
      section.hidden = true;
      main.querySelector(".empty")?.remove();
      if (data.problem) nothing(main, data);
      else if (!data.known && data.loading === null) nothing(main, { problem: "No request has arrived.", kind: "nothing" });
      else if (!data.known) nothing(main, { problem: "The store is being read." });
      else nothing(main, { problem: `None of ${data.known.toLocaleString("en")} requests matches: widen the selection, or remove the condition.` });
      version = data.version ?? -1;
      return;
    }
    main.querySelector(".empty")?.remove();
    section.hidden = false;
    version = data.version;
    known = data.known;
    partial = data.loading !== null;
    begun = { upto: data.upto, at: data.at };
    const day = data.day ? ` on ${data.day}` : "";
    const rest = data.complete ? "" : ", the newest in memory";
    title.textContent = `${data.total.toLocaleString("en")} ${data.total === 1 ? "request" : "requests"}${day}, durations in ${data.unit}${rest}`;
    tools.replaceChildren();
    exports(tools, "requests", full());
    inTerminal(tools, data.command);
    if (!list) {
      list = virtualList(holder, {
        sort,
        fetchPart: (offset, limit) => parts.ask("requests", full(offset, limit)),
        open: (request, place) => {
          Object.assign(lastList, { address: here, place, restore: list.place, neighbour });
          shell.go("/requests/" + encodeURIComponent(request.id));
        },
        onSort: ({ key, descending }) => {
          parameters.set("sort", key);
          if (descending) parameters.delete("order");
          else parameters.set("order", "asc");
          shell.go(address("/requests", parameters));
        },
      });
    }
    list.set(data);
    if (lastList.address === here && lastList.restore) { list.restore({ ...lastList.restore, chosen: lastList.place }); lastList.restore = null; }
    drawDensity(await dense.ask("density", full()));
    if (parameters.get("by")) await drawGroups();
  }
  // The request before or after one that is open.
  async function neighbour(place) {
    const data = place < 0 ? null : await asking().ask("requests", full(place, 1));
    return data?.requests?.[0]?.id ?? null;
  }
  async function drawGroups() {
    const data = await asking().ask("groups", selection(parameters));
    groups.replaceChildren();
    if (data?.html) insert(groups, data.html);
  }
  function drawDensity(data) {
    density.replaceChildren();
    if (!data?.all?.length) return;
    const most = Math.max(1, ...data.all), bins = data.all.length;
    const svg = make(density, "svg", { viewBox: `0 0 ${bins} 30`, preserveAspectRatio: "none" });
    const tall = (count) => (count ? Math.max(2, (count / most) * 28) : 0);
    data.all.forEach((count, bin) => {
      make(svg, "rect", { x: bin, y: 30 - tall(count), width: 0.8, height: tall(count) });
      const failed = data.failed[bin];
      if (failed) make(svg, "rect", { class: "failed", x: bin, y: 30 - tall(failed), width: 0.8, height: tall(failed) });
    });
    density.title = `${data.from} to ${data.to}; drag to select a time`;
    shown = data.span;
    density.setAttribute("aria-label", `Requests over time, ${data.from} to ${data.to}`);
  }
  // A stretch of the strip that is dragged over is the time to look at.
  let shown = null;
  density.addEventListener("pointerdown", (down) => {
    const box = density.querySelector("svg")?.getBoundingClientRect();
    if (!box || !shown || down.button) return;
    density.setPointerCapture(down.pointerId);
    const mark = make(density, "div", { class: "picked" });
    const share = (event) => Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    const from = share(down);
    let to = from;
    const move = (event) => {
      to = share(event);
      mark.style.left = box.left - density.getBoundingClientRect().left + Math.min(from, to) * box.width + "px";
      mark.style.width = Math.abs(to - from) * box.width + "px";
    };
    density.addEventListener("pointermove", move);
    density.addEventListener("pointerup", () => {
      density.removeEventListener("pointermove", move);
      mark.remove();
      if (Math.abs(to - from) < 0.005) return;
      const at = (part) => new Date(Math.round((shown[0] + part * (shown[1] - shown[0])) / 1e6)).toISOString();
      parameters.set("since", at(Math.min(from, to)));
      parameters.set("until", at(Math.max(from, to)));
      shell.go(address("/requests", parameters));
    }, { once: true });
  });
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (search.value) parameters.set("q", search.value);
      else parameters.delete("q");
      shell.note(address("/requests", parameters));
      load();
    }, 150);
  });
  fresh.addEventListener("click", load);
  if (parameters.get("cause")) {
    const chip = make(bar, "button", { type: "button", class: "chip" }, `slow by ${parameters.get("cause").replaceAll("_", " ")} ✕`);
    chip.addEventListener("click", () => { parameters.delete("cause"); shell.go(address("/requests", parameters)); });
  }
  heading.after(make(main, "span", { hidden: "" }));
  load();
  return {
    // A small list follows by itself while nothing in it is chosen; a large one says that there is more.
    event(latest) {
      if (busy || version < 0 || latest.version === version) return;
      const atTop = !list || (list.place.top === 0 && list.place.chosen < 0);
      const whole = partial && latest.loading === null;
      if ((latest.total <= SMALL || whole) && atTop && document.activeElement !== search) load();
      else if (latest.total > known) { fresh.hidden = false; fresh.textContent = `${(latest.total - known).toLocaleString("en")} new`; }
    },
    key(event) {
      if (event.target === search) {
        if (event.key === "Escape") { search.value = ""; search.dispatchEvent(new Event("input")); search.blur(); return true; }
        if (event.key === "ArrowDown" || event.key === "Enter") { search.blur(); return list?.key(new KeyboardEvent("keydown", { key: "Home" })) ?? false; }
        return false;
      }
      return list?.key(event) ?? false;
    },
    close() { asked.stop(); parts.stop(); dense.stop(); clearTimeout(timer); list?.close(); },
  };
}
