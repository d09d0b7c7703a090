// Whether verdicts can be trusted: what verifiers find, what they could not judge, and how long they take.

import { chart, forgetCharts } from "../chart.js";
import { nothing, table } from "../controls.js";
import { h, number, percent, plain, put, shown } from "../dom.js";
import { ask, askSeries, latest } from "../server.js";

const COUNTERS = ["judged", "cache_hit", "restarts", "killed"];

export function show(root, context) {
  const body = h("div", { class: "parts" });
  const about = h("section", { class: "part" });
  root.append(h("h2", { class: "unseen" }, "Verifiers"), body, about);
  let charts = new Map();

  /** The verifiers of a run with their measurements; a verifier's name may hold any character but a slash. */
  function verifiers() {
    const all = new Map();
    for (const name of context.run.names.step ?? []) {
      const [, verifier, what] = name.match(/^verify\/([^/]+)\/(.+)$/) ?? [];
      if (verifier) all.set(verifier, [...(all.get(verifier) ?? []), what]);
    }
    return all;
  }

  function build(all) {
    const known = [...all.keys()].join("/");
    if (charts.known === known) return;
    forgetCharts();
    charts = new Map([...all.keys()].map((name) => [name, { found: chart("Findings: share of the rollouts"), times: chart("Time of a verdict, milliseconds"), health: chart("Not judged, repeated, restarted"), now: h("div", {}) }]));
    charts.known = known;
    const part = ([name, one]) => h("section", { class: "part" }, h("h3", {}, shown(name)), one.now, h("div", { class: "charts" }, one.found.node, one.health.node, one.times.node));
    put(body, charts.size === 0 ? nothing("Nothing has been judged yet.") : [...charts].map(part));
  }

  const update = latest(async (signal) => {
    const all = verifiers();
    build(all);
    for (const [verifier, names] of all) {
      const full = (what) => `verify/${verifier}/${what}`;
      const isTime = (what) => what.startsWith("time_ms/");
      // A finding that no rollout of a step had is not written: beside `judged` it is 0.
      const shares = askSeries(context.run, names.filter((what) => !isTime(what)).map(full), { points: 400, beside: names.includes("judged") ? full("judged") : undefined }, signal);
      const times = askSeries(context.run, names.filter(isTime).map(full), { points: 400 }, signal);
      draw(verifier, names, { ...(await shares), ...(await times) });
    }
    await drawAbout(signal);
  });

  function draw(verifier, names, series) {
    const { found, times, health, now } = charts.get(verifier);
    const line = (what, i) => ({ ...(series[`verify/${verifier}/${what}`] ?? { x: [], y: [] }), name: plain(what.replace("time_ms/", "")), colour: i, dash: 0 });
    const findings = names.filter((what) => !COUNTERS.includes(what) && !what.startsWith("time_ms/"));
    found.draw(findings.map(line), { x: "step", fromZero: true });
    times.draw(names.filter((what) => what.startsWith("time_ms/")).map(line), { x: "step", yLog: true });
    health.draw(["unjudged", "cache_hit", "restarts", "killed"].filter((what) => names.includes(what)).map(line), { x: "step", fromZero: true });
    const recent = (what) => series[`verify/${verifier}/${what}`]?.recent;
    const row = (what) => [h("a", { href: context.link("rollouts", { finding: what }) }, shown(what)), percent(recent(what)), percent(series[`verify/${verifier}/${what}`]?.last)];
    const unjudged = recent("unjudged") ?? 0;
    put(
      now,
      unjudged > 0 && h("p", { class: "warning" }, `${percent(unjudged)} of the last 50 steps could not be judged; above 5 % a run stops.`),
      table("Findings", ["Finding", "Last 50 steps", "Last step"], findings.sort((a, b) => (recent(b) ?? 0) - (recent(a) ?? 0)).map(row)),
    );
  }

  async function drawAbout(signal) {
    const events = await ask(`runs/${context.run.id}/events`, {}, signal);
    const { header } = context.run;
    const layers = Object.entries(header?.verifier_layers ?? {}).map(([name, layer]) => [shown(name), shown(typeof layer === "string" ? layer : JSON.stringify(layer))]);
    const last = events.slice(-100).reverse();
    put(
      about,
      h("p", { class: "links" }, h("a", { href: context.link("rollouts", { order: "slowest" }) }, "rollouts that took longest to judge"), h("a", { href: context.link("rollouts", { outcome: "unjudged" }) }, "rollouts that were not judged")),
      [header?.warnings ?? []].flat().map((words) => h("p", { class: "warning" }, shown(words))),
      layers.length > 0 && table("Layers of isolation", ["Verifier", "Layers"], layers),
      last.length > 0 && table("Events, the newest first", ["Step", "At", "What happened"], last.map((event) => [number(event.step), new Date(event.time_s * 1000).toLocaleString(), shown(event.message)])),
    );
  }

  const renew = (different) => (different.includes(context.run.id) ? update() : undefined);
  return { update, renew };
}
