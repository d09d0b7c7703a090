// Counts by step and value, drawn as a map; the mean runs through it.

import { axis } from "./axis.js";
import { h, number, put, s } from "./dom.js";

const HEIGHT = 300;
const MARGIN = { left: 64, right: 14, top: 10, bottom: 28 };

/** Makes an empty map; `draw` takes what the server says of a distribution. */
export function heat(title) {
  const picture = s("svg", { role: "img" });
  const canvas = h("div", { class: "canvas" }, picture);
  const said = h("p", { class: "readout", role: "status" });
  const node = h("figure", { class: "chart wide" }, h("figcaption", {}, title), canvas, said);
  const self = { node, answer: null, words: title };
  const redraw = () => self.answer && drawMap(self, picture, canvas.clientWidth || 600, said);
  self.draw = (answer, words) => {
    Object.assign(self, { answer, words });
    redraw();
  };
  new ResizeObserver(() => self.width !== canvas.clientWidth && redraw()).observe(canvas);
  return self;
}

function drawMap(self, picture, width, said) {
  const { columns, edges, counts, means } = self.answer;
  self.width = width;
  picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  picture.setAttribute("height", HEIGHT);
  if (columns.length === 0) return put(picture);
  const low = edges[0];
  const high = edges[edges.length - 1];
  const y = axis(low, high, HEIGHT - MARGIN.bottom, MARGIN.top, false);
  const each = (width - MARGIN.left - MARGIN.right) / columns.length;
  const left = (i) => MARGIN.left + i * each;
  const shareOf = (bins) => bins.map((n) => n / bins.reduce((sum, one) => sum + one, 0));
  const most = Math.max(...counts.flatMap(shareOf));
  const cells = counts.flatMap((bins, i) => {
    const shares = shareOf(bins);
    return bins.flatMap((n, j) => {
      if (n === 0) return [];
      const [top, bottom] = [y.place(edges[j + 1]), y.place(edges[j])];
      const cell = s("rect", { class: "cell", x: left(i), y: top, width: each, height: bottom - top });
      // The root keeps rare values visible beside common ones.
      cell.style.opacity = String(0.06 + 0.94 * Math.sqrt(shares[j] / most));
      return [cell];
    });
  });
  const middle = means.map((mean, i) => [left(i) + each / 2, mean]).filter(([, mean]) => mean !== null);
  const path = middle.map(([x, mean], i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.place(mean).toFixed(1)}`).join("");
  // On a rim, so that it is seen on light and dark cells.
  const line = ["rim", "c1"].map((name) => s("path", { class: `line mean ${name}`, d: path }));
  const ticks = y.ticks.map(({ at, label }) => s("text", { x: MARGIN.left - 6, y: y.place(at) + 4, "text-anchor": "end" }, label));
  const every = Math.max(1, Math.ceil(columns.length / Math.max(2, Math.floor(width / 90))));
  const steps = columns.flatMap(([first], i) => (i % every === 0 && left(i) < width - 30 ? [s("text", { x: left(i) + each / 2, y: HEIGHT - 8, "text-anchor": "middle" }, number(first))] : []));
  picture.setAttribute("aria-label", `${self.words} by step: mean ${number(means[0])} at step ${columns[0][0]}, ${number(means[means.length - 1])} at step ${columns[columns.length - 1][1]}`);
  put(picture, cells, line, ticks, steps);
  picture.onpointermove = (event) => {
    const i = Math.floor((event.clientX - picture.getBoundingClientRect().left - MARGIN.left) / each);
    if (i < 0 || i >= columns.length) return;
    const value = y.value(event.clientY - picture.getBoundingClientRect().top);
    const j = edges.findIndex((edge, n) => edge <= value && value < edges[n + 1]);
    const range = columns[i][0] === columns[i][1] ? `step ${columns[i][0]}` : `steps ${columns[i].join(" to ")}`;
    put(said, `${range}: mean ${number(means[i])}${j >= 0 ? `; ${counts[i][j]} from ${number(edges[j])} to ${number(edges[j + 1])}` : ""}`);
  };
  return undefined;
}
