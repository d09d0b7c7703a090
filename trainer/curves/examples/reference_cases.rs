//! Checks a folder of reference cases and prints a table of what agrees; fails if anything does not.
//!
//! `cargo run --release -p rlvr-curves --example reference_cases -- DIR [LOSSES.csv] [RUNS]`
//!
//! `DIR` has `synth_*.json`, `test_vectors.json`, `scalerl_table1_noisefree.json`, `fit_chinchilla.json`,
//! `verdict_rates.json`, as far as they are there. `LOSSES.csv` has the columns `Model Size`, `Training FLOP` and `loss`, or
//! `N`, `C`, `loss`. `RUNS` simulated runs (default 0) are compared with each row of the rates.
#![expect(clippy::print_stdout, reason = "a program for people")]
#![expect(clippy::unwrap_used, reason = "a damaged case file may well end this program")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rlvr_curves::calibration::scenarios;
use rlvr_curves::estimate::{NoisyVerifier, Votes, best_of_k, bootstrap_mean, majority_at_k, pass_at_k};
use rlvr_curves::fit::{Fit, Label, fit, scalerl};
use rlvr_curves::losses::{Trained, bootstrap_errors, size_and_data};
use rlvr_curves::{Point, Series};
use serde_json::Value;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first().map(PathBuf::from) else {
        println!("which folder? give the path of the reference cases");
        return ExitCode::from(2);
    };
    let runs = arguments.get(2).map_or(0, |runs| runs.parse().expect("a whole number of runs"));
    let mut table = Table { failed: 0 };
    synthetic(&folder, &mut table);
    vectors(&folder, &mut table);
    scalerl_rows(&folder, &mut table);
    chinchilla(&folder, arguments.get(1).map(Path::new), &mut table);
    rates(&folder, runs, &mut table);
    println!("\n{} disagreements", table.failed);
    ExitCode::from(u8::from(table.failed > 0))
}

struct Table {
    failed: usize,
}

impl Table {
    fn row(&mut self, what: &str, agrees: bool, detail: &str) {
        self.failed += usize::from(!agrees);
        println!("{} | {what} | {detail}", if agrees { "ok  " } else { "FAIL" });
    }
}

fn read(path: &Path) -> Option<Value> {
    std::fs::read_to_string(path).ok().map(|text| serde_json::from_str(&text).unwrap())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn synthetic(folder: &Path, table: &mut Table) {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("synth_") || path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let case = read(&path).unwrap();
        let weighted = fit(&series(&case, true));
        let label = weighted.verdict.label.as_str();
        let accepted = case["expected"]["accept"].as_array().unwrap().iter().any(|word| word == label);
        table.row(&format!("{name} verdict"), accepted, &weighted.sentence);
        compare_forms(&name, &case["fits_wls_binomial"], &weighted, table);
        compare_forms(&format!("{name} unweighted"), &case["fits_ols"], &fit(&series(&case, false)), table);
    }
}

fn series(case: &Value, is_weighted: bool) -> Vec<Series> {
    let mut all: Vec<Series> = vec![];
    for point in case["points"].as_array().unwrap() {
        let name = point["seed"].to_string();
        let n = is_weighted.then(|| number(&point["n"]));
        let point = Point { step: 0, compute: number(&point["C"]), y: number(&point["y"]), lenient: None, n };
        match all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => all.push(Series { name, set: "synthetic".to_owned(), points: vec![point] }),
        }
    }
    all
}

/// A form agrees if its misfit is not above the reference's; where that is equal and the parameters are identified, they must
/// agree too.
fn compare_forms(name: &str, reference: &Value, fit: &Fit, table: &mut Table) {
    for (form_name, expected) in reference.as_object().unwrap() {
        let form = fit.form(form_name).unwrap();
        let n = number(&expected["n"]);
        let (ours, theirs) = match form.chi2_dof {
            Some(per_dof) => (per_dof * (n - number(&expected["k"])), number(&expected["chi2"])),
            None => (form.rmse * form.rmse * n, number(&expected["rss"])),
        };
        let is_identified = expected["at_bound"].as_array().unwrap().is_empty() && number(&expected["jtj_cond"]) < 1e7;
        let scale = fit.phi2.sqrt() * fit.widening;
        let mut worst: f64 = 0.0;
        for param in &form.params {
            let (value, se) = (number(&expected["params"][param.name]), number(&expected["se"][param.name]));
            worst = worst.max((param.value - value).abs() / se.max(1e-12));
            worst = worst.max((param.se.unwrap() / scale / se - 1.0).abs());
        }
        let agrees =
            ours <= theirs * (1.0 + 1e-6) + 1e-12 && (!is_identified || worst < 0.02 || ours < theirs * (1.0 - 1e-6));
        let detail = format!("misfit {ours:.6} of {theirs:.6}; largest difference {worst:.1e} standard errors");
        table.row(&format!("{name} {form_name}"), agrees, &detail);
    }
}

