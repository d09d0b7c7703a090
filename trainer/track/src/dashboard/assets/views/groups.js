// The groups of a step, and the rollouts of one prompt side by side.

import { choice, entry, form, nothing, table } from "../controls.js";
import { h, number, put, shown } from "../dom.js";
import { card, textBox } from "../rollout.js";
import { ask, latest } from "../server.js";

const SPREADS = ["mixed", "all right", "all wrong", "equal", "unjudged"];

export function show(root, context) {
  const step = entry("Step", "step", context, { type: "number", min: "0", class: "short", placeholder: "last" });
  const spread = choice("Groups", "spread", [["", "all"], ...SPREADS.map((word) => [word, word])], context);
  const moves = h("span", { class: "moves" });
  const group = h("section", { class: "group" });
  const list = h("section", { "aria-label": "Groups of the step" });
  root.append(h("h2", { class: "unseen" }, "Groups"), form("Step and groups", step.node, moves, spread.node), group, list);

  const path = (what) => `runs/${context.run.id}/${what}`;

  /** The step that is shown: the one asked for, or the last that has rollouts. */
  async function wantedStep(signal) {
    const { first_step: first, last_step: last } = (await ask("pulse", {}, signal))[context.run.id].rollouts;
    const wanted = Number(context.parameters.get("step") || last);
    const move = (to, words, enabled) =>
      h("button", { type: "button", disabled: !enabled, onclick: () => context.set({ step: to, group: "" }) }, words);
    put(moves, move(wanted - 1, "Earlier", wanted > first), move(wanted + 1, "Later", wanted < last), move("", "Last", wanted !== last));
    return last === null ? null : wanted;
  }

  const update = latest(async (signal) => {
    step.read();
    spread.read();
    const at = await wantedStep(signal);
    if (at === null) return put(group, nothing("There are no rollouts yet."));
    const all = await ask(path("groups"), { step: at }, signal);
    const wanted = context.parameters.get("spread");
    const groups = wanted ? all.filter((one) => one.spread === wanted) : all;
    put(list, groups.length === 0 ? nothing(all.length === 0 ? `Step ${at} has no rollouts.` : "No group of this step fits.") : groupTable(groups, all, at, context));
    const chosen = context.parameters.get("group") ?? groups[0]?.group;
    if (chosen === undefined) return put(group);
    try {
      put(group, groupBox(await ask(path("group"), { step: at, group: chosen }, signal), context));
    } catch (error) {
      if (!signal.aborted) put(group, nothing(error.message));
    }
    return undefined;
  });

  const renew = (different) => (different.includes(context.run.id) && !context.parameters.get("step") && !context.parameters.get("group") ? update() : undefined);
  return { update, renew };
}

/** How many of a group are right, as a bar and in digits. */
export function share(group) {
  return h(
    "span",
    { class: "share" },
    h("meter", { min: "0", max: String(group.n), value: String(group.n_right), "aria-hidden": "true" }),
    `${group.n_right} / ${group.n}`,
  );
}

function groupTable(groups, all, step, context) {
  const count = (word) => all.filter((group) => group.spread === word).length;
  const flat = count("all right") + count("all wrong") + count("equal");
  const words = `Step ${step}: ${all.length} groups, of which ${flat} without differences (${count("all right")} all right, ${count("all wrong")} all wrong) teach nothing`;
  const row = (group) => [
    h("a", { href: context.link("groups", { step, group: group.group, spread: context.parameters.get("spread") ?? "" }) }, `group ${group.group}`),
    share(group),
    h("span", { class: `spread ${group.spread.replace(" ", "-")}` }, group.spread),
    number(group.reward_mean),
    number(group.tokens_mean),
    shown(group.source),
    h("span", { class: "id" }, shown(group.task_id)),
  ];
  return table(words, ["Group", "Right", "Differences", "Mean reward", "Mean tokens", "Source", "Task"], groups.map(row));
}

function groupBox(group, context) {
  const [first] = group.rollouts;
  return [
    h(
      "header",
      { class: "group-head" },
      h("h3", {}, `Step ${group.step}, group ${group.group}: ${group.n_right} of ${group.n} right`),
      h("p", { class: "links" }, h("a", { href: context.link("prompt", { id: group.task_id }) }, "the same prompt across steps"), h("span", { class: "id" }, shown(group.task_id))),
    ),
    first && textBox("Prompt", first.prompt),
    first?.reference !== null && first?.reference !== undefined && textBox("Reference", first.reference),
    h("div", { class: "cards" }, group.rollouts.map(card)),
  ].filter(Boolean);
}
