// Labelled inputs that write what they say into the address, so that a view can be linked to and gone back to.

import { h, put } from "./dom.js";

/** A labelled choice; `options` are pairs of value and words. */
export function choice(label, name, options, context) {
  const select = h("select", { name, onchange: () => context.set({ [name]: select.value, offset: "" }) });
  const control = {
    node: h("label", { class: "field" }, h("span", {}, label), select),
    offer(pairs) {
      const known = context.parameters.get(name) ?? "";
      put(select, pairs.map(([value, words]) => h("option", { value }, words)));
      if (known && !pairs.some(([value]) => value === known)) select.append(h("option", { value: known }, known));
      select.value = known;
    },
    read() {
      select.value = context.parameters.get(name) ?? "";
    },
  };
  control.offer(options);
  return control;
}

/** A labelled line of text or number that counts when it is entered or, after a moment, typed. */
export function entry(label, name, context, properties = {}) {
  let timer;
  const commit = () => {
    clearTimeout(timer);
    if ((context.parameters.get(name) ?? "") !== input.value) context.set({ [name]: input.value, offset: "" });
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(commit, 350);
  };
  const input = h("input", { name, type: "text", autocomplete: "off", spellcheck: "false", ...properties, onchange: commit, oninput: later });
  return {
    node: h("label", { class: "field" }, h("span", {}, label), input),
    read() {
      if (document.activeElement !== input) input.value = context.parameters.get(name) ?? "";
    },
  };
}

/** A form that never leaves the page. */
export function form(label, ...children) {
  return h("form", { class: "filters", "aria-label": label, onsubmit: (event) => event.preventDefault() }, children);
}

/** A table that scrolls by itself where it is too wide. */
export function table(caption, heads, rows) {
  const cell = (tag, content) =>
    h(tag, { class: typeof content === "number" ? "number" : undefined, scope: tag === "th" ? "col" : undefined }, content);
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => cell("th", head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((content) => cell("td", content))))),
    ),
  );
}

/** Says that something is not there, or went wrong. */
export function nothing(words) {
  return h("p", { class: "empty" }, words);
}