fn vectors(folder: &Path, table: &mut Table) {
    let Some(all) = read(&folder.join("test_vectors.json")) else { return };
    let mut check = |name: &str, ours: &dyn Fn(&Value) -> f64| {
        let cases = all[name].as_array().unwrap();
        let worst = cases.iter().map(|case| (ours(case) - number(&case["value"])).abs()).fold(0.0, f64::max);
        table.row(
            &format!("{name} ({} vectors)", cases.len()),
            worst < 1e-12,
            &format!("largest difference {worst:.1e}"),
        );
    };
    let whole = |value: &Value| value.as_u64().unwrap();
    check("pass_at_k", &|case| pass_at_k(whole(&case["n"]), whole(&case["c"]), whole(&case["k"])).unwrap());
    check("maj_at_k", &|case| majority_at_k(&votes(case), whole(&case["k"])).unwrap());
    check("best_of_n_binary_verifier", &|case| {
        let verifier = NoisyVerifier { accepts_right: number(&case["tpr"]), accepts_wrong: number(&case["fpr"]) };
        verifier.best_of_n(number(&case["p"]), whole(&case["N"]) as u32)
    });
    for name in ["best_of_k_by_score", "best_of_k_ties"] {
        check(name, &|case| {
            let scores = case["scores"].as_array().unwrap().iter().map(number);
            let right = case["correct"].as_array().unwrap().iter().map(|c| number(c) > 0.5);
            best_of_k(&scores.zip(right).collect::<Vec<_>>(), whole(&case["k"]) as usize).unwrap()
        });
    }
    let set = &all["passk_dataset"];
    for (i, k) in set["k"].as_array().unwrap().iter().enumerate() {
        let c = set["c"].as_array().unwrap().iter();
        let values: Vec<f64> = c.map(|c| pass_at_k(whole(&set["n"]), whole(c), whole(k)).unwrap()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let interval = bootstrap_mean(&values, 1);
        let expected = &set["ci95_bootstrap_by_problem"][i];
        let off = (interval.low - number(&expected[0])).abs().max((interval.high - number(&expected[1])).abs());
        let agrees = (mean - number(&set["pass_at_k"][i])).abs() < 1e-12 && off < number(&set["ci_tol"]);
        table.row(&format!("pass@{k} of 200 problems"), agrees, &format!("{mean:.6}, limits off by {off:.4}"));
    }
}

fn votes(case: &Value) -> Votes {
    let correct = case["correct"].as_str().unwrap();
    let counts = case["counts"].as_object().unwrap();
    let of = |value: &Value| value.as_u64().unwrap();
    Votes {
        right: counts.get(correct).map_or(0, of),
        wrong: counts.iter().filter(|(answer, _)| *answer != correct).map(|(_, n)| of(n)).collect(),
        abstentions: 0,
    }
}

fn scalerl_rows(folder: &Path, table: &mut Table) {
    let Some(all) = read(&folder.join("scalerl_table1_noisefree.json")) else { return };
    for row in all["rows"].as_array().unwrap() {
        let name = row["row"].as_str().unwrap();
        let both = row["C"].as_array().unwrap().iter().zip(row["y"].as_array().unwrap());
        let points =
            both.map(|(c, y)| Point { step: 0, compute: number(c), y: number(y), lenient: None, n: None }).collect();
        let series = [Series { name: name.to_owned(), set: "scalerl".to_owned(), points }];
        let fit = fit(&series);
        let sigmoid = fit.form("sigmoid").unwrap();
        let found = ["R0", "A", "B"].map(|param| sigmoid.param(param).unwrap().value);
        let midpoint = 10_f64.powf(sigmoid.param("log10_Cmid").unwrap().value);
        let truth = &row["truth"];
        let mut worst = (midpoint / number(&truth["Cmid"]) - 1.0).abs();
        for (found, param) in found.into_iter().zip(["R0", "A", "B"]) {
            worst = worst.max((found / number(&truth[param]) - 1.0).abs());
        }
        table.row(&format!("{name} free fit"), worst < 1e-9, &format!("relative difference {worst:.1e}"));
        let grid = scalerl(&series, number(&truth["R0"])).unwrap();
        let expected = &row["grid_fit"];
        let worst = [(grid.asymptote, "A"), (grid.exponent, "B"), (grid.midpoint, "Cmid"), (grid.ssr, "ssr")]
            .map(|(found, param)| (found / number(&expected[param]) - 1.0).abs())
            .into_iter()
            .fold(0.0, f64::max);
        let detail = format!(
            "A {:.3} B {:.6} C_mid {:.2}, relative difference {worst:.1e}",
            grid.asymptote, grid.exponent, grid.midpoint
        );
        table.row(&format!("{name} grid"), worst < 1e-6, &detail);
    }
}

fn chinchilla(folder: &Path, losses: Option<&Path>, table: &mut Table) {
    let (Some(reference), Some(path)) = (read(&folder.join("fit_chinchilla.json")), losses) else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |names: [&str; 2]| header.iter().position(|name| names.contains(name)).unwrap();
    let (n, c, loss) = (column(["Model Size", "N"]), column(["Training FLOP", "C"]), column(["loss", "L"]));
    let mut all: Vec<Trained> = lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let of = |at: usize| cells[at].parse::<f64>().unwrap();
            Trained::of_compute(of(n), of(c), of(loss))
        })
        .collect();
    let of_all = size_and_data(&all).unwrap();
    compare_law("245 points", &of_all, &reference["fit_all245"], table);
    all.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    all.truncate(all.len() - 5);
    let law = size_and_data(&all).unwrap();
    compare_law("240 points", &law, &reference["fit"], table);
    let errors = bootstrap_errors(&all, &law, 1000, 0);
    let expected = &reference["bootstrap"]["se"];
    for (i, name) in ["A", "B", "E", "alpha", "beta"].iter().enumerate() {
        let ratio = errors[i] / number(&expected[*name]);
        table.row(
            &format!("240 points, bootstrap error of {name}"),
            (ratio - 1.0).abs() < 0.2,
            &format!("{:.4}, {ratio:.3} of the reference", errors[i]),
        );
    }
}

