//! The report: one static page that says what runs show, and what they do not.
//!
//! The page needs no network, no script and no other file, so that it can be mailed, archived and opened anywhere; its
//! policy forbids the browser to load anything. Text of models is hostile: it is escaped, and characters that are not
//! seen are written out.

mod checklist;
pub(crate) mod configs;
mod page;
mod samples;
mod sets;
mod table;

use crate::figure::{self, FigureError, PanelsFigure, Theme};
use crate::fit::Options;
use crate::runs::{Run, RunsError};
use page::Page;
pub use sets::{SetReport, describe};

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The runs cannot be read.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// A figure could not be written.
    #[error(transparent)]
    Figure(#[from] FigureError),
}

/// A figure on both papers, with its data.
#[derive(Debug)]
pub struct Drawn {
    /// What it is called as a file.
    pub stem: String,
    /// What it shows, for those who do not see it.
    pub words: String,
    /// The SVG for light paper.
    pub light: String,
    /// The SVG for dark paper.
    pub dark: String,
    /// The data.
    pub csv: String,
}

/// What runs show together.
#[derive(Debug)]
pub struct Report<'a> {
    runs: Vec<&'a Run>,
    sets: Vec<SetReport>,
    training: Option<Drawn>,
}

impl<'a> Report<'a> {
    /// Fits and draws everything that the page shows.
    ///
    /// # Errors
    ///
    /// If samples or points cannot be read.
    pub fn of(runs: &'a [Run], options: Options) -> Result<Self, ReportError> {
        let runs: Vec<&Run> = runs.iter().collect();
        let (sets, training) = (sets::of_runs(&runs, &options)?, training(&runs));
        Ok(Self { runs, sets, training })
    }

    /// Returns what is said of each evaluation set.
    pub fn sets(&self) -> &[SetReport] {
        &self.sets
    }

    /// Returns all figures.
    pub fn figures(&self) -> impl Iterator<Item = &Drawn> {
        self.sets.iter().flat_map(|set| &set.figures).chain(&self.training)
    }

    /// Writes every figure as SVG, PNG and CSV into a folder.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write_figures(&self, folder: &std::path::Path, theme: Theme) -> Result<(), FigureError> {
        for drawn in self.figures() {
            let svg = if theme == Theme::Light { &drawn.light } else { &drawn.dark };
            figure::write(folder, &drawn.stem, svg.clone(), drawn.csv.clone())?;
        }
        Ok(())
    }

    /// Returns the page; `command` makes it again.
    pub fn to_html(&self, command: &str) -> String {
        let names: Vec<&str> = self.runs.iter().map(|run| run.name.as_str()).collect();
        let mut page = Page::new(&format!("Report on {}", named(&names)));
        for warning in self.runs.iter().flat_map(|run| run.warnings()) {
            page.warning(&warning);
        }
        for set in &self.sets {
            set.write(&mut page, &self.runs);
        }
        table::write(&mut page, &self.runs, &self.sets);
        configs::write(&mut page, &self.runs);
        if let Some(training) = &self.training {
            page.heading("Training");
            page.text("Training reward is not evaluation: filters and curricula change what it is measured on.");
            page.figure(training);
        }
        samples::write(&mut page, &self.runs, &self.sets);
        checklist::write(&mut page, &self.runs, &self.sets);
        page.heading("Made again");
        page.text("Everything here is a function of the run folders. This command makes the page again:");
        page.code(command);
        page.finish()
    }
}

fn named(names: &[&str]) -> String {
    match names {
        [one] => (*one).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first, .., last] => format!("{} runs, {first} to {last}", names.len()),
        [] => "nothing".to_owned(),
    }
}

