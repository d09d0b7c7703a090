//! Intervals of a form's parameters by drawing problems, or seeds, anew.
//!
//! All checkpoints answer the same problems, so a problem is drawn for all of them together: what its difficulty adds to
//! one point it adds to the next, and a curve's shape is surer than its level.

use std::collections::BTreeMap;

use serde::Serialize;

use super::result::{Fit, Options};
use super::samples::Samples;
use super::search::{Given, refit, search_given};
use super::shapes;
use super::verdict::Label;
use crate::estimate::Interval;
use crate::frontier::{Budgets, Setting, SettingOutcomes, frontier};
use crate::outcomes::RunOutcomes;
use crate::points::{Point, Series};
use crate::random::Random;

/// What is drawn with replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resample {
    /// Problems: the interval is about other problems of the kind, for these runs.
    Problems,
    /// Runs: about other seeds. With fewer than about eight it is too narrow; use Student's t over seeds.
    Seeds,
    /// Both.
    Both,
}

/// A parameter over draws.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The parameter.
    pub name: &'static str,
    /// Its value for the outcomes as they are.
    pub value: f64,
    /// The standard deviation over draws.
    pub se: f64,
    /// Lower end of the 95 % percentile interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Intervals of forms' parameters by drawing anew, as they stand in `fit.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Bootstrap {
    /// What was drawn.
    pub over: Resample,
    /// How often.
    pub draws: usize,
    /// Problems behind the points.
    pub problems: usize,
    /// Runs behind the points.
    pub runs: usize,
    /// The straight line and the best form, with their parameters.
    pub forms: BTreeMap<&'static str, Vec<Spread>>,
}

/// Draws for `fit.json`: the ends of a 95 % interval are then good to a tenth of its half width.
const DRAWS: usize = 1000;

impl Fit {
    /// Adds intervals by drawing problems, and by drawing seeds where there are several, to a fit under `options` of the
    /// points that these outcomes are behind.
    ///
    /// Nothing is added where there are too few points for any form, or no outcomes.
    #[must_use]
    pub fn with_bootstrap(self, runs: &[RunOutcomes], options: &Options) -> Self {
        let outcomes = Outcomes::of(runs, options.from.unwrap_or(0.0));
        self.with_intervals(&outcomes, options)
    }

    /// As [`Fit::with_bootstrap`] for a [`frontier`] over settings: seeds are drawn within their setting, and the frontier is
    /// taken anew from every draw, so that the intervals hold what choosing the best setting adds.
    #[must_use]
    pub fn with_frontier_bootstrap(self, settings: &[SettingOutcomes], options: &Options) -> Self {
        let runs: Vec<RunOutcomes> = settings.iter().flat_map(|setting| setting.seeds.clone()).collect();
        let mut outcomes = Outcomes::of(&runs, options.from.unwrap_or(0.0));
        outcomes.settings = settings
            .iter()
            .scan(0, |next, setting| {
                let members = *next..*next + setting.seeds.len();
                *next = members.end;
                Some((Some(setting.budgets), members.collect()))
            })
            .collect();
        self.with_intervals(&outcomes, options)
    }

    fn with_intervals(mut self, outcomes: &Outcomes, options: &Options) -> Self {
        let is_too_few = self.verdict.label == Label::Undetermined && self.verdict.rule == 0;
        if is_too_few || outcomes.n_points() == 0 {
            return self;
        }
        let several = [Resample::Problems, Resample::Seeds, Resample::Both];
        let has_seeds = outcomes.settings.iter().any(|(_, members)| members.len() > 1);
        let ways = if has_seeds { &several[..] } else { &several[..1] };
        let names = ["log_linear"].into_iter().chain(self.best().map(|form| form.name));
        let names: Vec<&'static str> = names.collect();
        self.bootstrap = ways
            .iter()
            .map(|&over| {
                let spreads = |&name: &&'static str| Some((name, outcomes.spreads(name, over, options.given, 0)?));
                let (problems, runs) = (outcomes.n_problems, outcomes.runs.len());
                Bootstrap { over, draws: DRAWS, problems, runs, forms: names.iter().filter_map(spreads).collect() }
            })
            .collect();
        self
    }
}

