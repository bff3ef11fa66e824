// The bar above lists and reports: time, model, service, a condition with completion, grouping.
import { make } from "./drawing.js";
import { address, ask } from "./data.js";

const TIMES = [["", "all time"], ["5m", "last 5 minutes"], ["15m", "last 15 minutes"], ["1h", "last hour"], ["6h", "last 6 hours"], ["1d", "last day"], ["7d", "last week"]];
const CHIPS = [
  ["failed", "failed"],
  ["left early", "outcome in ('closed', 'abandoned', 'cancelled')"],
  ["retried", "retries > 0"],
  ["tools", "tool_calls > 0"],
  ["slow first chunk", "ttfc > 1s"],
];
const WORDS = [["and", "", "both hold"], ["or", "", "one of them holds"], ["not", "", "it does not hold"], ["in", "", "one of several: model in ('a', 'b')"]];
const GROUPS = [["", "no groups"], ["model", "by model"], ["service", "by service"], ["outcome", "by outcome"], ["error_type", "by error"], ["agent", "by agent"], ["run", "by run"], ["conversation", "by conversation"], ["user", "by user"], ["region", "by region"]];
let vocabulary = null;
const words = () => (vocabulary ??= ask("words").catch(() => { vocabulary = null; return { fields: [], model: [], service: [] }; }));

function choice(parent, label, name, options, value, change) {
  const select = make(parent, "select", { "aria-label": label, name });
  if (value && !options.some(([known]) => known === value)) options = [...options, [value, value]];
  for (const [key, text] of options) make(select, "option", { value: key, ...(key === value ? { selected: "" } : {}) }, text);
  select.addEventListener("change", () => change(select.value));
  return select;
}

export function filters(parent, shell, path, parameters, { chips = true, group = false, prefix = "", note = "" } = {}) {
  const bar = make(parent, "div", { class: "filterbar", role: "group", "aria-label": note || "Selection" });
  const changes = (values) => {
    for (const [name, value] of Object.entries(values)) {
      if (value) parameters.set(prefix + name, value);
      else parameters.delete(prefix + name);
    }
    shell.go(address(path, parameters));
  };
  const change = (name, value) => changes({ [name]: value });
  const value = (name) => parameters.get(prefix + name) ?? "";
  if (note) make(bar, "strong", { class: "side" }, note);
  timeRange(bar, prefix, value("since"), value("until"), changes);
  const model = choice(bar, "Model", prefix + "model", [["", "all models"]], value("model"), (chosen) => change("model", chosen));
  const service = choice(bar, "Service", prefix + "service", [["", "all services"]], value("service"), (chosen) => change("service", chosen));
  words().then((known) => {
    for (const [select, names, now] of [[model, known.model, value("model")], [service, known.service, value("service")]]) {
      for (const name of names) if (name !== now) make(select, "option", { value: name }, name);
    }
  });
  conditionBox(bar, prefix, value("where"), (where) => change("where", where));
  if (group) choice(bar, "Group", prefix + "by", GROUPS, value("by"), (by) => change("by", by));
  if (chips) {
    const row = make(bar, "span", { class: "filters", role: "group", "aria-label": "Quick filters" });
    for (const [title, where] of CHIPS) {
      const on = value("where") === where;
      make(row, "button", { type: "button", "aria-pressed": String(on) }, title).addEventListener("click", () => change("where", on ? "" : where));
    }
  }
  return bar;
}

// -- time: how long ago, or from one moment to another; moments are UTC, as in every report

const CUSTOM = "custom";
const AGO = { s: 1, m: 60, min: 60, h: 3600, d: 86400, w: 604800 };
function momentOf(text) {
  const ago = text.match(/^(\d+(?:\.\d+)?)(s|m|min|h|d|w)$/);
  const date = ago ? new Date(Date.now() - ago[1] * AGO[ago[2]] * 1000) : new Date(text);
  return text && !Number.isNaN(date.getTime()) ? date.toISOString().slice(0, 19) : "";
}

function timeRange(bar, prefix, since, until, changes) {
  const custom = Boolean(until) || !TIMES.some(([key]) => key === since);
  const select = choice(bar, "Time", prefix + "since", [...TIMES, [CUSTOM, "from … to …"]], custom ? CUSTOM : since, (chosen) => {
    form.hidden = chosen !== CUSTOM;
    if (chosen === CUSTOM) from.focus();
    else changes({ since: chosen, until: "" });
  });
  const form = make(bar, "form", { class: "range", "aria-label": "From and to, UTC", ...(custom ? {} : { hidden: "" }) });
  const field = (label, text) => make(make(form, "label", {}, label + " "), "input", { type: "datetime-local", step: "1", value: momentOf(text) });
  const from = field("from", since), to = field("to", until);
  make(form, "span", { class: "faint" }, "UTC");
  make(form, "button", { type: "submit" }, "apply");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const utc = (input) => (input.value ? (input.value.length === 16 ? input.value + ":00" : input.value) + "Z" : "");
    changes({ since: utc(from), until: utc(to) });
  });
  return select;
}

