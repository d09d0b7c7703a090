//! Judges what comes in on stdin against the reference given as argument.

use std::collections::BTreeMap;
use std::error::Error;

use rlvr_verifiers::{Attempt, Panel, Registry, Task};

fn main() -> Result<(), Box<dyn Error>> {
    let mut registry = Registry::default();
    verifier_template::register(&mut registry);

    let reference = std::env::args().nth(1).ok_or("give the reference as argument, such as 2024-02-29")?;
    let task = Task::new("stdin", "When was it?", "date").with_reference(reference);
    let panel = Panel::new(&registry, &BTreeMap::new(), [&task])?;

    let completion = std::io::read_to_string(std::io::stdin())?;
    let judged = panel.judge(&[Attempt { task: &task, completion: &completion, finished: true }]);
    println!("{:?}", judged[0].verdict);
    Ok(())
}
