// Measurements over steps or compute, several runs over each other.

import { chart, forgetCharts } from "../chart.js";
import { choice, entry, form, nothing } from "../controls.js";
import { h, number, percent, plain, put } from "../dom.js";
import { PANELS, axesOf, namesOf, others } from "../panels.js";
import { askSeries, latest } from "../server.js";

const POINTS = 600;

export function show(root, context) {
  const x = choice("Over", "x", axesOf(context.runs), context);
  const scale = choice("Axis", "scale", [["", "linear"], ["log", "logarithmic"]], context);
  const find = entry("Measurement", "find", context, { type: "search", placeholder: "such as entropy" });
  const range = h("span", { class: "moves" });
  const body = h("div", { class: "parts" });
  root.append(h("h2", { class: "unseen" }, "Curves"), form("Axis and measurements", x.node, scale.node, find.node, range), body);
  let charts = [];
  let shape = "";

  const choose = ([from, to]) => context.set({ xfrom: from.toPrecision(6), xto: to.toPrecision(6) });

  function wanted() {
    const text = (context.parameters.get("find") ?? "").toLowerCase();
    const runs = context.chosen;
    const all = [...PANELS, ...others(runs)].map((panel) => ({ ...panel, names: panel.names ?? namesOf(panel, runs) }));
    return all.filter(({ title, names }) => names.length > 0 && `${title} ${names.join(" ")}`.toLowerCase().includes(text));
  }

  /** Builds the charts anew when other measurements are to be shown, so that otherwise nothing jumps. */
  function build(panels) {
    const now = panels.map((panel) => `${panel.part}/${panel.title}/${panel.names}`).join("|");
    if (now === shape && charts.length > 0) return;
    shape = now;
    forgetCharts();
    charts = panels.map((panel) => ({ panel, chart: chart(panel.title, choose) }));
    const parts = [...new Set(panels.map((panel) => panel.part))];
    const of = (part) => charts.filter((one) => one.panel.part === part).map((one) => one.chart.node);
    const split = h("div", { class: "split" });
    body.dataset.part = "";
    put(
      body,
      parts.map((part) => h("section", { class: "part" }, h("h3", {}, part), part === "Time and machine" && split, h("div", { class: "charts" }, of(part)))),
      panels.length === 0 && nothing(context.chosen.length === 0 ? "No run is chosen." : "Nothing has been measured yet that fits."),
    );
    build.split = split;
  }

  function drawRange() {
    const [from, to] = ["xfrom", "xto"].map((name) => context.parameters.get(name));
    const words = `Show all, not ${number(Number(from))} to ${number(Number(to))}`;
    put(range, from !== null && h("button", { type: "button", onclick: () => context.set({ xfrom: "", xto: "" }) }, words));
  }

  const update = latest(async (signal) => {
    x.offer(axesOf(context.runs));
    [x, scale, find].forEach((control) => control.read());
    if (!x.node.querySelector("select").value) x.node.querySelector("select").value = "step";
    drawRange();
    const panels = wanted();
    build(panels);
    const axis = context.parameters.get("x") || "step";
    const answers = await Promise.all(context.chosen.map((run) => allSeries(run, panels, axis, context.parameters, signal)));
    const xLog = context.parameters.get("scale") === "log";
    const xWords = axesOf(context.runs).find(([name]) => name === axis)?.[1] ?? axis;
    for (const { panel, chart: one } of charts) {
      one.draw(linesOf(panel, context, answers), { ...panel, xLog, x: axis, xWords });
    }
    drawSplit(build.split, context.chosen, answers);
  });

  const renew = (different) => (context.chosen.some((run) => different.includes(run.id)) ? update() : undefined);
  return { update, renew };
}

/** All measurements of a run that are drawn, in one request a kind of record. */
async function allSeries(run, panels, x, parameters, signal) {
  const kinds = [...new Set(panels.map((panel) => panel.kind ?? "step"))];
  const range = { from: parameters.get("xfrom"), to: parameters.get("xto") };
  const of = async (kind) => {
    const names = panels.filter((panel) => (panel.kind ?? "step") === kind).flatMap((panel) => panel.names);
    const own = names.filter((name) => run.names[kind]?.includes(name));
    // Steps of a warm start are counted apart.
    const axis = kind === "sft" && x === "step" ? "sft/step" : x;
    return [kind, await askSeries(run, own, { kind, x: axis, points: POINTS, ...range }, signal)];
  };
  return Object.fromEntries(await Promise.all(kinds.map(of)));
}

/** One run: a colour for each measurement. Several: a colour for each run, a dash for each measurement. */
function linesOf(panel, context, answers) {
  const runs = context.chosen;
  const prefix = common(panel.names);
  const short = (name) => plain(name.slice(prefix.length) || name);
  return runs.flatMap((run, i) =>
    panel.names.flatMap((name, j) => {
      const line = answers[i][panel.kind ?? "step"]?.[name];
      if (!line) return [];
      const label = runs.length === 1 ? short(name) : panel.names.length === 1 ? plain(run.name) : `${plain(run.name)} ${short(name)}`;
      return [{ ...line, name: label, colour: runs.length === 1 ? j : run.id, dash: runs.length === 1 ? 0 : j }];
    }),
  );
}

/** What all names begin with, up to a slash. */
function common(names) {
  const [first] = names;
  const ends = [...first].flatMap((c, i) => (c === "/" ? [i + 1] : [])).reverse();
  return first.slice(0, ends.find((end) => names.every((name) => name.startsWith(first.slice(0, end)))) ?? 0);
}

const PHASES = [
  ["time/generate_s", "generate"],
  ["time/verify_wait_s", "wait for verdicts"],
  ["time/score_s", "score"],
  ["time/update_s", "update"],
];

/** Where the time of the last steps went. */
function drawSplit(node, runs, answers) {
  const bar = (run, i) => {
    const of = (name) => answers[i].step?.[name]?.recent;
    const total = of("time/step_s");
    if (!total) return undefined;
    const parts = PHASES.map(([name, words]) => [words, (of(name) ?? 0) / total]);
    parts.push(["other", Math.max(0, 1 - parts.reduce((sum, [, share]) => sum + share, 0))]);
    const piece = ([, share], n) => {
      const one = h("span", { class: `piece p${n}` });
      one.style.flexGrow = String(share);
      return one;
    };
    const words = parts.filter(([, share]) => share > 0.0005).map(([phase, share]) => `${phase} ${percent(share)}`).join(", ");
    const keys = parts.map(([phase, share], n) => h("li", {}, h("span", { class: `piece p${n} key` }), phase, h("b", {}, percent(share))));
    return h(
      "div",
      {},
      h("p", {}, `${runs.length > 1 ? `${plain(run.name)}: ` : ""}a step of the last 50 takes ${number(total)} s on average`),
      h("div", { class: "bar", role: "img", "aria-label": words }, parts.map(piece)),
      h("ul", { class: "legend" }, keys),
    );
  };
  if (node) put(node, runs.map(bar).filter(Boolean));
}