fn training(runs: &[&Run]) -> Option<Drawn> {
    let records: Vec<(&str, &[crate::Record])> = runs.iter().map(|run| (run.name.as_str(), run.records())).collect();
    let figure = PanelsFigure { runs: &records, title: "Training, step by step" };
    Some(Drawn {
        stem: "training".to_owned(),
        words: "reward, entropy, length and what else was recorded of each training step".to_owned(),
        light: figure.to_svg(Theme::Light)?,
        dark: figure.to_svg(Theme::Dark)?,
        csv: figure.to_csv(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::record::{Kind, Metrics, Record, SCHEMA};
    use crate::runs::open;
    use crate::store::LineWriter;

    /// A run of twelve evaluations over three decades on 50 problems, of which one more is learnt each time.
    fn write_run(folder: &Path, seed: u64) -> PathBuf {
        let run = folder.join(format!("seed{seed}"));
        std::fs::create_dir_all(run.join("evals")).unwrap();
        std::fs::create_dir_all(run.join("rollouts")).unwrap();
        let mut writer = LineWriter::append(&run.join("metrics.jsonl")).unwrap();
        for step in 0..13_u64 {
            let n_right = 10 + 2 * step;
            let mut metrics = Metrics::default();
            metrics.set("eval/sums/mean@2", n_right as f64 / 50.0);
            metrics.set("eval/sums/lenient", (n_right + 1) as f64 / 50.0);
            metrics.set("eval/sums/n_samples", 100.0);
            metrics.set("compute/flops_total", if step == 0 { 0.0 } else { 10_f64.powf(12.0 + step as f64 / 4.0) });
            metrics.set("compute/tokens_gen", 1000.0 * step as f64);
            metrics.set("compute/flops_sft", 3e14);
            writer
                .write(&Record { kind: Kind::Eval, schema: SCHEMA, step, time_s: 0.0, message: None, metrics })
                .unwrap();
            let mut metrics = Metrics::default();
            metrics.set("reward/mean", 0.1 * step as f64);
            writer
                .write(&Record { kind: Kind::Step, schema: SCHEMA, step, time_s: 0.0, message: None, metrics })
                .unwrap();
            let row = |problem: u64, sample: u64| {
                let score = f64::from(u8::from(problem < n_right));
                let completion = "</pre><script>alert(1)</script>\u{202e}evil\u{1b}[31m";
                serde_json::json!({"set": "sums", "task_id": format!("p{problem:02}"), "sample": sample, "score": score,
                    "completion": completion, "n_tokens": 9, "stop": "eos", "finding": "f", "answer": "1"})
                .to_string()
            };
            let rows: Vec<String> = (0..50).flat_map(|problem| [row(problem, 0), row(problem, 1)]).collect();
            std::fs::write(crate::evals::path(&run, step), rows.join("\n")).unwrap();
        }
        let rollout = r#"{"task_id":"t","prompt":"2+2=","completion":"4 <b>","reward":1.0,"outcome":1.0}"#;
        std::fs::write(run.join("rollouts/step_000012.jsonl"), rollout).unwrap();
        std::fs::write(
            run.join("config.toml"),
            format!("[run]\nseed = {seed}\n[optimizer]\nschedule = \"constant\"\n"),
        )
        .unwrap();
        let header = r#"{"seed":SEED,"model":{"type":"<llama>"},"compute":{"formula":"2 N T"},"warnings":["w & w"]}"#;
        std::fs::write(run.join("run.json"), header.replace("SEED", &seed.to_string())).unwrap();
        run
    }

    #[test]
    fn a_page_says_what_runs_show_and_stays_whole_under_hostile_text() {
        let folder = tempfile::tempdir().unwrap();
        let folders: Vec<PathBuf> = (0..3).map(|seed| write_run(folder.path(), seed)).collect();
        let runs = open(&folders).unwrap();
        let report = Report::of(&runs, Options::default()).unwrap();
        let html = report.to_html("rlvr report …");
        for words in [
            "Report on 3 runs, seed0 to seed2",
            "<b>log-linear</b>",
            "Replicated: 3 runs",
            "Format share of the gain: 4 %",
            "The runs differ in nothing but name and seed.",
            "Most improved: p10, right 0 of 2 before, 2 of 2 after",
            "&lt;script&gt;alert(1)&lt;/script&gt;<b class=\"hidden\">\\u{202e}</b>evil<b class=\"hidden\">\\u{1b}</b>[31m",
            "&lt;llama&gt;",
            "w &amp; w",
            "+48.0 points (",
            "tokens sampled, log scale",
            "The warm start took 3.00e14 FLOPs.",
            "rlvr report …",
        ] {
            assert!(html.contains(words), "`{words}` is missing");
        }
        assert!(!html.contains("<script") && !html.contains('\u{202e}') && !html.contains("NaN"));
        assert_eq!(html.matches("<details>").count(), html.matches("</details>").count());
        assert_eq!(html, Report::of(&runs, Options::default()).unwrap().to_html("rlvr report …"), "equal bytes");
        let stems: Vec<&str> = report.figures().map(|drawn| drawn.stem.as_str()).collect();
        assert_eq!(stems[..3], ["curve-sums", "heldout-sums", "curve-sums-tokens_gen"]);
        assert!(stems.contains(&"difficulty-sums-3") && stems.contains(&"training"), "{stems:?}");
        report.write_figures(folder.path(), Theme::Dark).unwrap();
        assert!(folder.path().join("samples-sums-1.png").exists());
    }

    #[test]
    fn claims_hold_only_as_far_as_the_log_says() {
        let folder = tempfile::tempdir().unwrap();
        let runs = open(&[write_run(folder.path(), 0)]).unwrap();
        let report = Report::of(&runs, Options::default()).unwrap();
        let asked =
            checklist::Asked { runs: &report.runs, set: &report.sets[0], configs: configs::parsed(&report.runs) };
        let statuses: Vec<(&str, char)> = asked
            .claims()
            .iter()
            .map(|(number, status, _)| (*number, format!("{status:?}").chars().next().unwrap()))
            .collect();
        let expected = [
            ("1", 'H'),
            ("2", 'F'),
            ("3", 'H'),
            ("3", 'H'),
            ("4", 'H'),
            ("5", 'H'),
            ("5", 'U'),
            ("6", 'H'),
            ("6", 'H'),
            ("6", 'U'),
            ("7", 'H'),
            ("8", 'H'),
            ("9", 'H'),
            ("10", 'F'),
            ("11", 'H'),
            ("12", 'H'),
            ("13", 'H'),
            ("14", 'U'),
            ("15", 'F'),
        ];
        assert_eq!(statuses, expected);
    }

    #[test]
    fn runs_of_other_settings_are_no_seeds() {
        let folder = tempfile::tempdir().unwrap();
        let folders: Vec<PathBuf> = (0..3).map(|seed| write_run(folder.path(), seed)).collect();
        std::fs::write(folders[2].join("config.toml"), "[run]\nseed = 2\n[optimizer]\nschedule = \"cosine\"\n")
            .unwrap();
        let runs = open(&folders).unwrap();
        let report = Report::of(&runs, Options::default()).unwrap();
        let shown: Vec<(&str, usize)> = report.sets().iter().map(|set| (set.name.as_str(), set.fit.seeds)).collect();
        let expected = [
            ("sums, optimizer.schedule = \"constant\"", 2),
            ("sums, optimizer.schedule = \"cosine\"", 1),
            ("sums, frontier over all settings", 2),
        ];
        assert_eq!(shown, expected);
        let html = report.to_html("c");
        assert_eq!(html.matches("held-out accuracy, with 95 % intervals").count(), 2, "the frontier repeats its runs");
        assert!(html.contains("a checkpoint is not a finished smaller run") && !html.contains("Replicated: 3"));
        let mut stems: Vec<&str> = report.figures().map(|drawn| drawn.stem.as_str()).collect();
        let n = stems.len();
        stems.sort_unstable();
        stems.dedup();
        assert_eq!(stems.len(), n, "two figures with one name");
        // One seed twice is no replication, and is said.
        let twin = std::fs::read_to_string(folders[0].join("run.json")).unwrap();
        std::fs::write(folders[1].join("run.json"), twin).unwrap();
        let runs = open(&folders[..2]).unwrap();
        assert!(Report::of(&runs, Options::default()).unwrap().to_html("c").contains("Runs with one seed"));
    }
}
