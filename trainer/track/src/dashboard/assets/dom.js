// Elements out of text. Nothing here or elsewhere reads markup: what a model wrote can only become text.

/** Makes an element; names of properties are this program's own, values may be anything. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Makes an element of a drawing. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** Replaces what is in a node. */
export function put(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

// Control characters but line ends and tabs, and those that hide text or turn it round: the same as in the terminal.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Text that somebody else wrote, such that all of it is seen and none of it reorders its neighbours. */
export function shown(text) {
  const parts = [];
  let from = 0;
  const whole = String(text ?? "");
  for (const match of whole.matchAll(HIDDEN)) {
    parts.push(whole.slice(from, match.index));
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    parts.push(h("span", { class: "code", title: `the character U+${code}` }, `U+${code}`));
    from = match.index + match[0].length;
  }
  parts.push(whole.slice(from));
  return h("bdi", {}, parts.filter((part) => part !== ""));
}

/** The same as one string, for where only text can stand. */
export function plain(text) {
  return shown(text).textContent;
}

/** A number for people: four digits that count. */
export function number(value, missing = "–") {
  // Where JSON has no number, as for NaN, it is written as a word.
  if (typeof value === "string") return plain(value);
  if (value === null || value === undefined || !Number.isFinite(value)) return missing;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace("e+", "e").replace("-", "−");
  if (Number.isInteger(value)) return value.toLocaleString("en").replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** A share as percent. */
export function percent(value) {
  return Number.isFinite(value) ? `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %` : "–";
}

/** Seconds in the unit that fits. */
export function seconds(value) {
  if (!Number.isFinite(value)) return "–";
  if (value < 1e-3) return `${number(value * 1e6)} µs`;
  if (value < 1) return `${number(value * 1e3)} ms`;
  return value < 120 ? `${number(value)} s` : value < 7200 ? `${number(value / 60)} min` : `${number(value / 3600)} h`;
}
