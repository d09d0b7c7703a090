// One prompt across steps: how often it is solved, and how the answers changed.

import { entry, form, nothing, table } from "../controls.js";
import { difference } from "../diff.js";
import { h, number, put, shown } from "../dom.js";
import { badge, textBox } from "../rollout.js";
import { ask, latest } from "../server.js";
import { share } from "./groups.js";

export function show(root, context) {
  const find = entry("Find a task", "task", context, { type: "search", placeholder: "part of its id" });
  const tasks = h("section", { "aria-label": "Tasks" });
  const body = h("section", { class: "group" });
  root.append(h("h2", { class: "unseen" }, "One prompt across steps"), form("Task", find.node), body, tasks);
  const path = (what) => `runs/${context.run.id}/${what}`;

  async function offerTasks(signal) {
    const all = await ask(path("tasks"), { text: context.parameters.get("task"), limit: 50 }, signal);
    const row = (task) => [
      h("a", { class: "id", href: context.link("prompt", { id: task.task_id, task: context.parameters.get("task") ?? "" }) }, shown(task.task_id)),
      task.n_groups,
      `${task.first_step} to ${task.last_step}`,
    ];
    put(tasks, all.length === 0 ? nothing("No task fits.") : table("Tasks, the most often drawn first", ["Task", "Groups", "Steps"], all.map(row)));
    return all[0]?.task_id;
  }

  const update = latest(async (signal) => {
    find.read();
    const first = await offerTasks(signal);
    const id = context.parameters.get("id") ?? first;
    if (id === undefined) return put(body);
    const groups = await ask(path("task"), { id }, signal);
    if (groups.length === 0) return put(body, nothing("This task was not drawn yet."));
    const place = (name, otherwise) => groups.find((group) => `${group.step}.${group.group}` === context.parameters.get(name)) ?? otherwise;
    const [before, after] = [place("before", groups[0]), place("after", groups[groups.length - 1])];
    const whole = (group) => ask(path("group"), { step: group.step, group: group.group }, signal);
    const [one, other] = await Promise.all([whole(before), whole(after)]);
    return put(body, compare(id, groups, one, other, context));
  });

  const renew = () => undefined;
  return { update, renew };
}

function compare(id, groups, before, after, context) {
  const pick = (name, chosen) => {
    const select = h("select", { onchange: () => context.set({ id, [name]: select.value }) });
    select.append(...groups.map((group) => h("option", { value: `${group.step}.${group.group}` }, `step ${group.step}: ${group.n_right} / ${group.n}`)));
    select.value = `${chosen.step}.${chosen.group}`;
    return h("label", { class: "field" }, h("span", {}, name === "before" ? "Before" : "After"), select);
  };
  const [old] = before.rollouts;
  const [young] = after.rollouts;
  const side = (group, rollout) =>
    h("p", {}, `Step ${group.step}, the best of ${group.n}: `, badge(rollout), ` reward ${number(rollout.reward)}, ${number(rollout.n_tokens)} tokens · `, h("a", { href: context.link("groups", { step: group.step, group: group.group }) }, "its group"));
  const row = (group) => [h("a", { href: context.link("groups", { step: group.step, group: group.group }) }, `step ${group.step}`), share(group), number(group.reward_mean), number(group.tokens_mean)];
  const differ = before.step !== after.step || before.group !== after.group;
  return [
    h("header", { class: "group-head" }, h("h3", {}, `Drawn in ${groups.length} ${groups.length === 1 ? "group" : "groups"}`), h("p", { class: "id" }, shown(id))),
    young && textBox("Prompt", young.prompt),
    groups.length > 1 && h("form", { class: "filters", "aria-label": "Steps to compare", onsubmit: (event) => event.preventDefault() }, pick("before", before), pick("after", after)),
    differ && old && young && [side(before, old), side(after, young), difference(old.completion, young.completion)],
    table("This prompt across steps", ["Step", "Right", "Mean reward", "Mean tokens"], groups.map(row)),
  ].flat().filter(Boolean);
}
