// Lines over an axis. The legend is the readout: it says the last values, or those under the cursor.

import { axis } from "./axis.js";
import { h, number, put, s } from "./dom.js";

const HEIGHT = 190;
const MARGIN = { left: 62, right: 14, top: 10, bottom: 24 };
const N_COLOURS = 8;
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

/** All charts on the page with the same cursor. */
const together = new Set();

/** Makes an empty chart; `draw` puts lines into it, each `{name, x, y, last, colour, dash}` in order of x. */
export function chart(title, choose = undefined) {
  const legend = h("ul", { class: "legend" });
  const picture = s("svg", { role: "img" });
  const canvas = h("div", { class: "canvas", tabindex: "0", role: "group", "aria-label": `${title}; arrow keys move along the points` }, picture);
  const said = h("p", { class: "unseen", "aria-live": "polite" });
  const node = h("figure", { class: "chart" }, h("figcaption", {}, title), legend, canvas, said);
  const self = { node, lines: [], options: {}, at: null };

  self.draw = (lines, options = {}) => {
    Object.assign(self, { lines: lines.filter((line) => line.x.length > 0), options });
    redraw();
  };
  self.point = (x) => {
    self.at = x;
    drawLegend(self, legend);
    if (self.cursor) drawCursor(self);
  };
  const redraw = () => {
    drawLines(self, picture, canvas.clientWidth || 360, title);
    drawLegend(self, legend);
    if (self.at !== null) drawCursor(self);
  };
  new ResizeObserver(() => self.width !== canvas.clientWidth && redraw()).observe(canvas);
  listen(self, canvas, said, choose);
  together.add(self);
  return self;
}

/** Forgets the charts that are no longer shown. */
export function forgetCharts() {
  together.clear();
}

function listen(self, canvas, said, choose) {
  const point = (x) => together.forEach((other) => other.point(other.options.x === self.options.x ? x : null));
  let pressed = null;
  const value = (event) => self.x?.value(event.clientX - canvas.getBoundingClientRect().left);
  canvas.addEventListener("pointermove", (event) => point(value(event)));
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("pointerdown", (event) => (pressed = event.pointerType === "mouse" ? event.clientX : null));
  canvas.addEventListener("pointerup", (event) => {
    if (pressed === null || !choose || !self.x) return;
    const left = canvas.getBoundingClientRect().left;
    const ends = [pressed, event.clientX].map((pixel) => self.x.value(pixel - left)).sort((a, b) => a - b);
    if (Math.abs(event.clientX - pressed) > 8) choose(ends);
    pressed = null;
  });
  canvas.addEventListener("keydown", (event) => {
    const all = [...new Set(self.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    const now = all.findIndex((x) => x >= (self.at ?? Infinity));
    const last = all.length - 1;
    const to = { ArrowRight: now < 0 ? 0 : now + 1, ArrowLeft: now < 0 ? last : now - 1, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    point(all[Math.min(last, Math.max(0, to))]);
    put(said, describe(self));
  });
}

/** What stands at the cursor, in words. */
function describe(self) {
  const values = self.lines.map((line) => `${line.name} ${number(line.y[nearest(line.x, self.at)])}`);
  return `${self.options.xWords ?? "step"} ${number(self.at)}: ${values.join(", ")}`;
}

function nearest(all, wanted) {
  let best = 0;
  for (let i = 1; i < all.length; i++) if (Math.abs(all[i] - wanted) < Math.abs(all[best] - wanted)) best = i;
  return best;
}

function extent(values, isLog) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (isLog && value <= 0) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : [isLog ? 0.1 : 0, 1];
}

function drawLines(self, picture, width, title) {
  const { lines, options } = self;
  self.width = width;
  const [xLow, xHigh] = extent(lines.flatMap((line) => line.x), options.xLog);
  let [yLow, yHigh] = options.within ?? extent(lines.flatMap((line) => line.y), options.yLog);
  if (options.fromZero && yLow > 0) yLow = 0;
  const x = (self.x = axis(xLow, xHigh, MARGIN.left, width - MARGIN.right, options.xLog));
  const y = (self.y = axis(yLow, yHigh, HEIGHT - MARGIN.bottom, MARGIN.top, options.yLog));
  const isEmpty = lines.length === 0;
  const parts = (isEmpty ? [] : y.ticks).flatMap(({ at, label }) => [
    s("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y.place(at), y2: y.place(at) }),
    s("text", { x: MARGIN.left - 6, y: y.place(at) + 4, "text-anchor": "end" }, label),
  ]);
  const ticks = (isEmpty ? [] : x.ticks).filter(({ at }) => x.place(at) < width - 20);
  parts.push(ticks.map(({ at, label }) => s("text", { x: x.place(at), y: HEIGHT - 6, "text-anchor": "middle" }, label)));
  // The first is what matters most: it is drawn over the others.
  parts.push(lines.toReversed().map((line) => drawLine(line, x, y, options)));
  self.cursor = s("g", { class: "cursor" });
  picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  picture.setAttribute("height", HEIGHT);
  picture.setAttribute("aria-label", `${title}: ${lines.map((line) => `${line.name}, last ${number(line.last)}`).join("; ") || "not measured"}`);
  put(picture, parts.flat(), self.cursor);
}

function drawLine(line, x, y, options) {
  const name = `line c${line.colour % N_COLOURS}`;
  const seen = line.x.map((_, i) => i).filter((i) => (!options.xLog || line.x[i] > 0) && (!options.yLog || line.y[i] > 0));
  const at = (i) => `${x.place(line.x[i]).toFixed(1)} ${y.place(line.y[i]).toFixed(1)}`;
  const path = s("path", { class: name, d: seen.map((i, n) => `${n === 0 ? "M" : "L"}${at(i)}`).join(""), "stroke-dasharray": DASHES[line.dash % DASHES.length] });
  const dots = seen.length <= 24 ? seen.map((i) => s("circle", { class: name, cx: x.place(line.x[i]), cy: y.place(line.y[i]), r: 2.5 })) : [];
  return [path, ...dots];
}

function drawLegend(self, legend) {
  const { lines, at } = self;
  const item = (line) =>
    h(
      "li",
      {},
      s("svg", { class: "key", viewBox: "0 0 18 8", "aria-hidden": "true" }, s("line", { class: `line c${line.colour % N_COLOURS}`, x1: 0, x2: 18, y1: 4, y2: 4, "stroke-dasharray": DASHES[line.dash % DASHES.length] })),
      h("span", {}, line.name),
      h("b", {}, number(at === null ? line.last : line.y[nearest(line.x, at)])),
      line.n_not_finite > 0 && h("em", {}, `${line.n_not_finite} not finite`),
    );
  put(legend, lines.length === 0 ? h("li", { class: "empty" }, "not measured") : lines.map(item));
}

function drawCursor(self) {
  if (self.at === null || self.lines.length === 0) return put(self.cursor);
  const x = self.x.place(self.at);
  const dots = self.lines.map((line) => {
    const i = nearest(line.x, self.at);
    return s("circle", { class: `dot c${line.colour % N_COLOURS}`, cx: self.x.place(line.x[i]), cy: self.y.place(line.y[i]), r: 3.5 });
  });
  return put(self.cursor, s("line", { x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }), dots.filter((dot) => Number.isFinite(Number(dot.getAttribute("cy")))));
}
