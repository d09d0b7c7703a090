//! Ranges, and rules between sections.

use rlvr_verifiers::TaskError;

use super::{RunConfig, SftSource};
use crate::advantage::Baseline;
use crate::loss::{Anchor, Bound, Correction};

/// Beyond any machine, and small enough that products of two do not overflow.
const MOST: usize = 1 << 30;
const MOST_THREADS: usize = 4096;

/// Returns the message of a rule that a value breaks.
fn refuse(key: &str, value: impl std::fmt::Display, rule: &str) -> Result<(), String> {
    Err(format!("`{key}` is {value}, but {rule}"))
}

impl RunConfig {
    /// Checks ranges and the rules between sections.
    pub(super) fn validate(&self) -> Result<(), String> {
        self.check_run()?;
        self.check_policy()?;
        self.check_rollouts()?;
        self.check_loss()?;
        self.check_optimizer()?;
        self.reward.check()?;
        self.track.check()?;
        self.check_tasks()?;
        self.check_warm_start()
    }

    fn check_run(&self) -> Result<(), String> {
        let name = &self.run.name;
        let is_plain = !name.is_empty()
            && !name.starts_with('.')
            && !name.contains(['/', '\\'])
            && !name.contains(char::is_control);
        if !is_plain {
            return refuse("run.name", format!("`{name}`"), "it names a folder: no slash, no leading dot");
        }
        if self.run.threads > MOST_THREADS {
            return refuse(
                "run.threads",
                self.run.threads,
                &format!("must be at most {MOST_THREADS}; 0 takes all cores"),
            );
        }
        if self.run.steps > MOST as u64 {
            return refuse("run.steps", self.run.steps, &format!("must be at most {MOST}"));
        }
        if self.checkpoint.keep == 0 {
            return refuse("checkpoint.keep", 0, "at least the newest checkpoint is kept");
        }
        Ok(())
    }

