//! The frontier over settings: what the best of them reaches with so much compute.
//!
//! Seeds of one setting are never chosen among: settings are compared by the mean over their seeds, since the best seed of
//! several says more of luck than of compute. What is kept are measured points, those of all seeds of the setting that is
//! the best one there, so that their scatter stays to be seen and counts as noise.

use crate::fit::{Fit, Options, fit_with};
use crate::outcomes::RunOutcomes;
use crate::points::{Point, Series};
use crate::report::configs;
use crate::runs::Run;

/// Which points of a run are budgets of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budgets {
    /// The last alone: with a learning rate that decays, a checkpoint is not a finished smaller run.
    Ends,
    /// Every one: with a constant learning rate, training could have ended there.
    Checkpoints,
}

/// Runs that differ in their seed alone, by their names.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What sets them apart from others, such as `optimizer.lr = 1e-6`.
    pub name: String,
    /// Which of their points are budgets.
    pub budgets: Budgets,
    /// The names of the runs.
    pub runs: Vec<String>,
}

/// The points of a group on one evaluation set.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// What sets it apart.
    pub name: String,
    /// Which points are budgets.
    pub budgets: Budgets,
    /// The runs, one a seed.
    pub seeds: Vec<Series>,
}

/// What each problem did behind the points of a [`Setting`].
#[derive(Clone, Debug)]
pub struct SettingOutcomes {
    /// Which points are budgets.
    pub budgets: Budgets,
    /// The runs, one a seed.
    pub seeds: Vec<RunOutcomes>,
}

/// Groups runs by their configs, names and seeds aside. A run whose config cannot be read is a group of its own, and its last
/// point alone a budget.
pub fn groups(runs: &[&Run]) -> Vec<Group> {
    let alone = |i: usize| (runs[i].name.clone(), vec![i]);
    let groups = match configs::parsed(runs) {
        Some(_) => configs::groups(runs),
        None => (0..runs.len()).map(alone).collect(),
    };
    let group = |(name, members): (String, Vec<usize>)| {
        let is_constant = |&i: &usize| configs::schedule(runs[i]).is_some_and(|schedule| schedule == "constant");
        let budgets = if members.iter().all(is_constant) { Budgets::Checkpoints } else { Budgets::Ends };
        Group { name, budgets, runs: members.into_iter().map(|i| runs[i].name.clone()).collect() }
    };
    groups.into_iter().map(group).collect()
}

/// Sorts series into the groups of their runs. Series of no group come from tables: each row is a budget, and those that
/// differ in their `seed` alone are one setting.
pub fn settings(groups: &[Group], series: &[Series]) -> Vec<Setting> {
    let mut settings: Vec<Setting> = groups
        .iter()
        .map(|group| Setting {
            name: group.name.clone(),
            budgets: group.budgets,
            seeds: series.iter().filter(|one| group.runs.contains(&one.name)).cloned().collect(),
        })
        .collect();
    for one in series.iter().filter(|one| !groups.iter().any(|group| group.runs.contains(&one.name))) {
        let name = one.name.rsplit_once("seed ").map_or(one.name.as_str(), |(name, _)| name.trim_end_matches(", "));
        match settings[groups.len()..].iter_mut().find(|setting| setting.name == name) {
            Some(setting) => setting.seeds.push(one.clone()),
            None => {
                let budgets = Budgets::Checkpoints;
                settings.push(Setting { name: name.to_owned(), budgets, seeds: vec![one.clone()] });
            }
        }
    }
    settings.retain(|setting| setting.seeds.iter().any(|seed| seed.points.iter().any(|point| point.compute > 0.0)));
    settings
}

