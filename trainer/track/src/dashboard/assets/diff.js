// What changed between two texts, word by word.

import { h, shown } from "./dom.js";

/** Longer texts are compared by lines, or not at all: the table below grows with the product of both. */
const MOST_CELLS = 4_000_000;

/** Two texts as one, with what is only in the first struck out and what is only in the second marked. */
export function difference(before, after) {
  const cuts = [/(\s+)/, /(\n)/].map((cut) => [before, after].map((text) => text.split(cut).filter((part) => part !== "")));
  const [a, b] = cuts.find(([one, other]) => one.length * other.length <= MOST_CELLS) ?? [[before], [after]];
  const parts = [];
  const add = (kind, text) => {
    const last = parts[parts.length - 1];
    if (last?.kind === kind) last.text += text;
    else parts.push({ kind, text });
  };
  const length = common(a, b);
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      add("same", a[i++]);
      j++;
    } else if (j >= b.length || (i < a.length && length(i + 1, j) >= length(i, j + 1))) {
      add("del", a[i++]);
    } else {
      add("ins", b[j++]);
    }
  }
  return h("pre", { class: "diff" }, parts.map(({ kind, text }) => (kind === "same" ? shown(text) : h(kind, {}, shown(text)))));
}

/** The length of the longest common part of what follows places `i` and `j`. */
function common(a, b) {
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  return (i, j) => lengths[i * width + j];
}