/// Draws problems or runs anew `draws` times and fits a form each time. Equal seeds give equal intervals.
///
/// None if the form is unknown or cannot be fitted.
pub fn bootstrap(runs: &[RunOutcomes], form: &str, resample: Resample, draws: usize, seed: u64) -> Option<Vec<Spread>> {
    Outcomes { draws, ..Outcomes::of(runs, 0.0) }.spreads(form, resample, Given::Nothing, seed)
}

/// What one problem did at one checkpoint.
#[derive(Clone, Copy)]
struct Outcome {
    /// Which problem of all.
    problem: usize,
    /// The share of its samples that is right.
    share: f64,
    /// Its samples.
    n: f64,
}

/// A checkpoint's compute, and what every problem did at it.
type Answers = (f64, Vec<Outcome>);

/// Outcomes with problems as numbers, since they are gone through for every draw.
struct Outcomes {
    runs: Vec<Vec<Answers>>,
    /// Which runs are seeds of one setting; and for frontiers, which of their points are budgets.
    settings: Vec<(Option<Budgets>, Vec<usize>)>,
    n_problems: usize,
    draws: usize,
}

impl Outcomes {
    /// Takes the checkpoints with at least so much compute; those before the first step are never fitted.
    fn of(runs: &[RunOutcomes], from: f64) -> Self {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let checkpoints = || runs.iter().flat_map(|run| &run.checkpoints);
        for id in checkpoints().flat_map(|checkpoint| checkpoint.problems.keys()) {
            let next = numbers.len();
            numbers.entry(id).or_insert(next);
        }
        let answers = |checkpoint: &crate::outcomes::Checkpoint| -> Answers {
            let judged = checkpoint.problems.iter().filter(|(_, counts)| counts.n > 0.0);
            let outcome = judged.map(|(id, counts)| Outcome {
                problem: numbers[id.as_str()],
                share: counts.right / counts.n,
                n: counts.n,
            });
            (checkpoint.compute, outcome.collect())
        };
        let is_fitted =
            |answers: &Answers| answers.0 > 0.0 && answers.0 >= from * (1.0 - 1e-9) && !answers.1.is_empty();
        let settings = vec![(None, (0..runs.len()).collect())];
        let runs = runs.iter().map(|run| run.checkpoints.iter().map(answers).filter(is_fitted).collect()).collect();
        Self { runs, settings, n_problems: numbers.len(), draws: DRAWS }
    }

