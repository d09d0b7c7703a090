//! Which answers are the same: the verifier says, not their spelling.

use rlvr_verifiers::panel::Question;
use rlvr_verifiers::{Attempt, Panel, Task};

use super::EvalSample;
use rlvr_rollouts::Stop;

/// Different wrong answers of a problem that are compared with each other, in pairs.
const MOST: usize = 64;

/// Marks wrong answers of one task that the task's verifier takes for equal to an earlier one.
///
/// An answer takes the place of the reference, and the completions with other answers are judged by it. So it is done only
/// where the reference is all that the verifier needs to know: with a `spec` it would mean nothing.
pub(super) fn mark_equal(panel: &Panel, task: &Task, samples: &mut [EvalSample]) {
    if task.reference.is_none() || !task.spec.is_null() {
        return;
    }
    let mut distinct: Vec<usize> = vec![];
    for (i, sample) in samples.iter().enumerate() {
        let is_new = sample.answer.is_some()
            && sample.score.is_some()
            && !sample.is_right()
            && distinct.iter().all(|&j| samples[j].answer != sample.answer);
        if is_new && distinct.len() < MOST {
            distinct.push(i);
        }
    }
    let mut kinds: Vec<usize> = vec![];
    for &i in &distinct {
        let equal = kinds.iter().copied().find(|&kind| is_equal(panel, task, (&samples[kind], &samples[i])));
        let Some(kind) = equal else {
            kinds.push(i);
            continue;
        };
        let (answer, same_as) = (samples[i].answer.clone(), samples[kind].answer.clone());
        samples.iter_mut().filter(|sample| sample.answer == answer).for_each(|s| s.same_as.clone_from(&same_as));
    }
}

fn is_equal(panel: &Panel, task: &Task, (first, second): (&EvalSample, &EvalSample)) -> bool {
    let asked = Task { reference: first.answer.clone(), ..task.clone() };
    let attempt = Attempt { task: &asked, completion: &second.completion, finished: second.stop != Stop::Length };
    let question: Question<'_> = (&task.verifier, attempt);
    panel.answer(&[question])[0].verdict.score().is_some_and(|score| score >= 1.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rlvr_verifiers::Registry;

    use super::super::sample::tests::sample;
    use super::*;

    #[test]
    fn one_half_is_one_half_however_it_is_spelt() {
        let task = Task::new("a", "How much?", "math").with_reference("3");
        let panel = Panel::new(&Registry::default(), &BTreeMap::new(), [&task]).unwrap();
        let mut samples: Vec<EvalSample> = ["1/2", "0.5", "7", "0.5", "3"]
            .iter()
            .enumerate()
            .map(|(i, answer)| EvalSample {
                completion: format!("\\boxed{{{answer}}}"),
                ..sample("a", i, Some(f32::from(u8::from(*answer == "3"))), answer)
            })
            .collect();
        mark_equal(&panel, &task, &mut samples);
        let votes: Vec<&str> = samples.iter().filter_map(EvalSample::vote).collect();
        assert_eq!(votes, ["1/2", "1/2", "7", "1/2", "3"]);
        let mut alone = samples.clone();
        let spec = task.clone().with_spec(serde_json::json!({"x": 1}));
        alone.iter_mut().for_each(|sample| sample.same_as = None);
        mark_equal(&panel, &spec, &mut alone);
        assert!(alone.iter().all(|sample| sample.same_as.is_none()));
    }
}
