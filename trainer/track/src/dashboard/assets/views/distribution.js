// How rewards, outcomes, lengths and groups are distributed, and how that changes.

import { choice, entry, form, nothing, table } from "../controls.js";
import { h, number, plain, put } from "../dom.js";
import { heat } from "../heat.js";
import { ask, latest } from "../server.js";

const MEASURES = [
  ["", "reward"],
  ["outcome", "outcome"],
  ["group_right", "share of a group that is right"],
  ["n_tokens", "length in tokens"],
  ["advantage", "advantage"],
  ["logp_mean", "mean log-probability"],
  ["entropy_mean", "mean entropy"],
  ["verify_s", "seconds of judging"],
];

export function show(root, context) {
  const of = choice("Of", "of", MEASURES, context);
  const source = choice("Source", "source", [["", "all"]], context);
  const finding = choice("Finding", "finding", [["", "all"]], context);
  const steps = { type: "number", min: "0", class: "short" };
  const controls = [of, source, finding, entry("From step", "from", context, steps), entry("to step", "to", context, steps)];
  const map = heat("Distribution by step");
  const words = h("p", { class: "count", role: "status" });
  const means = h("details", {}, h("summary", {}, "The same in numbers"), h("div", {}));
  root.append(h("h2", { class: "unseen" }, "Distributions"), form("What is distributed", controls.map((one) => one.node)), words, map.node, means);

  const update = latest(async (signal) => {
    const path = (what) => `runs/${context.run.id}/${what}`;
    const facets = await ask(path("facets"), {}, signal);
    const pairs = (all) => [["", "all"], ...all.map((word) => [word, plain(word)])];
    source.offer(pairs(facets.sources));
    finding.offer(pairs(facets.findings));
    controls.forEach((control) => control.read());
    const chosen = Object.fromEntries(["of", "source", "finding", "from", "to"].map((name) => [name, context.parameters.get(name)]));
    const answer = await ask(path("distribution"), chosen, signal);
    const name = MEASURES.find(([value]) => value === (chosen.of ?? ""))?.[1] ?? chosen.of;
    const unit = chosen.of === "group_right" ? "groups" : "rollouts";
    const missing = answer.n_missing > 0 ? `; ${answer.n_missing.toLocaleString("en")} without a value` : "";
    put(words, `${name}: ${answer.n.toLocaleString("en")} ${unit}${missing}. Darker is more of a step; the line is the mean.`);
    map.draw(answer, name);
    const label = ([first, last]) => (first === last ? String(first) : `${first} to ${last}`);
    const row = (column, i) => [label(column), number(answer.means[i]), answer.counts[i].reduce((sum, n) => sum + n, 0), ...quartiles(answer, i).map((value) => number(value))];
    put(means.lastChild, answer.columns.length === 0 ? nothing("There is nothing to count.") : table(name, ["Steps", "Mean", "Number", "Lower quarter", "Median", "Upper quarter"], answer.columns.map(row)));
  });

  const renew = (different) => (different.includes(context.run.id) ? update() : undefined);
  return { update, renew };
}

/** Quartiles as far as the bins tell: the middle of the bin in which each lies. */
function quartiles({ counts, edges }, column) {
  const total = counts[column].reduce((sum, n) => sum + n, 0);
  return [0.25, 0.5, 0.75].map((share) => {
    let seen = 0;
    const bin = counts[column].findIndex((n) => (seen += n) >= share * total && n > 0);
    return (edges[bin] + edges[bin + 1]) / 2;
  });
}
