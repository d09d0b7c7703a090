//! The reviewer's checklist: what a sceptic asks of a curve, answered from the log or left open aloud.

use serde_json::Value;
use toml::Table;

use super::configs;
use super::configs::schedule;
use super::page::{Page, Status};
use super::sets::{SetReport, describe, short};
use super::table::last_evaluation;
use crate::fit::{Evidence, Kind};
use crate::record;
use crate::runs::Run;

/// A question's number, what the log says, and why.
type Claim = (&'static str, Status, String);

pub(super) fn write(page: &mut Page, runs: &[&Run], sets: &[SetReport]) {
    page.heading("A reviewer's checklist");
    page.text(
        "Each point is answered from the log. What the log cannot answer is left open, and is for whoever cites this.",
    );
    for set in sets {
        if sets.len() > 1 {
            page.subheading(&set.name);
        }
        let runs = set.runs_of(runs);
        let asked = Asked { runs: &runs, set, configs: configs::parsed(&runs) };
        page.claims(|page| {
            for (number, status, text) in asked.claims() {
                page.claim(&format!("{number} {}", topic(number)), status, &text);
            }
        });
    }
}

/// What a question is about.
fn topic(number: &str) -> &'static str {
    match number {
        "1" => "compute",
        "2" => "range",
        "3" => "runs",
        "4" => "accuracy",
        "5" => "grading",
        "6" => "baselines",
        "7" => "dropped points",
        "8" => "other forms",
        "9" => "hold-out",
        "10" => "intervals",
        "11" => "late slope",
        "12" => "lengths, coverage",
        "13" => "reward",
        "14" => "inference",
        _ => "openness",
    }
}

/// What is asked, of what.
pub(super) struct Asked<'a> {
    pub runs: &'a [&'a Run],
    pub set: &'a SetReport,
    pub configs: Option<Vec<Table>>,
}

