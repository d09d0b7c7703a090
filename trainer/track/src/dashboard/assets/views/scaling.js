// Accuracy against compute, and what may be said of it.

import { choice, form, nothing, table } from "../controls.js";
import { h, number, plain, put, shown } from "../dom.js";
import { ask, latest } from "../server.js";

export function show(root, context) {
  const set = choice("Held-out tasks", "set", [["", "the first"]], context);
  const body = h("section", { class: "scaling" });
  root.append(h("h2", { class: "unseen" }, "Scaling"), form("Evaluation", set.node), body);

  const sets = () => {
    const names = context.chosen.flatMap((run) => run.names.eval ?? []);
    const found = names.flatMap((name) => name.match(/^eval\/(.+)\/mean@\d+$/)?.[1] ?? []);
    return [...new Set(found)];
  };

  const update = latest(async (signal) => {
    set.offer(sets().map((name, i) => [i === 0 ? "" : name, plain(name)]));
    set.node.hidden = sets().length < 2;
    const runs = context.chosen.map((run) => run.id).join(",");
    const wanted = { runs, set: context.parameters.get("set") };
    try {
      const answer = await ask("scaling", wanted, signal);
      const query = new URLSearchParams({ runs, set: answer.set, n: answer.series.map((one) => one.points.length).join(".") });
      put(body, drawing(answer, `/api/scaling.svg?${query}`));
    } catch (error) {
      if (signal.aborted) throw error;
      put(body, nothing(`${error.message}.`));
    }
  });

  const renew = (different) => (context.chosen.some((run) => different.includes(run.id)) ? update() : undefined);
  return { update, renew };
}

function drawing({ set, says, series, fit }, picture) {
  const points = series.flatMap((one) => one.points.map((point) => [shown(one.name), point.step, number(point.compute), number(point.y), number(point.n)]));
  const forms = (fit.forms ?? []).map((form) => [
    form.name,
    Object.entries(form.params).map(([name, value]) => `${name} = ${number(value)}${form.se?.[name] ? ` ± ${number(form.se[name])}` : ""}`).join(", "),
    number(form.rmse),
    number(form.daicc),
  ]);
  const list = (heading, all) => all?.length > 0 && [h("h4", {}, heading), h("ul", {}, all.map((words) => h("li", {}, shown(words))))];
  return [
    h("div", { class: "verdict" }, h("p", { class: "sentence" }, shown(says.sentence)), says.horizon && h("p", {}, shown(says.horizon))),
    h("img", { class: "figure", src: picture, alt: `Accuracy on ${plain(set)} against training compute. ${plain(says.sentence)}`, width: "720", height: "460" }),
    h("div", { class: "reasons" }, list("Why", says.reasons), list("What would settle it", says.would_settle), list("Notes", says.notes)),
    forms.length > 0 && table("Forms fitted", ["Form", "Parameters", "RMSE", "ΔAICc"], forms),
    table("Evaluations", ["Run", "Step", "Training FLOPs", "Accuracy", "Samples"], points),
  ].flat(2).filter(Boolean);
}
