//! `http:URL`, with servers on this machine that answer as they are told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rlvr_verifiers::{Task, conformance};
use serde_json::{Value, json};

use super::{build, judge, said};

/// What a server answers: a status, further headers, and a body.
type Reply = (u16, &'static str, String);

/// A server, with what it was sent.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Server {
    /// Serves until the test ends; the handler gets the number of the request and its body.
    fn start(handler: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(vec![]));
        let (handler, n, log) = (Arc::new(handler), Arc::new(AtomicUsize::new(0)), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, n, log) = (Arc::clone(&handler), Arc::clone(&n), Arc::clone(&log));
                std::thread::spawn(move || {
                    let _ = serve(&stream, |head, body| {
                        log.lock().unwrap().push((head, body.clone()));
                        handler(n.fetch_add(1, Ordering::SeqCst), body)
                    });
                });
            }
        });
        Self { port, seen }
    }

    fn name(&self) -> String {
        format!("http:http://127.0.0.1:{}/judge", self.port)
    }

    fn n_requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn serve(stream: &TcpStream, reply: impl Fn(String, &Value) -> Reply) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let (status, headers, text) = reply(head, &serde_json::from_slice(&body).unwrap());
        let length = text.len();
        write!(&*stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{text}")?;
    }
}

fn ok(body: &Value) -> Reply {
    (200, "", body.to_string())
}

/// Judges as the worker of the process tests does: right if it is the reference.
fn grade(attempt: &Value) -> Value {
    json!({"id": attempt["id"], "score": u8::from(attempt["completion"] == attempt["reference"])})
}

fn grade_all(body: &Value) -> Value {
    json!({"verdicts": body["attempts"].as_array().unwrap().iter().map(grade).collect::<Vec<_>>()})
}

fn task() -> Task {
    Task::new("t", "?", "http").with_reference("right")
}

const QUICK: &str = "backoff_s = 0.01\ntimeout_s = 5\n";

#[test]
fn attempts_go_in_batches_and_verdicts_come_back_in_any_order() {
    let server = Server::start(|_, body| {
        let mut verdicts = grade_all(body)["verdicts"].as_array().unwrap().clone();
        verdicts.reverse();
        ok(&json!({"verdicts": verdicts}))
    });
    let http = build(&server.name(), "batch = 4").unwrap();
    let texts = ["right", "é\n\0", "right", "", "a", "b", "c", "right", "d", "right"];
    let verdicts = judge(&*http, &task(), &texts);
    let expected = texts.map(|text| if text == "right" { "1 correct" } else { "0 wrong" });
    assert_eq!(verdicts.iter().map(said).collect::<Vec<_>>(), expected);
    assert_eq!(server.n_requests(), 3);
    let (head, body) = server.seen.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /judge HTTP/1.1\r\n") && head.contains("content-type: application/json\r\n"));
    assert_eq!(body["attempts"][0]["task"], "t");
}

#[test]
fn other_shapes_of_replies() {
    let listed = Server::start(|_, body| {
        let bare = body["attempts"].as_array().unwrap().iter().map(|a| json!({"score": grade(a)["score"]}));
        ok(&Value::Array(bare.collect()))
    });
    let verdicts = judge(&*build(&listed.name(), "").unwrap(), &task(), &["right", "x"]);
    assert_eq!(verdicts.iter().map(said).collect::<Vec<_>>(), ["1 correct", "0 wrong"]);

    let single =
        Server::start(|_, body| ok(&json!({"score": 2.0 * f64::from(u8::from(body["completion"] == "right")) - 1.0})));
    let verdicts = judge(&*build(&single.name(), "single = true\nrange = [-1, 1]").unwrap(), &task(), &["right", "x"]);
    assert_eq!(verdicts.iter().map(said).collect::<Vec<_>>(), ["1 correct", "0 wrong"]);
    assert_eq!(single.n_requests(), 2);
}

