// The shell: which view the address names, what is new, keys that work everywhere.
import { make, switchTheme } from "./drawing.js";
import { live } from "./live.js";
import { requests } from "./requests.js";
import { request } from "./request.js";
import { compare, overview, run, runs, why } from "./reports.js";

const VIEWS = [
  [/^\/(?:live)?$/, live, "/live", "Live"],
  [/^\/requests$/, requests, "/requests", "Requests"],
  [/^\/requests\/(.+)$/, request, "/requests", "Request"],
  [/^\/overview$/, overview, "/overview", "Overview"],
  [/^\/why$/, why, "/why", "Why"],
  [/^\/runs$/, runs, "/runs", "Runs"],
  [/^\/runs\/(.+)$/, run, "/runs", "Run"],
  [/^\/compare$/, compare, "/compare", "Compare"],
];
const main = document.getElementById("main");
const state = document.getElementById("state");
let current = null, events = null, latest = null;

export const shell = {
  go(address, { replace = false } = {}) {
    if (address === location.pathname + location.search) replace = true;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    show();
  },
  // The address says something new, but the view stays.
  note(address) { history.replaceState(null, "", address); },
  follow(window) { connect(window); },
  title(text) { document.title = text + " · groqscope"; },
  get latest() { return latest; },
};

function show() {
  current?.close?.();
  const view = VIEWS.find(([pattern]) => pattern.test(location.pathname));
  main.replaceChildren();
  for (const link of document.querySelectorAll(".top nav a")) {
    if (view && link.getAttribute("href") === view[2]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!view) {
    make(make(main, "section"), "h1", {}, "There is no such page.");
    return;
  }
  const [pattern, open, , title] = view;
  shell.title(title);
  const wanted = location.pathname.match(pattern)[1];
  current = open(main, shell, new URLSearchParams(location.search), wanted && decodeURIComponent(wanted)) || {};
  if (latest) current.event?.(latest);
  scrollTo(0, current.scroll ?? 0);
}

// -- what is new

let following = "";
function connect(window) {
  if (following === window) return;
  following = window;
  events?.close();
  events = new EventSource("/api/events?window=" + window);
  events.addEventListener("message", (message) => {
    latest = JSON.parse(message.data);
    state.className = "state on";
    state.textContent = latest.loading !== null ? `reading the store, ${Math.floor(latest.loading * 100)}%` : `${latest.total.toLocaleString("en")} requests`;
    current?.event?.(latest);
  });
  events.addEventListener("error", () => {
    state.className = "state off";
    state.textContent = "not connected: is groqscope ui running?";
  });
}

// -- links and keys

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.hasAttribute("download") || link.origin !== location.origin || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  shell.go(link.pathname + link.search);
  main.focus({ preventScroll: true });
});
addEventListener("popstate", show);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (current?.key?.(event)) return;
  const typing = event.target.closest?.("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key >= "1" && event.key <= "6") shell.go(document.querySelectorAll(".top nav a")[event.key - 1].getAttribute("href"));
  else if (event.key === "t") document.getElementById("theme").click();
  else if (event.key === "?") document.getElementById("keys").showModal();
  else if (event.key === "/" || event.key === "w") {
    const field = document.getElementById(event.key === "/" ? "search" : "where");
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
  }
});
document.getElementById("help").addEventListener("click", () => document.getElementById("keys").showModal());
switchTheme(document.getElementById("theme"));
connect("5m");
show();
