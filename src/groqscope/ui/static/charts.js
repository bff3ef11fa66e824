// Charts over time by uPlot, in the colours of the style sheet.
import { make } from "./drawing.js";

// The release is a script that sets a global, and runs before the modules.
const { uPlot } = window;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export function colourOf(className) {
  const probe = document.createElement("span");
  probe.className = className;
  document.body.append(probe);
  const colour = getComputedStyle(probe).getPropertyValue("--phase").trim();
  probe.remove();
  return colour;
}
// `light-dark()` in a variable is resolved only where a property uses it.
function resolved(name) {
  const probe = document.createElement("span");
  probe.className = "probe " + name;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

const two = (number) => String(number).padStart(2, "0");
// Times are UTC, as in every report.
function clock(seconds, step) {
  const date = new Date(seconds * 1000);
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}` + (step < 60 ? `:${two(date.getUTCSeconds())}` : "");
}

const short = (value) => {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  if (size >= 1e6) return (value / 1e6).toFixed(1) + "M";
  if (size >= 1e5) return (value / 1e3).toFixed(0) + "k";
  return size >= 100 ? Math.round(value).toLocaleString("en") : size >= 10 ? value.toFixed(1) : size === 0 ? "0" : value.toFixed(2);
};

const BARS = uPlot.paths.bars({ size: [0.86, 24], align: 1, gap: 0 });
const HELD = 12; // points for which a moving mean stays what it was, where nothing happened

function held(rows) {
  let last = null, age = 0;
  return rows.map((row) => {
    age = row ? 0 : age + 1;
    last = row ?? (age < HELD ? last : null);
    return last;
  });
}

// `series`: [{ label, colour, dash, bars, values(row) }]; stacked ones lie on each other.
export function chart(parent, { title, unit, series, stacked = false, height = 190 }) {
  const figure = make(parent, "figure", { class: "chart" });
  const caption = make(figure, "figcaption");
  make(caption, "h2", {}, title);
  make(caption, "span", { class: "faint" }, unit);
  const holder = make(figure, "div", { class: "plot", role: "img", "aria-label": title });
  const legend = make(figure, "div", { class: "legend" });
  let plot = null, raw = [], width = 0, appeared = "";
  const happened = (index) => !stacked || (raw[index + 1] ?? []).some((value) => value > 0);

  function build(data) {
    plot?.destroy();
    holder.replaceChildren();
    appeared = series.map((_, index) => happened(index)).join();
    legend.replaceChildren();
    const axis = { stroke: resolved("faint"), grid: { stroke: resolved("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const entries = series.map((one) => {
      const item = make(legend, "span", happened(series.indexOf(one)) ? {} : { hidden: "" });
      const swatch = make(make(item, "svg", { class: "swatch", "aria-hidden": "true" }), "rect", { width: "100%", height: "100%" });
      if (one.dash) swatch.setAttribute("fill-opacity", ".45");
      swatch.setAttribute("fill", one.colour());
      make(item, "span", {}, one.label);
      return make(item, "b", {}, "");
    });
    const order = stacked ? [...series.keys()].reverse() : [...series.keys()];
    const options = {
      width: Math.max(240, holder.clientWidth), height,
      legend: { show: false },
      cursor: { y: false, points: { size: 5 }, sync: { key: "live" } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      padding: [8, 20, 0, 0],
      scales: { x: { time: true }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [{ ...axis, space: 70, size: 30, values: (u, ticks, index, space, step) => ticks.map((at) => clock(at, step)) }, { ...axis, size: 46, values: (u, ticks) => ticks.map(short) }],
      series: [{}, ...order.map((index) => {
        const one = series[index];
        return { stroke: one.colour(), width: stacked || one.bars ? 0 : 1.75, dash: one.dash, fill: stacked || one.bars ? one.colour() : undefined, paths: one.bars ? BARS : undefined, points: { show: false }, spanGaps: !stacked && !one.dash };
      })],
      hooks: { setCursor: [(u) => say(entries, u.cursor.idx)] },
    };
    plot = new uPlot(options, data, holder);
    width = holder.clientWidth;
    say(entries, null);
  }
  function say(entries, index) {
    const at = index ?? (raw[0]?.length ?? 0) - 1;
    entries.forEach((entry, place) => { entry.textContent = index === null || index === undefined ? "" : short(raw[place + 1]?.[at]); });
  }
  function shown() {
    if (!stacked) return raw;
    const sums = raw[0].map(() => 0);
    const silent = raw[0].map((_, index) => raw.slice(1).every((values) => values[index] === null));
    const layers = raw.slice(1).map((values) => values.map((value, index) => (silent[index] ? null : (sums[index] += value ?? 0))));
    return [raw[0], ...layers.reverse()];
  }
  const rebuild = () => { if (plot) build(shown()); };
  addEventListener("theme", rebuild);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", rebuild);
  const seen = new ResizeObserver(() => { if (plot && holder.clientWidth !== width && holder.clientWidth) { width = holder.clientWidth; plot.setSize({ width, height }); } });
  seen.observe(holder);
  return {
    set(times, rows) {
      const known = stacked ? held(rows) : rows;
      raw = [times, ...series.map((one) => known.map((row) => (row ? one.values(row) : one.empty ?? null)))];
      if (plot && appeared === series.map((_, index) => happened(index)).join()) plot.setData(shown());
      else build(shown());
      const last = series.map((one, index) => `${one.label} ${short([...raw[index + 1]].reverse().find((value) => value !== null))}`).join(", ");
      holder.setAttribute("aria-label", `${title}, ${unit}, latest: ${last}`);
    },
    close() { removeEventListener("theme", rebuild); dark.removeEventListener("change", rebuild); seen.disconnect(); plot?.destroy(); },
  };
}
export const variable = (name) => () => resolved(name);
export { css };