/// Takes the points of the settings that are the best at their compute: the first seeds of all settings as one series, the
/// second ones as another, and so on.
///
/// Between its budgets a setting reaches what lies between them in log compute, and beyond the last one what it reached
/// there. Choosing the best of several noisy settings is biased upwards; the more settings, the more.
pub fn frontier(settings: &[Setting]) -> Vec<Series> {
    let budgets: Vec<Vec<Vec<&Point>>> = settings
        .iter()
        .map(|setting| setting.seeds.iter().map(|seed| budgets(seed, setting.budgets)).collect())
        .collect();
    let is_best = |of: usize, compute: f64| {
        let Some(own) = reached(&budgets[of], compute) else { return false };
        let better = |other: usize| {
            let is_over = budgets[other].iter().flatten().all(|point| point.compute < compute);
            reached(&budgets[other], compute).is_some_and(|y| y > own || (y >= own && is_over))
        };
        !(0..settings.len()).any(|other| other != of && better(other))
    };
    let most = settings.iter().map(|setting| setting.seeds.len()).max().unwrap_or(0);
    let set =
        settings.iter().flat_map(|setting| &setting.seeds).map(|seed| seed.set.clone()).next().unwrap_or_default();
    let one = |rank: usize| {
        let of_rank = budgets.iter().enumerate().filter_map(|(of, seeds)| Some((of, seeds.get(rank)?)));
        let kept = of_rank.flat_map(|(of, seed)| seed.iter().filter(move |point| is_best(of, point.compute)));
        let mut points: Vec<Point> = kept.map(|&point| point.clone()).collect();
        points.sort_by(|a, b| a.compute.total_cmp(&b.compute));
        let name = if most > 1 { format!("frontier, seed no. {}", rank + 1) } else { "frontier".to_owned() };
        Series { name, set: set.clone(), points }
    };
    (0..most).map(one).filter(|series| !series.points.is_empty()).collect()
}

/// Fits the frontier over settings, with intervals over problems and seeds if the outcomes of every run are known.
pub fn fit_frontier(settings: &[Setting], outcomes: &[RunOutcomes], options: &Options) -> Fit {
    let fit = fit_with(&frontier(settings), options);
    let of_seed = |seed: &Series| outcomes.iter().find(|run| run.name == seed.name).cloned();
    let of_setting = |setting: &Setting| -> Option<SettingOutcomes> {
        let seeds = setting.seeds.iter().map(of_seed).collect::<Option<Vec<RunOutcomes>>>()?;
        Some(SettingOutcomes { budgets: setting.budgets, seeds })
    };
    match settings.iter().map(of_setting).collect::<Option<Vec<SettingOutcomes>>>() {
        Some(behind) => fit.with_frontier_bootstrap(&behind, options),
        None => fit,
    }
}

/// The points of a run that are budgets, in order of compute.
fn budgets(seed: &Series, budgets: Budgets) -> Vec<&Point> {
    let mut points: Vec<&Point> = seed.points.iter().filter(|point| point.compute > 0.0).collect();
    points.sort_by(|a, b| a.compute.total_cmp(&b.compute));
    match budgets {
        Budgets::Ends => points.pop().into_iter().collect(),
        Budgets::Checkpoints => points,
    }
}

/// What a setting reaches with so much compute, the mean over the seeds that have begun by then.
fn reached(seeds: &[Vec<&Point>], compute: f64) -> Option<f64> {
    let levels: Vec<f64> = seeds.iter().filter_map(|points| level(points, compute)).collect();
    (!levels.is_empty()).then(|| levels.iter().sum::<f64>() / levels.len() as f64)
}