// A condition as `--where` takes it: names are completed, and what is wrong is said below the place.
function conditionBox(bar, prefix, text, apply) {
  const id = prefix ? prefix.replace(".", "") + "-where" : "where";
  const box = make(bar, "div", { class: "where" });
  const input = make(box, "input", {
    id, type: "text", placeholder: "where: ttfc > 1s and retries > 0", "aria-label": "Condition", role: "combobox", autocomplete: "off",
    spellcheck: "false", "aria-expanded": "false", "aria-controls": id + "-list", "aria-autocomplete": "list", "aria-describedby": id + "-wrong",
  });
  input.value = text;
  const list = make(box, "ul", { id: id + "-list", role: "listbox", "aria-label": "Names", hidden: "" });
  const wrong = make(box, "div", { id: id + "-wrong", class: "wrong", role: "alert" });
  let found = [], chosen = -1, checking = 0;

  const wordAt = () => {
    const before = input.value.slice(0, input.selectionStart);
    const quoted = (before.match(/'/g) || []).length % 2 || (before.match(/"/g) || []).length % 2;
    return quoted ? "" : before.match(/[A-Za-z_][\w.]*$/)?.[0] ?? "";
  };
  function close() {
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  async function complete() {
    const word = wordAt().toLowerCase();
    const known = [...(await words()).fields, ...WORDS.map(([name, kind, brief]) => [name, kind, brief, ""])];
    if (!word || document.activeElement !== input) { close(); return; }
    const rank = ([name, , , also]) => (name === word ? 0 : name.startsWith(word) ? 1 : also.split(" ").some((one) => one.startsWith(word)) ? 2 : name.includes(word) ? 3 : 9);
    found = known.map((one) => [rank(one), one]).filter(([place]) => place > 0 && place < 9).sort((a, b) => a[0] - b[0]).slice(0, 8).map(([, one]) => one);
    if (known.some(([name]) => name === word) && found.every(([name]) => !name.startsWith(word))) found = [];
    list.replaceChildren();
    found.forEach(([name, kind, brief], index) => {
      const item = make(list, "li", { role: "option", id: `${id}-${index}`, "aria-selected": "false" });
      make(item, "b", {}, name);
      make(item, "span", { class: "faint" }, [kind, brief].filter(Boolean).join(", "));
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); accept(index); });
    });
    list.hidden = !found.length;
    chosen = -1;
    input.setAttribute("aria-expanded", String(Boolean(found.length)));
  }
  function choose(index) {
    chosen = (index + found.length) % found.length;
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
    input.setAttribute("aria-activedescendant", `${id}-${chosen}`);
  }
  function accept(index) {
    const at = input.selectionStart, word = wordAt();
    input.setRangeText(found[index][0] + " ", at - word.length, at, "end");
    close();
    check();
  }
  async function say(parameters) {
    const answer = await ask("check", parameters).catch(() => ({}));
    if (parameters.get("where") !== input.value) return true;
    wrong.replaceChildren();
    input.setAttribute("aria-invalid", String(Boolean(answer.problem)));
    if (!answer.problem) return true;
    make(wrong, "p", {}, answer.problem);
    if (answer.at !== undefined) make(wrong, "pre", { "aria-hidden": "true" }, input.value + "\n" + " ".repeat(answer.at) + "^");
    return false;
  }
  function check() {
    clearTimeout(checking);
    checking = setTimeout(() => say(new URLSearchParams({ where: input.value })), 300);
  }
  input.addEventListener("input", () => { complete(); check(); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", async (event) => {
    if (!list.hidden && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      choose(event.key === "ArrowDown" ? chosen + 1 : chosen < 0 ? found.length - 1 : chosen - 1);
    } else if (!list.hidden && (event.key === "Tab" || (event.key === "Enter" && chosen >= 0))) {
      event.preventDefault();
      accept(Math.max(0, chosen));
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      close();
    } else if (event.key === "Enter") {
      clearTimeout(checking);
      const where = input.value.trim();
      close();
      if (!where || (await say(new URLSearchParams({ where: input.value })))) apply(where);
    }
  });
  if (text) say(new URLSearchParams({ where: text }));
}
