// One request: why it took so long, its waterfall, and everything that is known of it.
import { drawFall, fillDetail, make } from "./drawing.js";
import { asking, exports, inTerminal, nothing } from "./data.js";
import { lastList } from "./requests.js";

export function request(main, shell, parameters, id) {
  const asked = asking();
  const panel = make(main, "article", { class: "detail whole", "aria-busy": "true" });
  let redraw = () => {}, resizing = 0;
  const back = () => (lastList.restore ? history.back() : shell.go(lastList.address));
  async function step(by) {
    const place = lastList.place + by;
    const next = lastList.neighbour ? await lastList.neighbour(place) : null;
    if (!next) return;
    lastList.place = place;
    shell.go("/requests/" + encodeURIComponent(next), { replace: true });
  }
  const resized = () => { cancelAnimationFrame(resizing); resizing = requestAnimationFrame(() => redraw()); };
  addEventListener("resize", resized);

  asked.ask("requests/" + encodeURIComponent(id)).then((data) => {
    if (!data) return;
    if (data.problem) {
      panel.remove();
      nothing(main, data);
      return;
    }
    shell.title(data.head[1] + " " + data.head[0]);
    const acts = [["↑", "Previous request", () => step(-1)], ["↓", "Next request", () => step(1)], ["✕", "Back to the list", back]];
    const holder = fillDetail(panel, data, lastList.neighbour ? acts : acts.slice(2), data.words);
    panel.setAttribute("aria-busy", "false");
    panel.querySelector("h2").setAttribute("role", "heading");
    panel.querySelector("h2").setAttribute("aria-level", "1");
    redraw = () => drawFall(holder, data, data.words);
    if (data.usual) make(panel, "p", { class: "faint small" }, "compared with " + data.usual);
    if (data.run) make(make(panel, "p"), "a", { href: "/runs/" + data.run }, "its run");
    for (const [title, pairs] of [["Content, as it was recorded", data.content], ["All attributes of its span", data.attributes]]) {
      if (!pairs.length) continue;
      const box = make(panel, "details", { class: "more" });
      make(box, "summary", {}, title);
      const list = make(box, "dl", { class: "facts plain" });
      for (const [name, value] of pairs) {
        make(list, "dt", {}, name);
        make(make(list, "dd"), pairs === data.content ? "pre" : "span", {}, value);
      }
    }
    const foot = make(panel, "footer", { class: "foot" });
    exports(foot, "request", new URLSearchParams({ id: data.id }), ["html", "json", "csv"]);
    inTerminal(foot, data.command);
    redraw();
  });
  return {
    key(event) {
      if (event.target.closest?.("input, select, textarea")) return false;
      if (event.key === "Escape") { back(); return true; }
      if (event.key === "j" || event.key === "ArrowDown") { if (!lastList.neighbour) return false; event.preventDefault(); step(1); return true; }
      if (event.key === "k" || event.key === "ArrowUp") { if (!lastList.neighbour) return false; event.preventDefault(); step(-1); return true; }
      return false;
    },
    close() { asked.stop(); removeEventListener("resize", resized); },
  };
}
