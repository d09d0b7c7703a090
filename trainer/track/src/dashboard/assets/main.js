// The frame: which runs, which view, and what is new.

import { h, plain, put, shown } from "./dom.js";
import { nothing } from "./controls.js";
import { ask, keepLooking } from "./server.js";

const VIEWS = [
  ["rollouts", "Rollouts"],
  ["groups", "Groups"],
  ["distribution", "Distributions"],
  ["curves", "Curves"],
  ["prompt", "One prompt"],
  ["scaling", "Scaling"],
  ["verifiers", "Verifiers"],
];

const main = document.getElementById("main");
let runs = [];
let current = null;
/** The pulses of all runs, as last heard. */
let newest = [];

/** What stands behind the `#`: a view and its parameters. */
function address() {
  const [view, query] = location.hash.slice(1).split("?");
  return { view: VIEWS.some(([name]) => name === view) ? view : "rollouts", parameters: new URLSearchParams(query ?? "") };
}

/** The address of a view with parameters; runs are kept. */
export function link(view, parameters = {}) {
  const now = address().parameters;
  const all = new URLSearchParams();
  for (const kept of ["run", "runs"]) if (now.get(kept)) all.set(kept, now.get(kept));
  for (const [name, value] of Object.entries(parameters)) if (value !== "" && value !== undefined) all.set(name, value);
  return `#${view}${all.size > 0 ? `?${all}` : ""}`;
}

function set(changes) {
  const { view, parameters } = address();
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === undefined || value === null) parameters.delete(name);
    else parameters.set(name, value);
  }
  const hash = `#${view}${parameters.size > 0 ? `?${parameters}` : ""}`;
  if (hash === location.hash) return;
  history.pushState(null, "", hash);
  follow();
}

/** What a view is given: read it anew at each use, the address changes. */
const context = {
  set,
  link,
  get parameters() {
    return address().parameters;
  },
  get runs() {
    return runs;
  },
  /** The run that views of one run show. */
  get run() {
    return runs[Number(address().parameters.get("run") ?? 0)] ?? runs[0];
  },
  /** The runs that are drawn over each other. */
  get chosen() {
    const wanted = address().parameters.get("runs");
    if (wanted === null) return runs.slice(0, 6);
    return wanted.split(",").flatMap((id) => runs[Number(id)] ?? []);
  },
};

async function follow() {
  const { view } = address();
  drawNavigation(view);
  drawRuns(view);
  drawPulse(newest);
  try {
    if (current?.name === view) {
      await current.view.update();
    } else {
      const module = await import(`./views/${view}.js`);
      if (address().view !== view) return;
      current = { name: view, view: module.show(put(main), context) };
      document.title = `${VIEWS.find(([name]) => name === view)[1]} · ${runs.map((run) => plain(run.name)).join(", ")} · rlvr`;
      await current.view.update();
    }
  } catch (error) {
    put(main, nothing(`This did not work: ${error.message}`));
    current = null;
  }
}

function drawNavigation(view) {
  const entries = VIEWS.map(([name, words]) =>
    h("li", {}, h("a", { href: link(name), "aria-current": name === view ? "page" : undefined }, words)),
  );
  put(document.getElementById("views"), entries);
  document.querySelector("nav [aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
}

const SEVERAL = ["curves", "scaling"];

/** One run to choose, or several where they are drawn over each other. */
function drawRuns(view) {
  const box = document.getElementById("runs");
  // What is drawn anew takes the focus along.
  const focused = box.contains(document.activeElement) ? document.activeElement.id : null;
  if (runs.length === 1) {
    put(box, h("strong", {}, shown(runs[0].name)));
  } else if (SEVERAL.includes(view)) {
    const chosen = new Set(context.chosen.map((run) => run.id));
    const toggle = (id) => () => {
      if (!chosen.delete(id)) chosen.add(id);
      set({ runs: [...chosen].sort((a, b) => a - b).join(",") || "none" });
    };
    const one = (run) =>
      h("label", { class: "tick" }, h("input", { type: "checkbox", id: `run-${run.id}`, checked: chosen.has(run.id), onchange: toggle(run.id) }), shown(run.name));
    put(box, h("fieldset", {}, h("legend", {}, "Runs"), runs.map(one)));
  } else {
    const select = h("select", { id: "run", onchange: () => set({ run: select.value, offset: "", step: "", group: "" }) });
    put(select, runs.map((run) => h("option", { value: run.id }, plain(run.name))));
    select.value = String(context.run.id);
    put(box, h("label", { class: "field" }, h("span", {}, "Run"), select));
  }
  if (focused) document.getElementById(focused)?.focus();
}

function drawPulse(pulses) {
  const box = document.getElementById("pulse");
  if (runs.length > 1 && SEVERAL.includes(address().view)) {
    put(box, context.chosen.map((run) => `${plain(run.name)}: step ${pulses[run.id]?.last_step ?? 0}`).join(" · "));
    return;
  }
  const pulse = pulses[context.run?.id ?? 0];
  if (!pulse) return;
  const { rollouts } = pulse;
  const age = pulse.last_time_s ? Date.now() / 1000 - pulse.last_time_s : Infinity;
  const news = age < 60 ? "written to just now" : `last written to ${new Date(pulse.last_time_s * 1000).toLocaleString()}`;
  const damaged = pulse.n_damaged + rollouts.n_damaged;
  const words = [
    `step ${pulse.last_step ?? 0}`,
    `${rollouts.n.toLocaleString("en")} rollouts`,
    rollouts.n_steps < rollouts.n_files && `reading ${rollouts.n_steps} of ${rollouts.n_files} files`,
    damaged > 0 && `${damaged} damaged lines passed over`,
    Number.isFinite(age) && news,
  ];
  put(box, words.filter(Boolean).join(" · "));
}

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  put(document.getElementById("theme"), `Theme: ${theme}`);
  localStorage.setItem("rlvr-theme", theme);
}

function start() {
  setTheme(THEMES.find((theme) => theme === localStorage.getItem("rlvr-theme")) ?? "auto");
  document.getElementById("theme").addEventListener("click", () => {
    setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
  });
  // The skip link goes to the content and is no view.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  window.addEventListener("popstate", follow);
}

async function readRuns() {
  runs = await ask("runs");
}

let lost = false;

async function changed(pulses, different) {
  newest = pulses;
  drawPulse(pulses);
  if (different.length === 0 && current) return;
  // A run names new measurements and its header as it goes on.
  const known = runs.length;
  await readRuns();
  if (runs.length !== known) await follow();
  await current?.view.renew?.(different);
}

function failed(error) {
  if (error) put(document.getElementById("pulse"), `The dashboard does not answer: ${error.message}`);
  if (lost && !error) readRuns().then(follow);
  lost = Boolean(error);
}

start();
await readRuns();
await follow();
keepLooking(changed, failed);
