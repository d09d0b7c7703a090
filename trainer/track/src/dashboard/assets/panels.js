// Which measurements are drawn together, in the order in which people look for them.

/** Panels: a title, the measurements of a kind of record, and how the axis stands. */
export const PANELS = [
  { part: "Reward and accuracy", title: "Reward", of: [/^reward\/mean$/, /^reward\/.+\/mean$/] },
  { part: "Reward and accuracy", title: "Outcome: share that is right", of: [/^outcome\/mean$/, /^outcome\/.+\/mean$/], fromZero: true },
  { part: "Reward and accuracy", title: "Held-out accuracy", kind: "eval", of: [/\/mean@\d+$/, /\/pass@\d+$/, /\/maj@\d+$/], fromZero: true },
  { part: "Reward and accuracy", title: "Held-out, strict and lenient", kind: "eval", of: [/^eval\/.+\/(strict|lenient)$/], fromZero: true },
  { part: "Groups", title: "Groups that teach nothing: share", of: [/^group\/zero_std$/, /^group\/all_/], fromZero: true },
  { part: "Groups", title: "Groups dropped, refilled, tasks retired", of: [/^group\/n_/], fromZero: true },
  { part: "Groups", title: "Spread of rewards and advantages", of: [/^(reward|advantage)\/std$/], fromZero: true },
  { part: "Lengths", title: "Length, tokens", of: [/^length\/mean$/, /^length\/(max|min|terminated_mean)$/], fromZero: true },
  { part: "Lengths", title: "Cut off at the limit: share", of: [/^length\/truncated$/], fromZero: true },
  { part: "Lengths", title: "Held-out length, tokens", kind: "eval", of: [/^eval\/.+\/length$/], fromZero: true },
  { part: "Policy", title: "Entropy, nats a token", of: [/^policy\/entropy$/], fromZero: true },
  { part: "Policy", title: "Clipped: share of tokens", of: [/^policy\/(clip_low|clip_high|cap_share)$/], fromZero: true },
  { part: "Policy", title: "KL to the reference, nats a token", of: [/^policy\/kl_ref$/] },
  { part: "Policy", title: "Sampler–trainer mismatch: KL", of: [/^policy\/mismatch_kl$/], yLog: true },
  { part: "Policy", title: "Sampler–trainer mismatch: log-probability", of: [/^policy\/mismatch_logp\/mean$/, /^policy\/mismatch_logp\//], yLog: true },
  { part: "Policy", title: "Probability ratio", of: [/^policy\/ratio\/mean$/, /^policy\/ratio\//] },
  { part: "Policy", title: "Effective sample size: share", of: [/^policy\/ess$/] },
  { part: "Optimiser", title: "Loss", of: [/^optim\/loss$/] },
  { part: "Optimiser", title: "Gradient norm", of: [/^optim\/grad_norm$/], fromZero: true },
  { part: "Optimiser", title: "Learning rate", of: [/^optim\/lr$/], fromZero: true },
  { part: "Optimiser", title: "Update against weights", of: [/^optim\/update_ratio$/], fromZero: true },
  { part: "Optimiser", title: "Updates left out", of: [/^optim\/skipped$/], fromZero: true },
  { part: "Optimiser", title: "Warm start: loss", kind: "sft", of: [/^sft\/loss$/], fromZero: true },
  { part: "Time and machine", title: "Time of a step, seconds", of: [/^time\/step_s$/, /^time\//], fromZero: true },
  { part: "Time and machine", title: "Tokens a second", of: [/^perf\/tokens_per_s$/], fromZero: true },
  { part: "Time and machine", title: "Model FLOPs utilisation", of: [/^perf\/mfu$/], fromZero: true },
  { part: "Time and machine", title: "Peak memory, GB", of: [/^perf\/memory_gb$/], fromZero: true },
];

/** Axes by their names in records. */
const AXES = {
  step: "step",
  time_s: "seconds since the start",
  "compute/flops_total": "training FLOPs",
  "compute/flops_gen": "FLOPs of sampling",
  "compute/flops_train": "FLOPs of updates",
  "compute/rollouts": "rollouts",
  "compute/tokens_gen": "tokens sampled",
  "compute/tokens_train": "tokens trained on",
  "compute/tokens_prompt": "prompt tokens",
  "compute/wall_s": "seconds of training",
  "compute/gpu_hours": "GPU hours",
  "compute/kwh": "kWh",
};

/** The axes that runs have, with words. */
export function axesOf(runs) {
  const measured = runs.flatMap((run) => Object.values(run.names).flat());
  const compute = [...new Set(measured)].filter((name) => name.startsWith("compute/") && name !== "compute/step");
  const order = Object.keys(AXES);
  const place = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  compute.sort((a, b) => place(a) - place(b) || a.localeCompare(b));
  return ["step", "time_s", ...compute].map((name) => [name, AXES[name] ?? name.replace("compute/", "")]);
}

/** The measurements of a panel that some run has; of several runs only the first sort, or the lines could not be told apart. */
export function namesOf(panel, runs) {
  const kind = panel.kind ?? "step";
  const all = [...new Set(runs.flatMap((run) => run.names[kind] ?? []))];
  const sorts = runs.length > 1 ? panel.of.slice(0, 1) : panel.of;
  return sorts.flatMap((pattern) => all.filter((name) => pattern.test(name))).filter((name, i, names) => names.indexOf(name) === i);
}

/** Panels for what no panel above shows, one for each measurement. */
export function others(runs) {
  const found = [];
  for (const kind of ["step", "eval", "sft", "system"]) {
    const all = [...new Set(runs.flatMap((run) => run.names[kind] ?? []))];
    const patterns = PANELS.filter((panel) => (panel.kind ?? "step") === kind).flatMap((panel) => panel.of);
    const rest = all.filter((name) => !patterns.some((pattern) => pattern.test(name)) && !name.startsWith("compute/") && !name.startsWith("verify/"));
    found.push(...rest.map((name) => ({ part: "Everything else", title: name, kind, of: [], names: [name] })));
  }
  return found;
}