fn compare_law(name: &str, law: &rlvr_curves::losses::SizeAndData, expected: &Value, table: &mut Table) {
    let sum = number(&expected["huber_sum"]);
    let off = [(law.alpha, "alpha"), (law.beta, "beta")]
        .map(|(found, param)| (found - number(&expected[param])).abs())
        .into_iter()
        .fold(0.0, f64::max);
    let agrees = law.huber_sum <= sum * (1.0 + 1e-6) && off < 1e-3;
    let detail = format!(
        "A {:.2} B {:.1} E {:.5} α {:.6} β {:.6}, sum {:.8e} of {sum:.8e}, a {:.4}",
        law.a,
        law.b,
        law.e,
        law.alpha,
        law.beta,
        law.huber_sum,
        law.size_exponent()
    );
    table.row(name, agrees, &detail);
}

/// Rows agree if no verdict's share is off by more than 3.3 standard errors of the difference of two shares.
fn rates(folder: &Path, runs: usize, table: &mut Table) {
    let Some(all) = read(&folder.join("verdict_rates.json")).filter(|_| runs > 0) else { return };
    for (row, scenario) in all["rows"].as_array().unwrap().iter().zip(scenarios()) {
        let tally = scenario.measure(runs, 1);
        let (mut worst, mut detail): (f64, String) = (0.0, String::new());
        for label in Label::ALL {
            let (ours, theirs) = (tally.share(label), row["share"][label.as_str()].as_f64().unwrap_or(0.0));
            let pooled = ((ours + theirs) / 2.0).clamp(0.005, 0.995);
            let error = (pooled * (1.0 - pooled) * (1.0 / runs as f64 + 1.0 / number(&row["runs"]))).sqrt();
            worst = worst.max((ours - theirs).abs() / error);
            if ours.max(theirs) > 0.0 {
                detail += &format!("{} {:.1} / {:.1} %; ", label.as_str(), 100.0 * ours, 100.0 * theirs);
            }
        }
        table.row(scenario.name, worst < 3.3, &format!("{detail}z {worst:.1}"));
    }
}
