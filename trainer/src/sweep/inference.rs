//! Figures of what final checkpoints reach with more samples a problem, those of one group together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rlvr_curves::evaluation::Rung;
use rlvr_curves::figure::{self, InferenceFigure, Ladder, Theme, Used};
use serde::Deserialize;

/// What `rlvr eval` wrote, as far as it is needed here.
#[derive(Deserialize)]
struct Evaluation {
    #[serde(default)]
    inference: Vec<Rung>,
}

/// Draws `GROUP.svg` over tokens and `GROUP-flops.svg` over operations beside the evaluations `RUN.json` in a folder, and
/// returns the paths; from the second evaluation set on, names carry the set. Samples under a budget of thinking are left
/// out, since their methods stand on lines of their own.
///
/// # Errors
///
/// If an evaluation cannot be read, or a figure cannot be written.
pub fn draw(folder: &Path, group: &str, runs: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let ladders: Vec<Ladder> = runs.iter().map(|run| read(folder, run)).collect::<anyhow::Result<_>>()?;
    let rungs = || ladders.iter().flat_map(|ladder| &ladder.rungs);
    let sets: BTreeSet<&str> = rungs().map(|rung| rung.set.as_str()).collect();
    let mut paths = vec![];
    for (i, set) in sets.into_iter().enumerate() {
        let of_set = |ladder: &Ladder| Ladder {
            name: ladder.name.clone(),
            rungs: ladder.rungs.iter().filter(|rung| rung.set == set).cloned().collect(),
        };
        let ladders: Vec<Ladder> = ladders.iter().map(of_set).collect();
        let stem = if i == 0 { group.to_owned() } else { format!("{group}-{i}") };
        let title = format!("{group}, {set}: accuracy against what is used per problem at inference");
        for (used, stem) in [(Used::Tokens, stem.clone()), (Used::Flops, format!("{stem}-flops"))] {
            let figure = InferenceFigure { ladders: &ladders, used, title: &title };
            paths.push(figure::write(folder, &stem, figure.to_svg(Theme::Light), figure.to_csv())?);
        }
    }
    Ok(paths)
}

fn read(folder: &Path, run: &str) -> anyhow::Result<Ladder> {
    let path = folder.join(format!("{run}.json"));
    let place = || format!("evaluation `{}`", path.display());
    let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", place()))?;
    let found: Evaluation = serde_json::from_str(&text)
        .with_context(|| format!("{} is no result of `rlvr eval`; remove it, and it is made again", place()))?;
    let rungs = found.inference.into_iter().filter(|rung| rung.variant.is_empty()).collect();
    Ok(Ladder { name: run.to_owned(), rungs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_evaluations_of_a_group_make_two_figures() {
        let folder = tempfile::tempdir().unwrap();
        let rung = |k: u64, variant: &str| {
            serde_json::json!({"set": "s", "variant": variant, "method": "coverage", "k": k, "tokens": 7.0 * k as f64,
                "flops": 1e6 * k as f64, "y": 0.5, "low": 0.4, "high": 0.6, "forced": 0.0, "n_problems": 4})
        };
        let text = serde_json::json!({"model": "m", "inference": [rung(1, ""), rung(2, ""), rung(4, "budget 8")]});
        std::fs::write(folder.path().join("a.json"), text.to_string()).unwrap();
        let paths = draw(folder.path(), "g", &["a"]).unwrap();
        let names: Vec<_> = paths.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["g.svg", "g-flops.svg"]);
        let csv = std::fs::read_to_string(folder.path().join("g.csv")).unwrap();
        assert_eq!(
            csv.lines().skip(1).collect::<Vec<_>>(),
            ["a,coverage,1,7,1000000,0.5,0.4,0.6", "a,coverage,2,14,2000000,0.5,0.4,0.6"]
        );
        let error = draw(folder.path(), "g", &["b"]).unwrap_err();
        assert!(format!("{error:#}").contains("b.json` cannot be read"), "{error:#}");
    }
}
