// A rollout, in a list and in full.

import { h, number, seconds, shown } from "./dom.js";

/** `right`, `wrong` or `unjudged`. */
export function standing(rollout) {
  if (rollout.outcome === null || rollout.outcome === undefined) return "unjudged";
  return rollout.outcome >= 1 - 1e-6 ? "right" : "wrong";
}

/** How a rollout was judged, as a word with a colour. */
export function badge(rollout) {
  const word = standing(rollout);
  return h("span", { class: `badge ${word}` }, word === "unjudged" ? "not judged" : word);
}

/** The findings of its verdicts. */
export function findings(rollout) {
  const verdicts = Object.entries(rollout.verdicts ?? {});
  const word = ([name, verdict]) => {
    const finding = verdict.finding ?? verdict.outcome;
    return verdicts.length > 1 ? `${name}: ${finding}` : finding;
  };
  return verdicts.length > 0 ? verdicts.map(word).join(" · ") : (rollout.finding ?? "");
}

/** Numbers of a rollout as pairs. */
function facts(rollout) {
  const stop = { eos: "by itself", length: "cut off", stop: "at a stop text" }[rollout.stop] ?? rollout.stop;
  return [
    ["reward", number(rollout.reward)],
    ["advantage", number(rollout.advantage)],
    ["tokens", number(rollout.n_tokens)],
    ["ended", shown(stop)],
  ];
}

function more(rollout) {
  return [
    ["policy version", number(rollout.policy_version)],
    ["mean log-probability", number(rollout.logp_mean)],
    ["mean entropy", number(rollout.entropy_mean)],
    rollout.mismatch !== undefined && ["mismatch", number(rollout.mismatch)],
    ["prompt tokens", number(rollout.n_prompt)],
    ["judged in", seconds(rollout.verify_s)],
  ].filter(Boolean);
}

function pairs(all, name = "facts") {
  return h("dl", { class: name }, all.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value))));
}

/** Text of a model or a task, in a box of its own. */
export function textBox(label, text, name = "text") {
  return h("section", { class: name }, h("h4", {}, label), h("pre", {}, shown(text)));
}

/** The line of a list that opens into the whole rollout. */
export function row(rollout, open) {
  const place = `step ${rollout.step} · group ${rollout.group} · sample ${rollout.sample}`;
  const details = h(
    "details",
    { class: `rollout ${standing(rollout)}` },
    h(
      "summary",
      {},
      h("span", { class: "head" }, badge(rollout), h("span", { class: "finding" }, shown(findings(rollout))), h("span", { class: "place" }, place)),
      pairs(facts(rollout)),
      h("span", { class: "preview" }, h("span", { class: "of-prompt" }, shown(rollout.prompt)), h("span", { class: "of-completion" }, shown(rollout.completion))),
    ),
    h("div", { class: "whole" }),
  );
  details.addEventListener("toggle", () => {
    if (details.open) open(rollout, details.querySelector(".whole"));
  });
  return details;
}

/** A rollout with everything that is known of it. */
export function whole(rollout, links = []) {
  const parts = Object.entries(rollout.parts ?? {});
  return [
    h("p", { class: "links" }, links),
    textBox("Prompt", rollout.prompt),
    textBox("Completion", rollout.completion, "text completion"),
    rollout.reference !== null && rollout.reference !== undefined && textBox("Reference", rollout.reference),
    h(
      "div",
      { class: "columns" },
      h("section", {}, h("h4", {}, "Measured"), pairs(more(rollout), "facts long")),
      parts.length > 0 && h("section", {}, h("h4", {}, "Parts of the reward"), pairs(parts.map(([name, value]) => [shown(name), number(value)]), "facts long")),
      Object.entries(rollout.verdicts ?? {}).map(verdictBox),
    ),
  ];
}

function verdictBox([name, verdict]) {
  const value = (one) => (typeof one === "number" ? number(one) : shown(typeof one === "string" ? one : JSON.stringify(one, null, 1)));
  const all = Object.entries(verdict).filter(([, one]) => one !== null).map(([key, one]) => [shown(key), value(one)]);
  return h("section", {}, h("h4", {}, "Verdict of ", shown(name)), pairs(all, "facts long"));
}

/** A rollout as one column among its siblings. */
export function card(rollout) {
  return h(
    "article",
    { class: `card ${standing(rollout)}`, "aria-label": `sample ${rollout.sample}` },
    h("header", {}, badge(rollout), h("span", { class: "finding" }, shown(findings(rollout))), h("span", { class: "place" }, `sample ${rollout.sample}`)),
    pairs(facts(rollout)),
    h("pre", { tabindex: "0", "aria-label": `completion of sample ${rollout.sample}` }, shown(rollout.completion)),
    h("details", {}, h("summary", {}, "Measured and judged"), pairs(more(rollout), "facts long"), Object.entries(rollout.verdicts ?? {}).map(verdictBox)),
  );
}
