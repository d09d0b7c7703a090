//! Lines that wait to be sent, and the body of a request that sends them.

use serde_json::{Map, Value, json};

/// Bytes of a request; W&B takes 10 MiB.
const LONGEST_REQUEST: usize = 9 << 20;
/// Bytes of a line; longer ones are refused.
const LONGEST_LINE: usize = 8 << 20;

/// Lines of a file that is appended to, numbered from the beginning of the run.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The number of the first line that waits.
    first: usize,
    waiting: Vec<String>,
    /// Lines before this the server has.
    known: usize,
    n_bytes: usize,
}

impl Lines {
    pub(super) fn push(&mut self, line: String) {
        if self.first < self.known {
            self.first += 1; // nothing waits before the first line that the server lacks
            return;
        }
        // The number of a line counts, so that it cannot be left out.
        let line = if line.len() > LONGEST_LINE { "{}".to_owned() } else { line };
        self.n_bytes += line.len();
        self.waiting.push(line);
    }

    /// Leaves out what the server has: the lines before the number `n`.
    pub(super) fn skip(&mut self, n: usize) {
        self.known = n;
        self.forget(n.saturating_sub(self.first).min(self.waiting.len()));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn forget(&mut self, n: usize) {
        self.n_bytes -= self.waiting.drain(..n).map(|line| line.len()).sum::<usize>();
        self.first += n;
    }

    /// How many of the lines fit.
    fn fit(&self, room: &mut usize) -> usize {
        let mut n = 0;
        for line in &self.waiting {
            if line.len() > *room {
                break;
            }
            *room -= line.len();
            n += 1;
        }
        n
    }
}

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) history: Lines,
    pub(super) events: Lines,
    pub(super) output: Lines,
    pub(super) summary: Option<String>,
    /// Files by their paths.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// What a request sends.
#[derive(Debug)]
pub(super) struct Batch {
    n: [usize; 3],
    /// Whether nothing is left.
    pub(super) is_all: bool,
}

impl Pending {
    pub(super) fn n_bytes(&self) -> usize {
        let files: usize = self.files.iter().map(|(_, content)| content.len()).sum();
        self.history.n_bytes + self.events.n_bytes + self.output.n_bytes + files
    }

    /// The body of the next request, and what it sends; the one that sends all sends the end of the run too.
    pub(super) fn body(&self, exit_code: Option<i32>) -> (String, Batch) {
        let mut room = LONGEST_REQUEST;
        let all = [&self.history, &self.events, &self.output];
        let n = all.map(|lines| lines.fit(&mut room));
        let is_all = all.iter().zip(n).all(|(lines, n)| n == lines.len());
        let mut files = Map::new();
        for ((name, lines), n) in ["wandb-history.jsonl", "wandb-events.jsonl", "output.log"].iter().zip(all).zip(n) {
            if n > 0 {
                let content = &lines.waiting[..n];
                files.insert((*name).to_owned(), json!({"offset": lines.first, "content": content}));
            }
        }
        if let Some(summary) = &self.summary {
            files.insert("wandb-summary.json".to_owned(), json!({"offset": 0, "content": [summary]}));
        }
        let mut body = Map::new();
        if !files.is_empty() {
            body.insert("files".to_owned(), Value::Object(files));
        }
        if let Some(exit_code) = exit_code.filter(|_| is_all) {
            body.extend([("complete".to_owned(), json!(true)), ("exitcode".to_owned(), json!(exit_code))]);
        }
        (Value::Object(body).to_string(), Batch { n, is_all })
    }

    /// Forgets what was sent.
    pub(super) fn forget(&mut self, batch: &Batch) {
        for (lines, n) in [&mut self.history, &mut self.events, &mut self.output].into_iter().zip(batch.n) {
            lines.forget(n);
        }
        self.summary = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_appends_and_the_last_one_ends() {
        let mut pending = Pending { summary: Some("{}".to_owned()), ..Pending::default() };
        pending.history.push("{\"a\":NaN}".to_owned());
        let (body, batch) = pending.body(Some(0));
        assert_eq!(
            body,
            r#"{"files":{"wandb-history.jsonl":{"offset":0,"content":["{\"a\":NaN}"]},"wandb-summary.json":{"offset":0,"content":["{}"]}},"complete":true,"exitcode":0}"#
        );
        pending.forget(&batch);
        assert_eq!((pending.n_bytes(), pending.body(None).0.as_str()), (0, "{}"));
        pending.history.push("{}".to_owned());
        assert_eq!(pending.body(None).0, r#"{"files":{"wandb-history.jsonl":{"offset":1,"content":["{}"]}}}"#);
    }

    #[test]
    fn what_the_server_has_is_left_out_whenever_it_comes() {
        let mut lines = Lines::default();
        lines.push("0".to_owned());
        lines.push("1".to_owned());
        lines.skip(1);
        assert_eq!((lines.first, lines.waiting.as_slice()), (1, &["1".to_owned()][..]));
        let mut lines = Lines::default();
        lines.push("0".to_owned());
        lines.skip(2);
        lines.push("1".to_owned());
        lines.push("2".to_owned());
        assert_eq!((lines.first, lines.waiting.as_slice(), lines.n_bytes), (2, &["2".to_owned()][..], 1));
    }

    #[test]
    fn what_does_not_fit_waits_for_the_next_request() {
        let mut pending = Pending::default();
        for _ in 0..3 {
            pending.history.push("x".repeat(5 << 20));
        }
        let mut n_requests = 0;
        loop {
            let (body, batch) = pending.body(Some(1));
            assert!(body.len() < 10 << 20);
            assert_eq!(body.contains("exitcode"), batch.is_all);
            pending.forget(&batch);
            n_requests += 1;
            if batch.is_all {
                break;
            }
        }
        assert_eq!((n_requests, pending.history.first), (3, 3));
    }
}
