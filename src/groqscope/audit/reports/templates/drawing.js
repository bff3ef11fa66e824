// What the report and the live page draw alike: the waterfall of a request, small bars, light and dark.
// No figure is computed here: every number that is shown is a text in the data.

const SVG = "http://www.w3.org/2000/svg";

export function make(parent, name, attributes = {}, text = null) {
  const svg = name === "svg" || (parent.namespaceURI === SVG && name !== "div");
  const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  parent.append(node);
  return node;
}

// Names and error codes differ at their ends, so they are cut in their middle.
export function middle(text, room) {
  if (text.length <= room) return text;
  const half = (room - 1) / 2;
  return text.slice(0, Math.ceil(half)) + "…" + text.slice(text.length - Math.floor(half));
}

export const remember = {
  get(key) { try { return localStorage.getItem("groqscope." + key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem("groqscope." + key, value); } catch { /* a page without storage forgets */ } },
};

// -- light and dark

export function switchTheme(button) {
  const root = document.documentElement;
  const known = remember.get("theme");
  if (known === "dark" || known === "light") root.dataset.theme = known;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remember.set("theme", root.dataset.theme);
    dispatchEvent(new Event("theme"));
  });
}

// -- the phases of a request as one small bar

export function miniBar(cell, phases) {
  const label = phases.map(([name, , text]) => name + " " + text).join(", ") || "no phases known";
  const mini = make(cell, "svg", { class: "mini", role: "img", "aria-label": label });
  make(mini, "title", {}, label);
  let at = 0;
  for (const [, share, , phase] of phases) {
    make(mini, "rect", { class: phase, x: at + "%", width: share + "%", height: "100%" });
    at += share;
  }
}

// -- the waterfall of one request; `words` has the unit, the headings of groups and the legend

const WEIGHTY = 20, NEGLIGIBLE = 5;
let drawings = 0;

