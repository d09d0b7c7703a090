// Every rollout: filtered, sorted, searched, opened.

import { choice, entry, form, nothing } from "../controls.js";
import { h, plain, put } from "../dom.js";
import { row, whole } from "../rollout.js";
import { ask, latest } from "../server.js";

const ORDERS = [
  ["", "newest first"],
  ["oldest", "oldest first"],
  ["worst", "worst reward"],
  ["best", "best reward"],
  ["longest", "longest"],
  ["shortest", "shortest"],
  ["surprising", "most surprising"],
  ["advantage", "largest advantage"],
  ["mismatch", "largest mismatch"],
  ["slowest", "slowest to judge"],
];
const JUMPS = [
  ["", "Newest"],
  ["worst", "Worst"],
  ["longest", "Longest"],
  ["surprising", "Most surprising"],
];
const PAGE = 40;
const FILTERS = ["source", "finding", "outcome", "stop", "task", "from", "to"];

export function show(root, context) {
  const source = choice("Source", "source", [["", "all"]], context);
  const finding = choice("Finding", "finding", [["", "all"]], context);
  const stop = choice("End", "stop", [["", "all"]], context);
  const outcomes = [["", "all"], ["right", "right"], ["wrong", "wrong"], ["unjudged", "not judged"]];
  const steps = { type: "number", min: "0", class: "short" };
  const controls = [
    entry("Search in texts", "text", context, { type: "search" }),
    choice("Order", "order", ORDERS, context),
    choice("Judged", "outcome", outcomes, context),
    finding,
    source,
    stop,
    entry("From step", "from", context, steps),
    entry("to step", "to", context, steps),
    entry("Task", "task", context, { placeholder: "its whole id" }),
  ];
  const jumps = h("p", { class: "jumps", role: "group", "aria-label": "Jump to" });
  const count = h("p", { class: "count", role: "status" });
  const list = h("div", { class: "list" });
  const pager = h("p", { class: "pager" });
  root.append(h("h2", { class: "unseen" }, "Rollouts"), form("Filters", controls.map((one) => one.node)), jumps, count, list, pager);

  const chosen = () => Object.fromEntries(FILTERS.map((name) => [name, context.parameters.get(name)]));
  const path = (what) => `runs/${context.run.id}/${what}`;

  async function open(rollout, box) {
    if (box.childElementCount > 0) return;
    const { step, group, sample } = rollout;
    const links = [
      h("a", { href: context.link("groups", { step, group }) }, "its group, side by side"),
      h("a", { href: context.link("prompt", { id: rollout.task_id }) }, "the same prompt across steps"),
    ];
    try {
      put(box, whole(await ask(path("rollout"), { step, group, sample }), links));
    } catch (error) {
      put(box, nothing(error.message));
    }
  }

  async function offerFacets(signal) {
    const facets = await ask(path("facets"), {}, signal);
    const pairs = (all) => [["", "all"], ...all.map((word) => [word, plain(word)])];
    source.offer(pairs(facets.sources));
    finding.offer(pairs(facets.findings));
    stop.offer(pairs(facets.stops));
  }

  function drawJumps() {
    const now = context.parameters.get("order") ?? "";
    const button = ([order, words]) =>
      h("button", { type: "button", "aria-pressed": String(order === now), onclick: () => context.set({ order, offset: "" }) }, words);
    put(jumps, JUMPS.map(button));
  }

  async function page(signal) {
    const offset = Number(context.parameters.get("offset") ?? 0);
    const order = context.parameters.get("order");
    const { total, rollouts } = await ask(path("rollouts"), { ...chosen(), order, offset, limit: PAGE }, signal);
    put(count, total === 0 ? "No rollout fits." : `${total.toLocaleString("en")} rollouts, ${offset + 1} to ${offset + rollouts.length} shown`);
    put(list, rollouts.map((rollout) => row(rollout, open)));
    const turn = (to, words, enabled) =>
      h("button", { type: "button", disabled: !enabled, onclick: () => context.set({ offset: to || "" }) }, words);
    put(pager, total > PAGE && [turn(Math.max(0, offset - PAGE), "Previous", offset > 0), turn(offset + PAGE, "Next", offset + PAGE < total)]);
  }

  /** Searches on until a page is full or all has been looked at. */
  async function search(text, signal, below = undefined, found = 0, searched = 0) {
    put(count, `Searching … ${found} found among ${searched.toLocaleString("en")} rollouts`);
    for (let last = found + PAGE; ; ) {
      const answer = await ask(path("search"), { ...chosen(), text, below, limit: PAGE }, signal);
      if (signal.aborted) return;
      list.append(...answer.rollouts.map((rollout) => row(rollout, open)));
      found += answer.rollouts.length;
      searched += answer.n_searched;
      below = answer.next;
      const whole = below === null;
      put(count, `${whole ? "" : "Searching … "}${found.toLocaleString("en")} found among ${searched.toLocaleString("en")} rollouts, newest first`);
      if (whole) return put(pager);
      if (found >= last) {
        const on = () => search(text, signal, below, found, searched);
        put(count, `${found.toLocaleString("en")} found so far among ${searched.toLocaleString("en")} rollouts, newest first`);
        return put(pager, h("button", { type: "button", onclick: on }, "Search on"));
      }
    }
  }

  const update = latest(async (signal) => {
    controls.forEach((control) => control.read());
    drawJumps();
    const text = context.parameters.get("text");
    const facets = offerFacets(signal);
    if (text) {
      put(list);
      put(pager);
      await search(text, signal);
    } else {
      await page(signal);
    }
    await facets;
  });

  /** New rollouts do not push away what is being read: they are announced. */
  function renew(different) {
    if (!different.includes(context.run.id)) return undefined;
    const isIdle = list.querySelector("details[open]") === null && !list.contains(document.activeElement);
    if (isIdle && !context.parameters.get("text") && !context.parameters.get("offset")) return update();
    put(pager, h("button", { type: "button", onclick: update }, "There are new rollouts: show them"));
    return undefined;
  }

  return { update, renew };
}