impl Asked<'_> {
    /// All claims in the order of the questions.
    pub(super) fn claims(&self) -> Vec<Claim> {
        [self.of_compute(), self.of_accuracy(), self.of_fit(), self.of_samples()].concat()
    }

    fn of_compute(&self) -> Vec<Claim> {
        let formula = self.runs.iter().all(|run| run.header["compute"]["formula"].is_string());
        let fit = &self.set.fit;
        let is_alike = configs::settings_apart(self.runs).is_some_and(|apart| apart.is_empty());
        let is_wide = fit.decades >= 1.5 && fit.evidence == Evidence::Replicated && is_alike;
        vec![
            (
                "1",
                Status::of(formula),
                match self.runs.iter().find_map(|run| run.header["compute"]["formula"].as_str()) {
                    Some(formula) if self.runs.len() == 1 || !formula.is_empty() => format!(
                        "Compute is model FLOPs of training: {formula}. Dropped rollouts, scoring passes and restarts are \
                         counted; evaluation and warm start are not.{} Tokens, rollouts and seconds are offered as axes.",
                        self.warm_start()
                    ),
                    _ => "The formula of compute is not recorded in every `run.json`.".to_owned(),
                },
            ),
            (
                "2",
                Status::of(is_wide),
                format!(
                    "{:.2} decades, {} points, {} run(s): {}. A law takes 1.5 decades and three seeds of one setting that agree.",
                    fit.decades,
                    fit.points,
                    fit.seeds,
                    fit.evidence.as_str()
                ),
            ),
            self.schedule(),
            self.same_settings(),
        ]
    }

    /// What stands beside the axis: the supervised training before it.
    fn warm_start(&self) -> String {
        let spent = |run: &&Run| {
            let counters = run.records().iter().filter_map(|record| record.metrics.get("compute/flops_sft"));
            counters.fold(0.0, f64::max)
        };
        let all = || self.runs.iter().map(spent);
        match (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max)) {
            (_, 0.0) => String::new(),
            (least, most) if least == most => format!(" The warm start took {} FLOPs.", short(most)),
            (least, most) => format!(" The warm start took {} to {} FLOPs.", short(least), short(most)),
        }
    }

    fn schedule(&self) -> Claim {
        let kind = match self.set.fit.kind {
            Kind::Trajectory => "Trajectory: checkpoints of runs",
            Kind::Frontier => "Frontier: the best setting at each compute, by the mean over its seeds",
        };
        let mut schedules: Vec<String> = self.runs.iter().filter_map(|run| schedule(run)).collect();
        schedules.dedup();
        match schedules.as_slice() {
            [] => ("3", Status::Unanswered, format!("{kind}. The schedule of the learning rate is not recorded.")),
            [one] if one == "constant" => {
                ("3", Status::Holds, format!("{kind}. The learning rate is constant after its warm-up."))
            }
            all => (
                "3",
                Status::of(self.set.fit.kind == Kind::Frontier),
                format!(
                    "{kind}. The learning rate is {}: a checkpoint is not a finished smaller run.",
                    all.join(" or ")
                ),
            ),
        }
    }

    fn same_settings(&self) -> Claim {
        let Some(apart) = configs::settings_apart(self.runs) else {
            let text = "Not every run has a config, so whether their settings are equal is not known.";
            return ("3", Status::Unanswered, text.to_owned());
        };
        match (self.runs.len(), apart.as_slice()) {
            (1, _) => ("3", Status::Holds, "One run: the settings are those of its config.".to_owned()),
            (_, []) => ("3", Status::Holds, "The runs differ in nothing but name, seed and machine.".to_owned()),
            (_, keys) => {
                ("3", Status::Fails, format!("The runs differ in {}; see the table of configs.", keys.join(", ")))
            }
        }
    }

    fn of_accuracy(&self) -> Vec<Claim> {
        let set = self.set;
        let number = |path: [&str; 2]| {
            let mut values: Vec<String> = self
                .configs
                .iter()
                .flatten()
                .filter_map(|config| config.get(path[0])?.get(path[1]).map(ToString::to_string))
                .collect();
            values.dedup();
            (!values.is_empty()).then(|| values.join(" or "))
        };
        let sizes = describe(&set.outcomes);
        let limit = number(["rollouts", "max_new_tokens"]);
        let cut = self
            .runs
            .iter()
            .filter_map(|run| last_evaluation(run, &set.set)?.metrics.get(&format!("eval/{}/truncated", set.set)));
        let cut = cut.fold(0.0, f64::max);
        let lenient = set.series.iter().flat_map(|one| &one.points).all(|point| point.lenient.is_some());
        let start = set.series.iter().all(|one| one.points.first().is_some_and(|point| point.compute == 0.0));
        let temperature = self
            .configs
            .iter()
            .flatten()
            .find_map(|config| config.get("eval")?.get("sampling")?.get("temperature").map(ToString::to_string));
        vec![
            (
                "4",
                if sizes.is_empty() { Status::Unanswered } else { Status::Holds },
                format!(
                    "Accuracy is over {}, temperature {}, at most {} new tokens; at the last evaluation at most {:.1} % are cut off.",
                    if sizes.is_empty() { "problems that were not kept" } else { &sizes },
                    temperature.as_deref().unwrap_or("not recorded"),
                    limit.as_deref().unwrap_or("not recorded"),
                    100.0 * cut
                ),
            ),
            (
                "5",
                Status::of(lenient),
                if lenient {
                    "Strict and lenient readings of each answer are both recorded and drawn.".to_owned()
                } else {
                    "No lenient reading is recorded at every point, so that the share of format in the gain is not known.".to_owned()
                },
            ),
            (
                "5",
                Status::Unanswered,
                "Whether the grader is right was not audited here. Rewarded rollouts are shown above, to be read by a person.".to_owned(),
            ),
            (
                "6",
                Status::of(start),
                if start {
                    "The accuracy before the first step was measured with the same prompts.".to_owned()
                } else {
                    "Not every run was evaluated before its first step.".to_owned()
                },
            ),
            self.contamination(),
            (
                "6",
                Status::Unanswered,
                "Baselines by few-shot prompts, supervised training on the same data, and rewards for format alone or at random are not in these logs.".to_owned(),
            ),
        ]
    }

    /// Training warns of held-out prompts that it was given as tasks too.
    fn contamination(&self) -> Claim {
        if self.runs.iter().any(|run| !run.header["warnings"].is_array()) {
            let text = "Whether evaluation prompts are among the training tasks is not recorded.";
            return ("6", Status::Unanswered, text.to_owned());
        }
        let warnings = self.runs.iter().flat_map(|run| run.header["warnings"].as_array().into_iter().flatten());
        match warnings.filter_map(Value::as_str).find(|warning| warning.contains("held-out prompts")) {
            Some(warning) => ("6", Status::Fails, format!("Contamination: {warning}.")),
            None => ("6", Status::Holds, "No warning of held-out prompts among the training tasks.".to_owned()),
        }
    }

    fn of_fit(&self) -> Vec<Claim> {
        let fit = &self.set.fit;
        let dropped = match &fit.without_cut {
            Some(uncut) => format!(
                "{} points below {:.2e} were left out as declared; without the cut: {}.",
                uncut.left_out, uncut.from, uncut.verdict.text
            ),
            None if self.set.fit.kind == Kind::Frontier => {
                "Only the points of the setting that is the best at their compute are fitted; where the learning rate decays, \
                 only the last point of each run counts.".to_owned()
            }
            None => "No point was left out.".to_owned(),
        };
        let bounds: Vec<&str> =
            fit.forms.iter().filter(|form| !form.at_bound.is_empty()).map(|form| form.name).collect();
        let rho = fit.autocorrelation.map_or("not measured".to_owned(), |rho| format!("{rho:.2}").replace('-', "−"));
        vec![
            ("7", Status::Holds, dropped),
            (
                "8",
                Status::of(fit.forms.len() > 1),
                format!(
                    "{} forms are compared by AICc; parameters on a bound: {}; residuals are drawn; their autocorrelation is {rho}; errors are multiplied by {:.2}.",
                    fit.forms.len(),
                    if bounds.is_empty() { "none".to_owned() } else { bounds.join(", ") },
                    fit.phi2.sqrt() * fit.widening
                ),
            ),
            self.held_out(),
            self.intervals(),
            self.late_slope(),
        ]
    }

    fn held_out(&self) -> Claim {
        let telling: Vec<_> =
            self.set.fit.best().into_iter().flat_map(|form| &form.heldout).filter(|h| h.is_telling()).collect();
        if telling.is_empty() {
            return (
                "9",
                Status::Unanswered,
                "Too few points to predict the late ones from the early ones.".to_owned(),
            );
        }
        let shown: Vec<String> = telling
            .iter()
            .map(|h| format!("from C ≤ {} C_max {:+.3} ± {:.3}", h.up_to, h.bias, h.bias_se).replace('-', "−"))
            .collect();
        let form = self.set.fit.best().map_or("", |form| form.name);
        (
            "9",
            Status::of(telling.iter().all(|h| h.is_unbiased())),
            format!("The hold-out is fixed by the program. Bias of {form} on the rest: {}.", shown.join("; ")),
        )
    }

    fn intervals(&self) -> Claim {
        let fit = &self.set.fit;
        let by_problem = !fit.bootstrap.is_empty();
        let by_seed = fit.slope_over_seeds.is_some();
        let text = format!(
            "Intervals by problem: {}; by seed: {}. Every checkpoint is drawn, none was chosen by its accuracy here.",
            if by_problem { "yes" } else { "no, samples were not kept or are too few" },
            if by_seed { "yes" } else { "no, there is one run" }
        );
        ("10", Status::of(by_problem && by_seed), text)
    }

    fn late_slope(&self) -> Claim {
        let levels = || self.set.series.iter().flat_map(|one| &one.points).map(|point| point.y);
        let (low, high) = (levels().fold(1.0, f64::min), levels().fold(0.0, f64::max));
        let is_free = low > 0.02 && high < 0.95;
        let place = format!(
            "accuracies lie between {low:.3} and {high:.3}{}",
            if is_free { "" } else { ", so near floor or ceiling" }
        );
        match self.set.fit.halves {
            Some(halves) => {
                let (from, to) = halves.late.interval();
                let text = format!(
                    "Late slope {} points per 10× ({} to {}); {place}; a logit-linear form is among the forms.",
                    short(100.0 * halves.late.value),
                    short(100.0 * from),
                    short(100.0 * to)
                );
                ("11", Status::of(is_free), text)
            }
            None => ("11", Status::Unanswered, format!("Too few points for a late slope; {place}.")),
        }
    }

    fn of_samples(&self) -> Vec<Claim> {
        let ends = &self.set.ends;
        let samples = self.set.outcomes.iter().flat_map(|run| &run.checkpoints).flat_map(|c| c.problems.values());
        let n = samples.map(|counts| counts.n as u64).max().unwrap_or(0);
        let filters = self.runs.iter().flat_map(|run| run.records()).any(|record| {
            record.kind == record::Kind::Step && record.metrics.get("group/n_dropped").is_some_and(|n| n > 0.0)
        });
        let commits: Vec<Option<&str>> = self.runs.iter().map(|run| run.header["commit"].as_str()).collect();
        let is_clean = commits.iter().all(|commit| commit.is_some_and(|commit| !commit.contains(' ')));
        let is_kept = !ends.is_empty() && self.configs.is_some();
        vec![
            (
                "12",
                if n > 1 { Status::Holds } else { Status::Unanswered },
                if n > 1 {
                    format!("Lengths have a panel and one limit; pass@k before and after training is drawn up to k = {n}, hollow beyond k = {}.", n / 2)
                } else {
                    "One sample a problem: coverage before and after training cannot be compared.".to_owned()
                },
            ),
            (
                "13",
                Status::Holds,
                format!(
                    "Accuracy is measured on held-out tasks, apart from the training reward{}.",
                    if filters { ", which groups that were dropped make non-stationary" } else { "" }
                ),
            ),
            (
                "14",
                Status::Unanswered,
                "pass@k is coverage, an oracle; maj@k splits ties; both are unbiased. Equal compute with the cost of a verifier is not compared here.".to_owned(),
            ),
            (
                "15",
                Status::of(is_kept && is_clean),
                format!(
                    "Outcomes of each problem {}; config and seed {}; commit {}. One command makes this page again.",
                    if ends.is_empty() { "are missing" } else { "are kept" },
                    if self.configs.is_some() { "are kept" } else { "are missing" },
                    if is_clean { "is known" } else { "is not known, or had changes" }
                ),
            ),
        ]
    }
}