export function drawFall(holder, detail, words) {
  holder.replaceChildren();
  const hatch = "hatch-" + ++drawings;
  const width = Math.max(300, holder.clientWidth || 800);
  const left = Math.min(170, Math.max(84, width * 0.2));
  const right = width < 520 ? 112 : 132, line = 24;
  const span = width - left - right;
  const x = (ns) => left + (detail.total ? Math.min(1, ns / detail.total) * span : 0);
  const svg = make(holder, "svg", { class: "fall", width, role: "list", "aria-label": "Waterfall of " + detail.head[0] });
  const pattern = make(make(svg, "defs"), "pattern", { id: hatch, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  make(pattern, "rect", { class: "stripe", width: 1.6, height: 5 });

  const fits = Math.max(1, Math.floor(span / 90));
  const step = fits >= 4 ? 1 : fits >= 2 ? 2 : 4;
  const grid = make(svg, "g", { "aria-hidden": "true" });
  detail.ticks.forEach((text, index) => {
    if (index % step) return;
    const at = left + (span * index) / 4;
    make(grid, "line", { class: "grid", x1: at, x2: at, y1: 20, y2: 20 });
    make(grid, "text", { class: "t", x: at, y: 13, "text-anchor": index === 0 ? "start" : index === 4 ? "end" : "middle" }, text);
  });
  make(grid, "text", { class: "t", x: 0, y: 13 }, "client, " + words.unit);
  make(grid, "text", { class: "t", x: width - 58, y: 13, "text-anchor": "end" }, words.unit);
  make(grid, "text", { class: "t", x: width, y: 13, "text-anchor": "end" }, "share");

  let y = 24, group = "client";
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
  function note(parent, text, room, below) {
    const lines = noteLines(text, room);
    lines.forEach((part, index) => make(parent, "text", { class: "note", x: left, y: below + index * 16 }, middle(part, Math.floor(room / 6.6))));
    return lines.length * 16;
  }
  // A bar in the colours of what it consists of.
  function bar(g, entry, at, size, indent) {
    const top = y + (indent ? 7 : 4), height = indent ? 9 : 15;
    const start = Math.min(at, left + span - 1.5), all = Math.min(size, left + span - start);
    if (indent) {
      make(g, "rect", { class: "length " + entry.phase, x: start + 0.5, y: top, width: Math.max(1, all - 1), height, rx: 2 });
      return;
    }
    if (entry.failed || !entry.made.length) {
      make(g, "rect", { class: "bar " + (entry.failed ? "bar-failed" : "plain"), x: start, y: top, width: all, height, rx: 2 });
      return;
    }
    const whole = entry.made.reduce((sum, [ns]) => sum + ns, 0);
    const box = make(g, "svg", { class: "bar", x: start, y: top, width: all, height });
    let from = 0;
    for (const [ns, phase] of entry.made) {
      const part = whole ? (ns / whole) * all : all / entry.made.length;
      make(box, "rect", { class: phase || "plain", x: from, width: part, height });
      from += part;
    }
  }
  function row(entry, indent = 0) {
    const label = [entry.name, entry.text === "-" ? "length not known" : entry.text + " " + words.unit, entry.share,
      entry.start === null ? "" : "from " + entry.from + " " + words.unit, entry.note].filter(Boolean).join(", ");
    const g = make(svg, "g", { class: "row", role: "listitem", "aria-label": label });
    make(g, "title", {}, label);
    make(g, "rect", { class: "hit", x: -6, y, width: width + 12, height: line, rx: 4 });
    const share = parseFloat(entry.share);
    const weight = entry.failed ? "bad" : indent ? "note" : share > WEIGHTY ? "weighty" : entry.share && !(share > NEGLIGIBLE) ? "note" : "";
    make(g, "text", { x: indent, y: y + 16, class: weight }, cut(entry.name, left - indent - 6));
    if (entry.length !== null && detail.total && (entry.start !== null || indent)) {
      const drawn = x(entry.start !== null ? entry.start : entry.at);
      const size = Math.max(1.5, Math.min(entry.length / detail.total, 1) * span);
      bar(g, entry, drawn, size, indent);
      let end = drawn + size;
      if (entry.tail) {
        const tail = Math.min((entry.tail / detail.total) * span, left + span - end);
        make(g, "rect", { fill: `url(#${hatch})`, x: end, y: y + 7, width: Math.max(0, tail), height: 9 });
        end += tail;
      }
      if (entry.note) {
        const room = left + span - end - 8, before = drawn - left - 8, need = entry.note.length * 6.6;
        if (need < room) make(g, "text", { class: "note", x: end + 7, y: y + 16 }, entry.note);
        else if (need < before) make(g, "text", { class: "note", x: drawn - 7, y: y + 16, "text-anchor": "end" }, entry.note);
        else entry.below = entry.note;
      }
    } else if (entry.note.length * 6.6 < span) make(g, "text", { class: "note", x: left, y: y + 16 }, entry.note);
    else entry.below = entry.note;
    make(g, "text", { x: width - 58, y: y + 16, "text-anchor": "end", class: weight }, entry.text);
    make(g, "text", { x: width, y: y + 16, "text-anchor": "end", class: weight === "weighty" ? weight : "note" }, entry.share);
    y += line;
    if (entry.below) y += note(make(svg, "g", { "aria-hidden": "true" }), entry.below, width - left, y + 11) + 2;
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
    const entry = { group: raw[0], name: raw[1], start: raw[2], length: raw[3], tail: raw[4], failed: raw[5], text: raw[6], share: raw[7], note: raw[8], parts: raw[9], made: raw[10], from: raw[11] };
    if (entry.group !== group) {
      if (group === "client") strip();
      group = entry.group;
      y += 14;
      make(svg, "text", { class: "heading", x: 0, y: y + 12 }, words.groups[group][0]);
      y += note(svg, words.groups[group][1], width - left, y + 12) + 2;
    }
    row(entry);
    let at = entry.start;
    for (const [name, ns, text, share, when, phase] of entry.parts) {
      row({ name, start: null, at, length: ns, tail: 0, failed: 0, text, share, note: when, made: [], phase }, 14);
      at += ns;
    }
  }
  if (group === "client") strip();
  for (const mark of grid.querySelectorAll("line")) mark.setAttribute("y2", y);
  y += note(svg, words.legend, width - left, y + 18) + 6;
  svg.setAttribute("height", y + 4);
  svg.setAttribute("viewBox", `0 0 ${width} ${y + 4}`);
}

export function fillDetail(panel, detail, acts, words) {
  panel.replaceChildren();
  const header = make(panel, "header");
  make(header, "h2", { id: "detail-title" }, detail.verdict);
  const buttons = make(header, "div", { class: "acts" });
  for (const [text, label, act] of acts) make(buttons, "button", { type: "button", "aria-label": label, title: label }, text).addEventListener("click", act);
  for (const [sentence, advice] of detail.causes) make(panel, "p", { class: "faint" }, sentence ? sentence + ". " + advice : advice);
  const head = make(panel, "div", { class: "head" });
  for (const text of detail.head) make(head, "span", { class: text === "error" || text === "truncated" ? "bad" : "" }, text);
  const holder = make(panel, "div");
  drawFall(holder, detail, words);
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
  for (const text of detail.notes) make(panel, "p", { class: "faint small" }, text);
  return holder;
}
