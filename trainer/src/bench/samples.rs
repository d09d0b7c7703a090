//! Tasks of every built-in verifier, so that each can be timed.

use std::path::Path;

use rlvr_verifiers::dataset::{self, TaskSource};
use rlvr_verifiers::generators::{self, Split};
use rlvr_verifiers::random::Random;
use rlvr_verifiers::{Registry, Task, Verifier};
use serde_json::json;

/// A task with an answer to it.
pub(super) type Answered = (Task, String);

/// Makes `n` tasks of a verifier with answers of which two thirds are right; none if there is nothing to ask it.
///
/// The answer of every third task is that of the task after it.
pub(super) fn answered(name: &str, verifier: &dyn Verifier, n: usize) -> Option<Vec<Answered>> {
    let right: Vec<Answered> = match made(name) {
        Some(make) => (0..n).map(make).collect(),
        None => generated(name, verifier, n)?,
    };
    let answer_of = |i: usize| right[if i.is_multiple_of(3) { (i + 1) % n } else { i }].1.clone();
    Some((0..n).map(|i| (right[i].0.clone(), answer_of(i))).collect())
}

/// The names of verifiers that there are tasks for.
pub(super) fn names(registry: &Registry) -> Vec<String> {
    let known = generators::names();
    let is_known = |name: &&str| known.contains(name) || made(name).is_some();
    registry.names().filter(is_known).map(str::to_owned).collect()
}

/// Problems of a generator, taken over and over until there are enough.
fn generated(name: &str, verifier: &dyn Verifier, n: usize) -> Option<Vec<Answered>> {
    let source = TaskSource { level: 2, ..TaskSource::generator(name, 50) };
    let tasks = dataset::load(&source, Path::new(""), Split::Train).ok()?;
    let answers: Vec<Answered> =
        tasks.into_iter().filter_map(|task| Some((task.clone(), verifier.reference(&task)?))).collect();
    (!answers.is_empty()).then(|| answers.iter().cycle().take(n).cloned().collect())
}

type Maker = fn(usize) -> Answered;

fn made(name: &str) -> Option<Maker> {
    Some(match name {
        "math" => fraction,
        "exact" => |i| asked(i, "exact", format!("river {i}"), format!("River  {i}")),
        "f1" => |i| asked(i, "f1", format!("the long river {i}"), format!("long river {i}")),
        "choice" => option,
        "regex" => |i| specified(i, "regex", json!({"pattern": format!("colou?r {i}")}), format!("color {i}")),
        "json_schema" => object,
        "tool_call" => call,
        "ifeval" => words,
        "code" => program,
        _ => return None,
    })
}

fn asked(i: usize, verifier: &str, reference: String, answer: String) -> Answered {
    (Task::new(i.to_string(), "?", verifier).with_reference(reference), answer)
}

fn specified(i: usize, verifier: &str, spec: serde_json::Value, answer: String) -> Answered {
    (Task::new(i.to_string(), "?", verifier).with_spec(spec), answer)
}

/// A fraction behind a few sentences.
fn fraction(i: usize) -> Answered {
    let mut random = Random::keyed([0x0062_656e_6368, 3, i as u64, 0]);
    let (a, b) = (random.range(100, 999), random.range(2, 99));
    let answer = format!(
        "There are {a} of them, and each of the {b} boxes holds as many. We multiply ${a} \\cdot {b}$ and divide again, \
         which leaves us where we began. So the answer is $\\boxed{{\\frac{{{a}}}{{{b}}}}}$."
    );
    asked(i, "math", format!("{a}/{b}"), answer)
}

fn option(i: usize) -> Answered {
    let letter = ["A", "B", "C", "D"][i % 4];
    let (task, answer) = specified(i, "choice", json!({"choices": ["tin", "zinc", "lead", "iron"]}), letter.to_owned());
    (task.with_reference(letter), format!("We look at each in turn. The answer is ({answer})."))
}

fn object(i: usize) -> Answered {
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let answer = json!({"n": i}).to_string();
    specified(i, "json_schema", json!({"schema": schema, "expected": {"n": i}}), answer)
}

fn call(i: usize) -> Answered {
    let parameters = json!({"type": "object", "required": ["day"], "properties": {"day": {"type": "integer"}}});
    let call = json!({"name": "weather", "arguments": {"day": i}});
    let spec = json!({"tools": [{"name": "weather", "parameters": parameters}], "calls": [call]});
    specified(i, "tool_call", spec, call.to_string())
}

fn words(i: usize) -> Answered {
    let n = 70 - i % 50; // that of the next task is too short
    let arguments = json!([{"num_words": n, "relation": "at least"}]);
    let spec = json!({"instruction_id_list": ["length_constraints:number_words"], "kwargs": arguments});
    specified(i, "ifeval", spec, "word ".repeat(n))
}

fn program(i: usize) -> Answered {
    let cases = json!([{"args": [2, 3], "expected": 5 + i}]);
    let spec = json!({"language": "python", "tests": {"type": "calls", "entry": "add", "cases": cases}});
    specified(i, "code", spec, format!("```python\ndef add(a, b):\n    return a + b + {i}\n```"))
}

#[cfg(test)]
mod tests {
    use rlvr_verifiers::Attempt;

    use super::*;

    #[test]
    fn about_two_thirds_are_right() {
        let registry = Registry::default();
        let names = names(&registry);
        assert!(names.len() >= 20, "{names:?}");
        for name in names.iter().filter(|name| *name != "code") {
            let verifier = registry.build(name, &toml::Table::new()).unwrap();
            let answered = answered(name, &*verifier, 30).unwrap();
            let verify = |(task, completion): &Answered| verifier.verify(Attempt { task, completion, finished: true });
            let scores: Vec<f32> = answered.iter().map(|one| verify(one).score().unwrap()).collect();
            let n_right = scores.iter().filter(|&&score| score == 1.0).count();
            assert!((20..=24).contains(&n_right), "{name}: {n_right} of 30");
        }
    }
}