fn level(points: &[&Point], compute: f64) -> Option<f64> {
    let next = points.partition_point(|point| point.compute <= compute);
    let before = points[..next].last()?;
    let Some(after) = points.get(next) else { return Some(before.y) };
    let share = (compute / before.compute).ln() / (after.compute / before.compute).ln();
    Some(before.y + share * (after.y - before.y))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, points: &[(f64, f64)]) -> Series {
        let point = |&(compute, y): &(f64, f64)| Point { step: 0, compute, y, lenient: None, n: None };
        Series { name: name.to_owned(), set: "s".to_owned(), points: points.iter().map(point).collect() }
    }

    /// Compute and accuracy of the points of some runs.
    type Runs<'a> = &'a [&'a [(f64, f64)]];

    #[track_caller]
    fn check(settings: &[(Budgets, Runs<'_>)], expected: Runs<'_>) {
        let setting = |&(budgets, seeds): &(Budgets, Runs<'_>)| Setting {
            name: String::new(),
            budgets,
            seeds: seeds.iter().map(|points| run("r", points)).collect(),
        };
        let settings: Vec<Setting> = settings.iter().map(setting).collect();
        let kept: Vec<Vec<(f64, f64)>> =
            frontier(&settings).iter().map(|one| one.points.iter().map(|p| (p.compute, p.y)).collect()).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn of_runs_with_one_budget_each_those_stay_that_no_cheaper_one_equals() {
        use Budgets::Ends;
        check(
            &[
                (Ends, &[&[(1.0, 0.9), (10.0, 0.3)]]),
                (Ends, &[&[(20.0, 0.2)]]),
                (Ends, &[&[(30.0, 0.4)]]),
                (Ends, &[&[(10.0, 0.25)]]),
                (Ends, &[&[(40.0, 0.4)]]),
            ],
            &[&[(10.0, 0.3), (30.0, 0.4)]],
        );
    }

    #[test]
    fn of_trajectories_the_best_at_each_compute_stays_though_it_falls() {
        use Budgets::Checkpoints;
        // The second overtakes between 10 and 100, ends at 100, and what it reached stands against the first one's 1000.
        check(
            &[
                (Checkpoints, &[&[(0.0, 0.1), (1.0, 0.3), (10.0, 0.4), (100.0, 0.5), (1000.0, 0.55)]]),
                (Checkpoints, &[&[(0.0, 0.4), (1.0, 0.2), (10.0, 0.3), (100.0, 0.6)]]),
            ],
            &[&[(1.0, 0.3), (10.0, 0.4), (100.0, 0.6)]],
        );
        check(&[(Checkpoints, &[&[(1.0, 0.3), (10.0, 0.2)]])], &[&[(1.0, 0.3), (10.0, 0.2)]]);
    }

    #[test]
    fn settings_are_chosen_by_the_mean_of_their_seeds_which_all_stay() {
        use Budgets::Checkpoints;
        check(
            &[(Checkpoints, &[&[(10.0, 0.9)], &[(10.0, 0.1)]]), (Checkpoints, &[&[(10.0, 0.6)], &[(10.0, 0.5)]])],
            &[&[(10.0, 0.6)], &[(10.0, 0.5)]],
        );
    }

    #[test]
    fn between_budgets_a_setting_is_read_off_in_log_compute() {
        let run = run("r", &[(1.0, 0.2), (100.0, 0.6)]);
        let points: Vec<&Point> = run.points.iter().collect();
        let at = |compute| level(&points, compute).map(|y| (y * 1e9).round() / 1e9);
        assert_eq!([at(0.5), at(1.0), at(10.0), at(1e3)], [None, Some(0.2), Some(0.4), Some(0.6)]);
    }

    #[test]
    fn rows_of_tables_that_differ_in_their_seed_are_one_setting() {
        let group = Group { name: "lr = 1".to_owned(), budgets: Budgets::Ends, runs: vec!["x".to_owned()] };
        let series: Vec<Series> =
            ["a, seed 0", "x", "a, seed 1", "seed 3", "b", "empty"].map(|name| run(name, &[(1.0, 0.5)])).to_vec();
        let mut series = series;
        series[5].points.clear();
        let found: Vec<(String, usize)> =
            settings(&[group], &series).into_iter().map(|setting| (setting.name, setting.seeds.len())).collect();
        let expected = [("lr = 1", 1), ("a", 2), ("", 1), ("b", 1)].map(|(name, n)| (name.to_owned(), n));
        assert_eq!(found, expected);
    }
}