#[test]
fn what_did_not_reach_the_judge_is_sent_again() {
    for status in [429, 500, 503] {
        let server =
            Server::start(move |n, body| if n < 2 { (status, "", String::new()) } else { ok(&grade_all(body)) });
        let http = build(&server.name(), QUICK).unwrap();
        assert_eq!(said(&judge(&*http, &task(), &["right"])[0]), "1 correct");
        assert_eq!(server.n_requests(), 3);
    }
    let server =
        Server::start(|n, body| if n == 0 { (503, "retry-after: 1\r\n", String::new()) } else { ok(&grade_all(body)) });
    let start = Instant::now();
    assert_eq!(said(&judge(&*build(&server.name(), QUICK).unwrap(), &task(), &["right"])[0]), "1 correct");
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn one_poisonous_attempt_costs_nobody_else() {
    let poison = |body: &Value, found: fn() -> Reply| {
        let poisonous = |attempt: &Value| attempt["completion"] == "poison";
        if body["attempts"].as_array().unwrap().iter().any(poisonous) { found() } else { ok(&grade_all(body)) }
    };
    type Case = (fn() -> Reply, &'static str);
    let replies: [Case; 6] = [
        (|| (500, "", "boom".into()), "the judge answered with status 500: `boom`"),
        (|| (422, "", "too rude".into()), "the judge answered with status 422"),
        (|| (200, "", "<html>".into()), "the reply is not JSON (expected value at line 1 column 1): `<html>`"),
        (|| (200, "", "{\"error\": 1}".into()), "the reply has no list `verdicts`: `{\"error\":1}`"),
        (|| (200, "", "x".repeat(200_000)), "a reply is longer than 0.1 MB; the option `max_reply_mb` allows more"),
        (
            || {
                std::thread::sleep(Duration::from_secs(2));
                (200, "", String::new())
            },
            "there was no answer within 1 s; `timeout_s` allows more time",
        ),
    ];
    for (reply, expected) in replies {
        let server = Server::start(move |_, body| poison(body, reply));
        let http = build(&server.name(), "timeout_s = 1\nbackoff_s = 0.01\nretries = 1\nmax_reply_mb = 0.1").unwrap();
        let verdicts = judge(&*http, &task(), &["right", "x", "poison", "right"]);
        let found: Vec<String> = verdicts.iter().map(said).collect();
        assert!(found[2].starts_with(expected), "{}", found[2]);
        assert_eq!([&*found[0], &*found[1], &*found[3]], ["1 correct", "0 wrong", "1 correct"]);
    }
}

#[test]
fn a_judge_that_is_down_leaves_all_unjudged_and_that_soon() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let http = build(&format!("http://127.0.0.1:{port}/"), QUICK).unwrap();
    let start = Instant::now();
    for verdict in judge(&*http, &task(), &["right"; 1000]) {
        let why = said(&verdict);
        assert!(why.starts_with(&format!("the judge at `127.0.0.1:{port}` cannot be reached (")), "{why}");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    let server = Server::start(|_, _| (404, "", "nothing here".into()));
    let verdicts = judge(&*build(&server.name(), QUICK).unwrap(), &task(), &["right"; 1000]);
    assert!(verdicts.iter().all(|verdict| said(verdict) == "the judge answered with status 404: `nothing here`"));
    assert!(server.n_requests() <= 8, "{}", server.n_requests());

    let server = Server::start(|_, _| (500, "", String::new()));
    let verdicts = judge(&*build(&server.name(), "backoff_s = 0.001").unwrap(), &task(), &["right"; 1000]);
    assert!(verdicts.iter().all(|verdict| said(verdict).contains("status 500")));
    assert!(server.n_requests() <= 140, "{}", server.n_requests());
}

#[test]
fn redirects_are_not_followed() {
    let other = Server::start(|_, body| ok(&grade_all(body)));
    let to = format!("location: http://127.0.0.1:{}/judge\r\n", other.port).leak();
    let server = Server::start(|_, _| (307, to, String::new()));
    let why = said(&judge(&*build(&server.name(), QUICK).unwrap(), &task(), &["right"])[0]);
    assert!(why.starts_with("the judge redirects to `http://127.0.0.1:"), "{why}");
    assert_eq!(other.n_requests(), 0);
}

#[test]
fn headers_and_tokens_are_sent() {
    let server = Server::start(|_, body| ok(&grade_all(body)));
    let http = build(&server.name(), "headers = { x-team = 'blue' }\ntoken_env = 'CARGO_PKG_NAME'").unwrap();
    judge(&*http, &task(), &["right"]);
    let head = server.seen.lock().unwrap()[0].0.clone();
    assert!(head.contains("x-team: blue\r\n") && head.contains("authorization: Bearer rlvr-verifiers\r\n"), "{head}");
}

#[test]
fn many_requests_are_under_way_at_once() {
    let server = Server::start(|_, body| {
        std::thread::sleep(Duration::from_millis(200));
        ok(&grade_all(body))
    });
    let http = build(&server.name(), "batch = 1\nworkers = 16").unwrap();
    let start = Instant::now();
    assert!(judge(&*http, &task(), &["right"; 32]).iter().all(|verdict| said(verdict) == "1 correct"));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}, against 6.4 s in a row", start.elapsed());
}

#[test]
fn it_obeys_the_laws() {
    let server = Server::start(|_, body| ok(&grade_all(body)));
    let http = build(&server.name(), "reference_as = '{reference}'").unwrap();
    let tasks = [Task::new("1", "?", "p").with_reference("Paris"), Task::new("2", "?", "p").with_reference("7")];
    conformance::check(&*http, &tasks).unwrap();
}
