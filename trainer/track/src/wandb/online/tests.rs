use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rlvr_curves::record::{Metrics, SCHEMA};

use super::*;
use crate::wandb::login::Login;

/// Requests that a server got: their first lines and bodies.
type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// A server on the loopback address that answers with the texts that `answer` makes of path and body; none is a 503.
fn serve(answer: impl Fn(&str, &str) -> Option<String> + Send + 'static) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let seen = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            let (status, text) = match answer(&first, &body) {
                Some(text) => ("200 OK", text),
                None => ("503 Service Unavailable", String::new()),
            };
            seen.lock().unwrap().push((first.trim().to_owned(), body));
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
            reader.get_mut().write_all(format!("{head}{text}").as_bytes()).unwrap();
        }
    });
    (address, requests)
}

/// What the server answers to a run of which it has so many rows.
fn usual(n_rows: usize) -> impl Fn(&str, &str) -> Option<String> + Send + 'static {
    move |first, body| {
        let bucket = json!({"name": "abcd1234", "historyLineCount": n_rows,
            "project": {"name": "p q", "entity": {"name": "me"}}});
        Some(match first {
            _ if body.contains("mutation UpsertBucket") => {
                json!({"data": {"upsertBucket": {"bucket": bucket}}}).to_string()
            }
            _ if body.contains("mutation CreateRunFiles") => {
                json!({"data": {"createRunFiles": {"files": [{"uploadUrl": "/up"}]}}}).to_string()
            }
            _ if first.contains("file_stream") => "{\"exitcode\":null,\"limits\":{}}".to_owned(),
            _ => String::new(),
        })
    }
}

fn online(base_url: &str, n_stops: &Arc<AtomicUsize>, said: &Arc<Mutex<Vec<String>>>) -> Online {
    let login = Login::new(base_url, "k");
    let run = Description { id: "abcd1234".to_owned(), name: "r".to_owned(), ..Description::default() };
    let (notes, stops) = (said.clone(), n_stops.clone());
    let say: Notices = Arc::new(move |text| notes.lock().unwrap().push(text.to_owned()));
    let on_stop = Box::new(move || {
        stops.fetch_add(1, Ordering::SeqCst);
    });
    let mut online = Online::new(login, run, WandbConfig::default(), say, on_stop);
    let ms = Duration::from_millis;
    online.pace = Pace { flush: ms(0), heartbeat: ms(50), backoff: ms(5), longest_backoff: ms(10) };
    online
}

fn step(step: u64) -> Entry {
    let mut metrics = Metrics::default();
    metrics.set("reward/mean", step as f64);
    let record = Record { kind: Kind::Step, schema: SCHEMA, step, time_s: 9.0, message: None, metrics };
    Entry::Record { record, rollouts: vec![] }
}

/// The numbers of the rows that were sent, with their offsets checked, and the last exit code.
fn rows_of(requests: &Requests) -> (Vec<u64>, Option<i64>) {
    let (mut rows, mut exit_code) = (vec![], None);
    for (first, body) in requests.lock().unwrap().iter().filter(|(first, _)| first.contains("file_stream")) {
        assert_eq!(first, "POST /files/me/p%20q/abcd1234/file_stream HTTP/1.1");
        let body: Value = serde_json::from_str(body).unwrap();
        exit_code = body["exitcode"].as_i64().filter(|_| body["complete"] == true);
        let history = &body["files"]["wandb-history.jsonl"];
        for (i, line) in history["content"].as_array().into_iter().flatten().enumerate() {
            let row: Value = serde_json::from_str(line.as_str().unwrap()).unwrap();
            assert_eq!(row["_step"], history["offset"].as_u64().unwrap() + i as u64);
            rows.push(row["_step"].as_u64().unwrap());
        }
    }
    (rows, exit_code)
}

fn in_a_while() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn rows_files_and_the_end_are_sent() {
    let (address, requests) = serve(usual(0));
    let mut sink = online(&address, &Arc::default(), &Arc::default());
    for n in 1..=3 {
        sink.write(&step(n)).unwrap();
        sink.flush().unwrap();
    }
    sink.finish(Outcome::Complete, in_a_while()).unwrap();
    assert_eq!(rows_of(&requests), (vec![0, 1, 2], Some(0)));
    let requests = requests.lock().unwrap();
    assert!(requests.iter().any(|(first, _)| first == "PUT /up HTTP/1.1"), "the metadata");
    let variables: Value = serde_json::from_str(&requests[0].1).unwrap();
    let config: Value = serde_json::from_str(variables["variables"]["config"].as_str().unwrap()).unwrap();
    assert_eq!(config["_wandb"]["value"]["m"][3], json!({"2": "reward/*", "5": 1, "6": [1], "7": []}));
}

#[test]
fn a_run_that_goes_on_sends_what_the_server_lacks() {
    let (address, requests) = serve(usual(2));
    let mut sink = online(&address, &Arc::default(), &Arc::default());
    (1..=3).for_each(|n| sink.write(&step(n)).unwrap());
    sink.finish(Outcome::Failed, in_a_while()).unwrap();
    assert_eq!(rows_of(&requests), (vec![2], Some(1)));
}

#[test]
fn a_server_that_is_down_for_a_while_loses_nothing() {
    let (n, answer) = (AtomicUsize::new(0), usual(0));
    let (address, requests) =
        serve(move |first, body| answer(first, body).filter(|_| n.fetch_add(1, Ordering::SeqCst) >= 4));
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut sink = online(&address, &Arc::default(), &said);
    for n in 1..=40 {
        sink.write(&step(n)).unwrap();
        sink.flush().unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    sink.finish(Outcome::Complete, in_a_while()).unwrap();
    assert_eq!(rows_of(&requests), ((0..40).collect(), Some(0)));
    let said = said.lock().unwrap();
    assert!(said[0].starts_with("warning: W&B cannot be reached (the server answered 503)"), "{said:?}");
    assert_eq!(said[1..], ["W&B: the server is there again, everything has been sent"]);
}

#[test]
fn nobody_there_costs_one_try_at_the_end() {
    let mut sink = online("http://127.0.0.1:9", &Arc::default(), &Arc::default());
    sink.write(&step(1)).unwrap();
    sink.flush().unwrap();
    let start = Instant::now();
    let error = sink.finish(Outcome::Complete, in_a_while()).unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(6));
    let expected = "1 rows and the end of the run were not sent; send them with: rlvr export RUN --to wandb --send";
    assert_eq!(error, expected);
}

#[test]
fn a_refusal_switches_it_off() {
    let (address, _) = serve(|_, _| Some("{\"errors\":[{\"message\":\"permission denied\"}]}".to_owned()));
    let mut sink = online(&address, &Arc::default(), &Arc::default());
    let error = sink.flush().unwrap_err().to_string();
    assert_eq!(error, "the server refuses: permission denied; the log in wandb/ goes on");
}

#[test]
fn stop_on_the_web_page_is_heeded_once() {
    let answer = usual(0);
    let (address, _) = serve(move |first, body| match first.contains("file_stream") {
        true => Some("{\"stopped\":true}".to_owned()),
        false => answer(first, body),
    });
    let n_stops = Arc::default();
    let mut sink = online(&address, &n_stops, &Arc::default());
    for n in 1..=2 {
        sink.write(&step(n)).unwrap();
        sink.flush().unwrap();
    }
    assert_eq!(n_stops.load(Ordering::SeqCst), 1);
}
