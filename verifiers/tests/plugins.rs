//! The page "Plug in your own" of docs/VERIFIERS.md: every example in it is a file, and every file works.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rlvr_verifiers::foreign::protocol::{Message, Row, parse_reply};
use rlvr_verifiers::{Attempt, Registry, Task};
use serde_json::{Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Code that the page shows below the name of a file.
fn shown(page: &str) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let mut rest = page;
    while let Some((before, block)) = rest.split_once("\n```") {
        let (code, after) = block.split_once("\n```").expect("a block ends");
        let code = code.split_once('\n').expect("a block has a language").1;
        let title = before.trim_end().lines().last().unwrap_or_default();
        if let Some(path) = title.strip_prefix('`').and_then(|title| title.strip_suffix("`:")) {
            shown.insert(path.to_owned(), format!("{code}\n"));
        }
        rest = after;
    }
    shown
}

#[test]
fn the_page_shows_the_files() {
    let shown = shown(&read(&repository().join("docs/VERIFIERS.md")));
    for (path, code) in &shown {
        assert_eq!(*code, read(&repository().join(path)), "docs/VERIFIERS.md shows another `{path}`");
    }
    for name in ["rlvr.toml", "attempts.jsonl", "judge.py", "request.json", "answers.jsonl", "server.py", "rewards.py"]
    {
        assert!(shown.contains_key(&format!("verifiers/tests/plugins/{name}")), "{name}");
    }
}

#[test]
fn requests_and_answers_are_as_shown() {
    let folder = repository().join("verifiers/tests/plugins");
    let mut task = Task::new("sums/1", "What is 6 times 7?", "process:python3 judge.py").with_reference("42");
    task.source = "sums".to_owned();
    task.meta.insert("level".into(), json!(1));
    let attempt = Attempt { task: &task, completion: "6 times 7 is 42.", finished: true };
    let mut expected: Value = serde_json::from_str(&read(&folder.join("request.json"))).unwrap();
    expected.as_object_mut().unwrap().remove("id").expect("a request has an id");
    assert_eq!(serde_json::to_value(Row::from(attempt)).unwrap(), expected);
    for line in read(&folder.join("answers.jsonl")).lines() {
        assert!(matches!(parse_reply(line), Ok(Message::Reply { .. })), "{line}");
    }
}

/// A server that ends with the test.
struct Server(Child, u16);

impl Server {
    fn start(script: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self(Command::new("python3").args([script, &port.to_string()]).spawn().unwrap(), port);
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the server does not listen");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The only test that needs the current folder to be that of the files.
#[test]
fn every_example_judges_as_told() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no `python3`, so no example was run");
        return;
    }
    std::env::set_current_dir(repository().join("verifiers/tests/plugins")).unwrap();
    let config: toml::Table = read(Path::new("rlvr.toml")).parse().unwrap();
    let options = |name: &str| {
        let of = |key: &str| config["verifiers"].get(key).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let mut options = of(name.split(':').next().unwrap());
        options.extend(of(name));
        options
    };
    let attempts = lines(&read(Path::new("attempts.jsonl")));
    let verdicts = lines(&read(Path::new("verdicts.jsonl")));
    let server = Server::start("server.py");
    for name in [
        "process:python3 judge.py",
        &format!("http:http://127.0.0.1:{}", server.1),
        "trl:rewards.py:last_number",
        "verl:score.py:compute_score",
        "verl:score.py",
    ] {
        let judge = Registry::default().build(name, &options(name)).unwrap();
        for (attempt, verdict) in attempts.iter().zip(&verdicts) {
            let task = Task::new("t", "", name).with_reference(attempt["reference"].as_str().unwrap());
            let completion = attempt["completion"].as_str().unwrap();
            let found = judge.verify(Attempt { task: &task, completion, finished: true });
            assert_eq!(found.score().map(f64::from), verdict["score"].as_f64(), "{name}: {completion}: {found:?}");
        }
    }
}
