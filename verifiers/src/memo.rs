//! What a verifier remembers about the tasks it has seen.
//!
//! Schemas and regular expressions take longer to prepare than to apply, and a task is attempted many times. The memory
//! is bounded, and it answers for the content of a task, never for its id alone: two tasks that differ in what the
//! verifier reads are two tasks, whatever they are called.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::task::Task;

/// Tasks remembered at once; beyond, the memory starts anew.
const MOST_TASKS: usize = 4096;

/// What was made of a task's `spec` and `reference`.
pub(crate) struct Memo<T> {
    entries: RwLock<HashMap<String, Entry<T>>>,
}

struct Entry<T> {
    spec: Value,
    reference: Option<String>,
    prepared: Arc<T>,
}

impl<T> Memo<T> {
    /// Returns what `prepare` makes of the task, from memory where the task is known.
    ///
    /// # Errors
    ///
    /// What `prepare` says; refusals are not remembered.
    pub(crate) fn of(&self, task: &Task, prepare: impl FnOnce(&Task) -> Result<T, String>) -> Result<Arc<T>, String> {
        let known = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get(&task.id)
            && entry.spec == task.spec
            && entry.reference == task.reference
        {
            return Ok(Arc::clone(&entry.prepared));
        }
        drop(known);
        let prepared = Arc::new(prepare(task)?);
        let entry = Entry { spec: task.spec.clone(), reference: task.reference.clone(), prepared: prepared.clone() };
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST_TASKS {
            entries.clear();
        }
        entries.insert(task.id.clone(), entry);
        Ok(prepared)
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self { entries: RwLock::new(HashMap::new()) }
    }
}

impl<T> std::fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_known_by_its_content() {
        let memo = Memo::default();
        let mut n_prepared = 0;
        let mut prepare = |spec: Value| {
            let task = Task::new("same id", "?", "x").with_spec(spec);
            memo.of(&task, |task| {
                n_prepared += 1;
                Ok(task.spec.to_string())
            })
            .unwrap()
            .to_string()
        };
        assert_eq!(prepare(json!(1)), "1");
        assert_eq!(prepare(json!(1)), "1");
        assert_eq!(prepare(json!(2)), "2");
        assert_eq!(prepare(json!(1)), "1");
        assert_eq!(n_prepared, 3);
    }

    #[test]
    fn the_memory_is_bounded_and_refusals_are_not_kept() {
        let memo = Memo::default();
        for i in 0..MOST_TASKS + 10 {
            memo.of(&Task::new(i.to_string(), "?", "x"), |_| Ok(i)).unwrap();
        }
        assert!(memo.entries.read().unwrap().len() <= MOST_TASKS);
        let task = Task::new("t", "?", "x");
        assert_eq!(memo.of(&task, |_| Err("no".to_owned())).err().as_deref(), Some("no"));
        assert_eq!(memo.of(&task, |_| Ok(7)).as_deref(), Ok(&7));
    }
}