    fn n_points(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    fn spreads(&self, form: &str, resample: Resample, given: Given, seed: u64) -> Option<Vec<Spread>> {
        let shape = *shapes::ALL.iter().find(|shape| shape.name() == form)?;
        let once = vec![1.0; self.n_problems];
        let all: Vec<Vec<usize>> = self.settings.iter().map(|(_, members)| members.clone()).collect();
        let found = search_given(shape, &self.samples(&all, &once), given)?;
        let is_frontier = self.settings.iter().any(|(budgets, _)| budgets.is_some());
        let mut values: Vec<Vec<f64>> = vec![vec![]; shape.params().len()];
        let mut random = Random::keyed(seed);
        for _ in 0..self.draws {
            let mut times = once.clone();
            if resample != Resample::Seeds {
                times.iter_mut().for_each(|times| *times = 0.0);
                (0..self.n_problems).for_each(|_| times[random.below(self.n_problems)] += 1.0);
            }
            let of_runs = match resample {
                Resample::Problems => all.clone(),
                Resample::Seeds | Resample::Both => drawn_within(&all, &mut random),
            };
            let samples = self.samples(&of_runs, &times);
            // A frontier has other points each time, but about the same curve.
            let again = if is_frontier || samples.all().len() == self.n_points() {
                refit(&found, &samples)
            } else {
                search_given(shape, &samples, given)
            };
            for (values, value) in values.iter_mut().zip(again.iter().flat_map(|found| found.params())) {
                values.push(value);
            }
        }
        let names = shape.params().iter().zip(found.params()).zip(values);
        names.map(|((&name, value), draws)| spread(name, value, draws)).collect()
    }

    /// The points of some runs of each setting, each problem counted as often as it was drawn.
    fn samples(&self, of_settings: &[Vec<usize>], times: &[f64]) -> Samples {
        let point = |(compute, answers): &Answers| {
            let sum = |f: fn(&Outcome) -> f64| answers.iter().map(|o| times[o.problem] * f(o)).sum::<f64>();
            let (problems, n) = (sum(|_| 1.0), sum(|outcome| outcome.n));
            let y = sum(|outcome| outcome.share) / problems.max(1.0);
            Point { step: 0, compute: *compute, y, lenient: None, n: Some(n) }
        };
        let one = |&run: &usize| Series {
            name: String::new(),
            set: String::new(),
            points: self.runs[run].iter().map(point).collect(),
        };
        let seeds = of_settings.iter().map(|runs| runs.iter().map(one).collect::<Vec<_>>());
        let settings: Vec<Setting> = seeds
            .clone()
            .zip(&self.settings)
            .filter_map(|(seeds, (budgets, _))| Some(Setting { name: String::new(), budgets: (*budgets)?, seeds }))
            .collect();
        Samples::of(&if settings.is_empty() { seeds.flatten().collect::<Vec<_>>() } else { frontier(&settings) })
    }
}

/// Draws as many runs of each setting as it has.
fn drawn_within(settings: &[Vec<usize>], random: &mut Random) -> Vec<Vec<usize>> {
    settings.iter().map(|runs| runs.iter().map(|_| runs[random.below(runs.len())]).collect()).collect()
}

fn spread(name: &'static str, value: f64, draws: Vec<f64>) -> Option<Spread> {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let se = (draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let interval = Interval::of_draws(draws, 0.95)?;
    Some(Spread { name, value, se, low: interval.low, high: interval.high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::fit;
    use crate::outcomes::{Checkpoint, Counts};

    #[test]
    fn the_slope_is_surer_than_the_level() {
        // 100 problems: 40 always right, 40 never, 20 learnt one after another over 10 checkpoints.
        let problem = |i: usize, step: usize| Counts { right: f64::from(u8::from(i < 40 + 2 * step)), n: 1.0 };
        let checkpoint = |step: usize| Checkpoint {
            compute: 10_f64.powf(step as f64 / 3.0 + 1.0),
            problems: (0..100).map(|i| (i.to_string(), problem(i, step))).collect(),
        };
        let run = RunOutcomes { name: "r".to_owned(), checkpoints: (0..10).map(checkpoint).collect() };
        let spreads = bootstrap(std::slice::from_ref(&run), "constant", Resample::Problems, 400, 3).unwrap();
        // The level is a mean over 100 problems whose own means have a standard deviation near 0.45.
        assert!((spreads[0].value - 0.49).abs() < 0.005 && (spreads[0].se - 0.045).abs() < 0.01, "{spreads:?}");
        let line = bootstrap(&[run], "log_linear", Resample::Problems, 400, 3).unwrap();
        // 18 of 100 problems make the slope of 6 points a decade: its relative error is that of the count, √(.82/18) = .21.
        assert!((line[1].value - 0.06).abs() < 0.003 && (line[1].se / line[1].value - 0.21).abs() < 0.06, "{line:?}");
    }

    #[test]
    fn a_frontier_is_taken_anew_from_every_draw() {
        // A steep setting overtakes a flat one after a decade and a half; two seeds of each, a fifth apart in what they know.
        let problem = |i: usize, known: f64| Counts { right: f64::from(u8::from((i as f64) < known)), n: 1.0 };
        let run = |start: f64, slope: f64| {
            let checkpoint = |step: i32| {
                let known = start + slope * f64::from(step) / 4.0;
                Checkpoint {
                    compute: 10_f64.powf(f64::from(step) / 4.0),
                    problems: (0..100).map(|i| (i.to_string(), problem(i, known))).collect(),
                }
            };
            RunOutcomes { name: "r".to_owned(), checkpoints: (1..=12).map(checkpoint).collect() }
        };
        let setting = |start: f64, slope: f64| SettingOutcomes {
            budgets: Budgets::Checkpoints,
            seeds: vec![run(start - 4.0, slope), run(start + 4.0, slope)],
        };
        let outcomes = [setting(31.0, 4.0), setting(15.0, 14.0)];
        let settings = outcomes.each_ref().map(|setting| Setting {
            name: String::new(),
            budgets: setting.budgets,
            seeds: setting.seeds.iter().map(points).collect(),
        });
        let series = frontier(&settings);
        let options = Options { kind: super::super::Kind::Frontier, ..Options::default() };
        let fit = crate::fit::fit_with(&series, &options).with_frontier_bootstrap(&outcomes, &options);
        assert_eq!((fit.seeds, fit.points), (2, 24));
        let over: Vec<(Resample, usize)> = fit.bootstrap.iter().map(|b| (b.over, b.runs)).collect();
        assert_eq!(over, [(Resample::Problems, 4), (Resample::Seeds, 4), (Resample::Both, 4)]);
        let slope = |i: usize| fit.bootstrap[i].forms["log_linear"][1];
        // Another pair of seeds moves the crossing, and with it the slope; the fit itself is one of the draws.
        assert!(
            slope(1).se > 0.002 && slope(1).low < slope(1).value && slope(1).value < slope(1).high,
            "{:?}",
            slope(1)
        );
        assert!(slope(2).se > slope(0).se, "{:?} {:?}", slope(2), slope(0));
    }

    fn points(run: &RunOutcomes) -> Series {
        let point =
            |c: &Checkpoint| Point { step: 0, compute: c.compute, y: c.mean().unwrap(), lenient: None, n: Some(100.0) };
        Series { name: run.name.clone(), set: "s".to_owned(), points: run.checkpoints.iter().map(point).collect() }
    }

    #[test]
    fn a_fit_has_intervals_over_problems_and_over_seeds() {
        let problem = |i: usize, step: usize| Counts { right: f64::from(u8::from(i < 30 + 3 * step)), n: 1.0 };
        let checkpoint = |step: usize| Checkpoint {
            compute: if step == 0 { 0.0 } else { 10_f64.powf(step as f64 / 3.0) },
            problems: (0..100).map(|i| (i.to_string(), problem(i, step))).collect(),
        };
        let run = |name: &str| RunOutcomes { name: name.to_owned(), checkpoints: (0..10).map(checkpoint).collect() };
        let runs = [run("a"), run("b")];
        let series: Vec<Series> = runs.iter().map(points).collect();
        let one = fit(&series[..1]).with_bootstrap(&runs[..1], &Options::default());
        assert_eq!(one.bootstrap.len(), 1);
        let slope = one.bootstrap[0].forms["log_linear"][1];
        // Nine points a decade, from three problems learnt between checkpoints.
        assert!((slope.value - 0.09).abs() < 1e-9 && slope.low > 0.05 && slope.high < 0.14, "{slope:?}");
        let two = fit(&series).with_bootstrap(&runs, &Options { from: Some(3.0), ..Options::default() });
        let over: Vec<Resample> = two.bootstrap.iter().map(|bootstrap| bootstrap.over).collect();
        assert_eq!(over, [Resample::Problems, Resample::Seeds, Resample::Both]);
        // Equal runs: drawing them changes nothing.
        assert!(two.bootstrap[1].forms["log_linear"][1].se < 1e-9);
        let json = two.to_json();
        assert_eq!(
            (&json["bootstrap"][0]["over"], &json["bootstrap"][0]["problems"]),
            (&"problems".into(), &100.into())
        );
        assert!(json["bootstrap"][0]["forms"]["log_linear"]["b"]["low"].is_number(), "{json:#}");
    }
}