    fn check_policy(&self) -> Result<(), String> {
        match (&self.policy.path, &self.policy.preset) {
            (None, None) => Err("`policy` needs a `path` or a `preset`".to_owned()),
            (Some(_), Some(_)) => Err("`policy` has a `path` or a `preset`, not both".to_owned()),
            (Some(_), None) if self.policy.sizes.is_some() || self.policy.tokenizer.is_some() => {
                Err("`policy.sizes` and `policy.tokenizer` belong to a preset; a model folder brings its own"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    fn check_rollouts(&self) -> Result<(), String> {
        let rollouts = &self.rollouts;
        for (key, value) in [
            ("rollouts.prompts_per_step", rollouts.prompts_per_step),
            ("rollouts.max_new_tokens", rollouts.max_new_tokens),
            ("rollouts.max_rows", rollouts.max_rows),
            ("eval.samples", self.eval.samples),
            ("eval.max_new_tokens", self.eval_max_new_tokens()),
        ] {
            if value == 0 {
                return refuse(key, 0, "must be at least 1");
            }
            if value > MOST && key != "rollouts.max_new_tokens" && key != "eval.max_new_tokens" {
                return refuse(key, value, &format!("must be at most {MOST}"));
            }
        }
        if rollouts.group_size > MOST {
            return refuse("rollouts.group_size", rollouts.group_size, &format!("must be at most {MOST}"));
        }
        let alone_is_enough = self.advantage.baseline == Baseline::None;
        if rollouts.group_size < if alone_is_enough { 1 } else { 2 } {
            return refuse("rollouts.group_size", rollouts.group_size, "advantages compare at least 2 rollouts");
        }
        rollouts.sampling.check().map_err(|error| format!("`rollouts.sampling`: {error}"))?;
        self.eval.sampling.check().map_err(|error| format!("`eval.sampling`: {error}"))?;
        if !rollouts.sampling.is_uncut() {
            return Err(
                "`rollouts.sampling` cuts the distribution, but training needs the policy's own: set `temperature` \
                        above 0, `top_k = 0`, `top_p = 1` and `min_p = 0` (`eval.sampling` may differ)"
                    .to_owned(),
            );
        }
        if rollouts.stop.iter().any(String::is_empty) {
            return Err("`rollouts.stop` has an empty text, which every completion contains".to_owned());
        }
        if self.eval.samples > 1 && self.eval.sampling.temperature == 0.0 {
            return refuse(
                "eval.samples",
                self.eval.samples,
                "greedy samples are all alike; set `eval.sampling.temperature`",
            );
        }
        Ok(())
    }

    fn check_loss(&self) -> Result<(), String> {
        let loss = &self.loss;
        match loss.bound {
            Bound::Clip(clip) => {
                if !(0.0..1.0).contains(&clip.low) {
                    return refuse("loss.bound.clip.low", clip.low, "it is a distance below 1, of 0 to 1");
                }
                if clip.high.is_nan() || clip.high < 0.0 {
                    return refuse("loss.bound.clip.high", clip.high, "it is a distance above 1, of 0 or more");
                }
                if let Some(dual) = clip.dual.filter(|dual| dual.is_nan() || *dual <= 1.0 + clip.high) {
                    return refuse("loss.bound.clip.dual", dual, "it must lie above 1 + `high`");
                }
            }
            Bound::Cispo(cispo) => {
                if cispo.cap.is_nan() || cispo.cap < 1.0 {
                    return refuse(
                        "loss.bound.cispo.cap",
                        cispo.cap,
                        "below 1 it would shrink every token; ScaleRL uses 5",
                    );
                }
                if let Some(floor) = cispo.floor.filter(|floor| !(0.0..=1.0).contains(floor)) {
                    return refuse("loss.bound.cispo.floor", floor, "must lie between 0 and 1");
                }
            }
            Bound::Sapo(_) | Bound::Vespo(_) | Bound::Tv(_) | Bound::None => {}
        }
        if loss.anchor == Anchor::Gen && loss.correction != Correction::None {
            return Err("`loss.correction` needs `loss.anchor = \"old\"`: with `gen` the ratio corrects for the sampler already"
                .to_owned());
        }
        if let Some(kl) = loss.kl.as_ref().filter(|kl| kl.beta.is_nan() || kl.beta < 0.0) {
            return refuse("loss.kl.beta", kl.beta, "must be 0 or more");
        }
        if self.advantage.epsilon.is_nan() || self.advantage.epsilon < 0.0 {
            return refuse("advantage.epsilon", self.advantage.epsilon, "must be 0 or more");
        }
        if let Some(share) = self.filter.retire_at.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
            return refuse("filter.retire_at", share, "it is a pass rate above 0 and at most 1");
        }
        Ok(())
    }

    fn check_optimizer(&self) -> Result<(), String> {
        let optimizer = &self.optimizer;
        let warm_start_lr = self.warm_start.as_ref().map_or(1.0, |warm_start| warm_start.lr);
        for (key, lr) in [("optimizer.lr", optimizer.lr), ("warm_start.lr", warm_start_lr)] {
            if !(lr.is_finite() && lr > 0.0) {
                return refuse(key, lr, "must be above 0");
            }
        }
        for (key, beta) in [("optimizer.beta1", optimizer.beta1), ("optimizer.beta2", optimizer.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return refuse(key, beta, "must be at least 0 and below 1");
            }
        }
        let others = [
            ("optimizer.epsilon", optimizer.epsilon),
            ("optimizer.weight_decay", optimizer.weight_decay),
            ("optimizer.clip_norm", optimizer.clip_norm),
        ];
        for (key, value) in others {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(key, value, "must be 0 or more");
            }
        }
        if optimizer.updates_per_batch == 0 || optimizer.tokens_per_micro_batch == 0 {
            return Err(
                "`optimizer.updates_per_batch` and `optimizer.tokens_per_micro_batch` must be at least 1".to_owned()
            );
        }
        if optimizer.updates_per_batch > self.rollouts.prompts_per_step {
            return refuse(
                "optimizer.updates_per_batch",
                optimizer.updates_per_batch,
                "a batch is split by prompts, and `rollouts.prompts_per_step` is smaller",
            );
        }
        Ok(())
    }

    fn check_tasks(&self) -> Result<(), String> {
        if self.tasks.is_empty() {
            return Err("there is no `[[tasks]]` section; name a `generator` or a `path`".to_owned());
        }
        if self.eval.every > 0 && self.eval.tasks.is_empty() {
            return refuse("eval.every", self.eval.every, "there is no `[[eval.tasks]]` section to evaluate on");
        }
        if self.eval.per_decade > 0 && self.eval.tasks.is_empty() {
            let why = "there is no `[[eval.tasks]]` section to evaluate on";
            return refuse("eval.per_decade", self.eval.per_decade, why);
        }
        if self.eval.per_decade > 1000 {
            return refuse("eval.per_decade", self.eval.per_decade, "must be at most 1000; 8 make a curve");
        }
        let check =
            |source: &rlvr_verifiers::dataset::TaskSource| source.check().map_err(|error: TaskError| error.to_string());
        self.tasks.iter().chain(&self.eval.tasks).try_for_each(check)
    }

    fn check_warm_start(&self) -> Result<(), String> {
        let Some(warm_start) = &self.warm_start else { return Ok(()) };
        if warm_start.steps == 0 || warm_start.examples_per_step == 0 {
            return Err("`warm_start.steps` and `warm_start.examples_per_step` must be at least 1".to_owned());
        }
        warm_start.data.iter().try_for_each(|source| match source {
            SftSource::Tasks(source) => source.check().map_err(|error| error.to_string()),
            SftSource::Messages { .. } | SftSource::Rollouts { .. } => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Recipe, RunFile, parse};
    use super::*;

    const BASE: &str =
        "[run]\nname = \"r\"\nsteps = 3\n[policy]\npreset = \"tiny\"\n[[tasks]]\ngenerator = \"sorting\"\nn = 5\n";

    fn resolve(settings: &[&str]) -> Result<RunConfig, String> {
        let settings: Vec<String> = settings.iter().map(|&s| s.to_owned()).collect();
        let file: RunFile = parse(BASE, &settings, "`c.toml`").map_err(|error| error.to_string())?;
        file.resolve(Path::new("/configs"), "c").map_err(|error| error.to_string())
    }

    #[test]
    fn rules_name_the_key_and_the_remedy() {
        #[track_caller]
        fn check(settings: &[&str], expected: &str) {
            assert_eq!(resolve(settings).unwrap_err(), format!("config: {expected}"));
        }
        check(&["rollouts.group_size=1"], "`rollouts.group_size` is 1, but advantages compare at least 2 rollouts");
        check(&["rollouts.max_new_tokens=0"], "`rollouts.max_new_tokens` is 0, but must be at least 1");
        check(&["optimizer.lr=-1e-6"], "`optimizer.lr` is -0.000001, but must be above 0");
        check(&["run.name=a/b"], "`run.name` is `a/b`, but it names a folder: no slash, no leading dot");
        check(&["policy.path=x"], "`policy` has a `path` or a `preset`, not both");
        check(&["eval.every=5"], "`eval.every` is 5, but there is no `[[eval.tasks]]` section to evaluate on");
        check(
            &["eval.per_decade=5"],
            "`eval.per_decade` is 5, but there is no `[[eval.tasks]]` section to evaluate on",
        );
        check(
            &["loss.bound={cispo={cap=0.2}}"],
            "`loss.bound.cispo.cap` is 0.2, but below 1 it would shrink every token; ScaleRL uses 5",
        );
        check(
            &["optimizer.updates_per_batch=99"],
            "`optimizer.updates_per_batch` is 99, but a batch is split by prompts, and `rollouts.prompts_per_step` is smaller",
        );
        let cut = resolve(&["rollouts.sampling.top_p=0.9"]).unwrap_err();
        assert!(cut.starts_with("config: `rollouts.sampling` cuts the distribution"), "{cut}");
        let twice = resolve(&["loss.correction={token_truncate={max=2}}"]).unwrap_err();
        assert!(twice.starts_with("config: `loss.correction` needs `loss.anchor = \"old\"`"), "{twice}");
        let negative = resolve(&["rollouts.prompts_per_step=-4"]).unwrap_err();
        assert!(negative.contains("invalid value: integer `-4`, expected usize"), "{negative}");
    }

    #[test]
    fn a_resolved_config_is_a_file_that_means_the_same() {
        for settings in
            [&["recipe=dapo", "loss.entropy=0.5"][..], &["recipe=grpo"], &["recipe=rloo", "filter.retire_at=0.9"]]
        {
            let config = resolve(settings).unwrap();
            let again =
                parse(&config.to_toml(), &[], "again").unwrap().resolve(Path::new("/elsewhere"), "other").unwrap();
            assert_eq!(config, again);
        }
    }

    #[test]
    fn recipes_can_be_changed_in_part() {
        let config = resolve(&["recipe=dapo", "loss.anchor=gen"]).unwrap();
        assert_eq!(config.loss.aggregation, Recipe::Dapo.loss().aggregation);
        assert_eq!(config.loss.anchor, Anchor::Gen);
        assert!(resolve(&["recipe=grpo", "loss.kl={beta=0}"]).unwrap().loss.kl.is_some_and(|kl| kl.beta == 0.0));
    }

    #[test]
    fn paths_start_at_the_configs_folder() {
        let config = resolve(&["eval.tasks=[{path='../data/t.jsonl'}]"]).unwrap();
        assert_eq!(config.eval.tasks[0].path.as_deref(), Some(Path::new("/data/t.jsonl")));
    }
}
