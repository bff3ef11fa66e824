// What the server says.
import { make } from "./drawing.js";

export async function ask(path, parameters = new URLSearchParams(), signal = undefined) {
  const query = parameters.toString();
  const answer = await fetch("/api/" + path + (query ? "?" + query : ""), { signal });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// Only the newest question counts; an older answer is thrown away.
export function asking() {
  let controller = null;
  return {
    async ask(path, parameters) {
      controller?.abort();
      controller = new AbortController();
      const mine = controller;
      try {
        const data = await ask(path, parameters, mine.signal);
        return mine === controller ? data : null;
      } catch (error) {
        if (mine.signal.aborted) return null;
        return { problem: "the server does not answer: is groqscope ui running?", kind: "gone", detail: String(error) };
      }
    },
    stop() { controller?.abort(); },
  };
}

// What to type next, where there is nothing to show.
export function nothing(parent, { problem, kind, known, at }) {
  const box = make(parent, "section", { class: "empty", role: "status" });
  make(box, "h1", {}, kind === "missing" ? "Not found" : kind === "nothing" ? "Nothing to show yet" : "This cannot be shown");
  for (const line of (at === undefined ? problem : "Correct the condition above first.").split("\n")) make(box, "p", {}, line);
  if (kind === "nothing" && !known) firstSteps(box);
  return box;
}

export function firstSteps(box) {
  make(box, "p", {}, "In a terminal, to replay recorded traffic without an API key:");
  make(box, "pre", {}, "groqscope demo");
  make(box, "p", {}, "Or in a program, before its first request:");
  make(box, "pre", {}, "import groqscope\n\ngroqscope.configure()\ngroqscope.instrument()");
  make(box, "p", {}, "From a container or a collector, send OTLP here:");
  make(box, "pre", {}, "export OTEL_EXPORTER_OTLP_ENDPOINT=" + location.origin);
}

// The parameters that select requests, which every view takes along.
const SELECTING = ["since", "until", "model", "service", "outcome", "where", "by"];
export function selection(parameters) {
  const kept = new URLSearchParams();
  for (const name of SELECTING) for (const value of parameters.getAll(name)) if (value) kept.append(name, value);
  return kept;
}

export function address(path, parameters) {
  const query = parameters.toString();
  return path + (query ? "?" + query : "");
}

export function exports(parent, kind, parameters, formats = ["html", "json", "csv"]) {
  const row = make(parent, "span", { class: "exports" });
  make(row, "span", { class: "faint" }, "export");
  for (const format of formats) {
    make(row, "a", { href: address(`/export/${kind}.${format}`, parameters), download: `groqscope-${kind}.${format}` }, { html: "HTML", json: "JSON", csv: "CSV" }[format]);
  }
  return row;
}

// The command that shows the same in a terminal; a click copies it.
export function inTerminal(parent, command) {
  const button = make(parent, "button", { type: "button", class: "command", title: "copy the command that shows the same" }, command);
  button.addEventListener("click", () => navigator.clipboard?.writeText(command).then(() => { button.dataset.copied = "copied"; setTimeout(() => delete button.dataset.copied, 1500); }, () => {}));
}

// Markup that the server made of its own templates, everything from data escaped.
export function insert(parent, markup) {
  const parsed = new DOMParser().parseFromString(markup, "text/html");
  parent.append(...parsed.body.childNodes);
}
