//! Judges behind an address: `http:URL`, or the URL itself.
//!
//! A request is a POST of `{"attempts": [{"id": "0", …}, …]}`, each a [`Row`], and its reply
//! `{"verdicts": [{"id": "0", "score": 1}, …]}`; without ids, verdicts are in the order of the attempts. With
//! `single = true` a request is one bare attempt and its reply one bare verdict, as in `{"score": 1}`.
//!
//! What never reached the judge is sent again after a while: no connection, status 429 or 5xx. A request that failed
//! otherwise is sent again in parts, each attempt alone, so that one of them cannot cost the others their verdicts.
//! Redirects are not followed, since what is judged would go to somebody whom nobody named.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::judge::try_once;
use super::options::{self, HttpOptions, Range};
use super::pool::Calls;
use super::protocol::{Answer, Refusal, Row, parse_json, quoted, read_answer, to_line};
use super::queue::{Failure, Patience, Queue, Unit};
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Cost, Verdict, Verifier};

/// Longest wait before a request is sent again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// Longest wait for a connection.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// A judge behind an address.
pub struct HttpJudge {
    name: String,
    url: Uri,
    agent: Agent,
    headers: HeaderMap,
    options: HttpOptions,
    backoff: Duration,
    longest_reply: usize,
    patience: Patience,
}

/// Makes the judge `http:URL`; the name may also be the URL itself. The server is not asked yet.
///
/// # Errors
///
/// If the URL cannot be used, if it names another machine without `allow_remote`, or if an option is out of range.
pub fn new(name: &str, mut options: HttpOptions) -> Result<HttpJudge, String> {
    let url = read_url(name)?;
    let host = url.host().unwrap_or_default();
    if !options.allow_remote && !is_loopback(host) {
        let why = format!("`{host}` may be another machine");
        return Err(format!("{why}; if completions may go there, say so with the option `allow_remote = true`"));
    }
    let timeout = options::seconds("timeout_s", options.timeout_s)?;
    options.reference_as = options::template(options.reference_as)?;
    options::positive("workers", options.workers)?;
    options::positive("batch", options.batch)?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        .timeout_connect(Some(timeout.min(LONGEST_CONNECT)))
        .max_idle_connections_per_host(options.workers)
        .max_idle_connections(options.workers)
        .tls_config(tls(&url));
    let config = if is_loopback(host) { config.proxy(None) } else { config };
    Ok(HttpJudge {
        name: name.to_owned(),
        agent: config.build().new_agent(),
        headers: headers(&options)?,
        backoff: options::seconds("backoff_s", options.backoff_s)?,
        longest_reply: options::megabytes("max_reply_mb", options.max_reply_mb)?,
        patience: Patience::default(),
        url,
        options,
    })
}

/// Reads the URL out of a name such as `http:http://127.0.0.1:8000/judge`, where the second `http:` may be left out.
fn read_url(name: &str) -> Result<Uri, String> {
    let rest = name.strip_prefix("http:").unwrap_or(name);
    let text = match rest {
        url if url.starts_with("http://") || url.starts_with("https://") => url.to_owned(),
        url => format!("http://{}", url.trim_start_matches('/')),
    };
    let url: Uri = text.parse().map_err(|error| format!("`{text}` is not a URL ({error})"))?;
    match url.authority() {
        None => Err(format!("`{text}` names no host; write `http:http://127.0.0.1:8000/judge`")),
        Some(authority) if authority.as_str().contains('@') => {
            Err("the URL holds a password, which would be recorded; use the option `token_env` or `headers`".to_owned())
        }
        Some(_) => Ok(url),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Trusts whom the system trusts, a laboratory's own authority included.
fn tls(url: &Uri) -> TlsConfig {
    let trusted = match url.scheme_str() {
        Some("https") => rustls_native_certs::load_native_certs().certs,
        _ => vec![],
    };
    let trusted: Vec<Certificate<'static>> = trusted.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

fn headers(options: &HttpOptions) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &options.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("`headers`: `{name}` is not the name of a header"))?;
        let value = value.parse().map_err(|_| format!("`headers`: the value of `{name}` cannot be sent"))?;
        headers.insert(name, value);
    }
    if let Some(variable) = &options.token_env {
        let token = std::env::var(variable)
            .map_err(|_| format!("`token_env` names the environment variable `{variable}`, which is not set"))?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| format!("`token_env`: what `{variable}` holds cannot be sent in a header"))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Several attempts, each with an id.
#[derive(Serialize)]
struct Batch<'a> {
    attempts: Vec<Numbered<'a>>,
}

#[derive(Serialize)]
struct Numbered<'a> {
    id: String,
    #[serde(flatten)]
    row: Row<'a>,
}

/// Why a request brought no answers.
struct Setback {
    why: String,
    kind: Kind,
    /// When the server wants to be asked again.
    retry_after: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// There is nobody there, or nobody who would talk to us: every request will fare alike.
    Down,
    /// The server was busy, or failed before it judged.
    Busy,
    /// The server failed on what it was asked, perhaps.
    Failed,
    /// Nothing came in time.
    Late,
}

impl Setback {
    fn new(kind: Kind, why: impl Into<String>) -> Self {
        Self { why: why.into(), kind, retry_after: None }
    }
}

impl HttpJudge {
    /// Works off a queue, one request at a time.
    fn work(&self, queue: &Queue, attempts: &[Attempt<'_>]) {
        while queue.wait() {
            let Some(unit) = queue.take(0, 1) else { continue };
            match self.ask(&unit, attempts) {
                Ok(answers) => {
                    self.patience.answered();
                    queue.settle(&unit, answers.into_iter().map(|answer| verdict(answer, self.options.range)));
                }
                Err(setback) => self.take_back(&unit, &setback, queue),
            }
        }
    }

    /// Decides what becomes of the attempts of a request that failed.
    fn take_back(&self, unit: &Unit, setback: &Setback, queue: &Queue) {
        let is_down = setback.kind == Kind::Down;
        if unit.rows.len() > 1 && !is_down {
            queue.put_back(unit.rows.iter().map(|&row| Unit { alone: true, ..Unit::new(vec![row]) }));
        } else {
            queue.settle(unit, unit.rows.iter().map(|_| Verdict::unjudged(setback.why.as_str())));
        }
        let failure = if setback.kind == Kind::Late { Failure::Silence } else { Failure::Other };
        if is_down {
            queue.abandon(&setback.why);
        } else if self.patience.failed(failure) {
            let why = &setback.why;
            queue.abandon(&format!("the judge failed many times in a row and is not asked any more; last: {why}"));
        }
    }

    /// Sends a request, and again after a while as long as it does not reach the judge.
    fn ask(&self, unit: &Unit, attempts: &[Attempt<'_>]) -> Result<Vec<Answer>, Setback> {
        let body = self.body(unit, attempts);
        // What had its retries among others most likely fails for a reason of its own.
        let retries = if unit.alone { self.options.retries.min(1) } else { self.options.retries };
        let mut wait = self.backoff;
        let mut n_retries = 0;
        loop {
            let setback = match self.post(&body).and_then(|reply| self.read(reply, unit.rows.len())) {
                Ok(answers) => return Ok(answers),
                Err(setback) => setback,
            };
            let is_busy = setback.kind == Kind::Busy || setback.kind == Kind::Down && setback.retry_after.is_some();
            if !is_busy || n_retries == retries {
                return Err(setback);
            }
            n_retries += 1;
            std::thread::sleep(setback.retry_after.unwrap_or_default().max(wait).min(LONGEST_BACKOFF));
            wait *= 2;
        }
    }

    fn body(&self, unit: &Unit, attempts: &[Attempt<'_>]) -> Vec<u8> {
        let numbered = unit
            .rows
            .iter()
            .zip(0..)
            .map(|(&row, i): (_, u32)| Numbered { id: i.to_string(), row: attempts[row].into() });
        let mut numbered: Vec<Numbered<'_>> = numbered.collect();
        match numbered.pop() {
            Some(only) if self.options.single => to_line(&only),
            last => {
                numbered.extend(last);
                to_line(&Batch { attempts: numbered })
            }
        }
    }

    fn post(&self, body: &[u8]) -> Result<Value, Setback> {
        let mut request = self.agent.post(&self.url);
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
        }
        let mut response = request.send(body).map_err(|error| self.setback(&error))?;
        let longest = self.longest_reply as u64;
        let text = response.body_mut().with_config().limit(longest).read_to_vec();
        let status = response.status().as_u16();
        match (status, text) {
            (200..=299, Ok(text)) => {
                let text = String::from_utf8_lossy(&text);
                parse_json(&text).map_err(|error| {
                    Setback::new(Kind::Failed, format!("the reply is not JSON ({error}): {}", quoted(&text)))
                })
            }
            (200..=299, Err(ureq::Error::BodyExceedsLimit(_))) => {
                let longest = self.options.max_reply_mb;
                let why = format!("a reply is longer than {longest} MB; the option `max_reply_mb` allows more");
                Err(Setback::new(Kind::Failed, why))
            }
            (200..=299, Err(error)) => Err(self.setback(&error)),
            (_, text) => Err(refused(&response, &String::from_utf8_lossy(&text.unwrap_or_default()))),
        }
    }

    /// What it means that there was no response.
    fn setback(&self, error: &ureq::Error) -> Setback {
        use ureq::{Error, Timeout};
        let host = self.url.authority().map_or_else(String::new, ToString::to_string);
        match error {
            Error::Timeout(Timeout::Connect | Timeout::Resolve) | Error::HostNotFound | Error::ConnectionFailed => {
                Setback::down(format!("the judge at `{host}` cannot be reached ({error})"))
            }
            Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                Setback::down(format!("the judge at `{host}` cannot be reached ({error})"))
            }
            Error::Timeout(_) => {
                let limit = self.options.timeout_s;
                Setback::new(Kind::Late, format!("there was no answer within {limit} s; `timeout_s` allows more time"))
            }
            Error::Io(_) | Error::Protocol(_) => {
                Setback::new(Kind::Busy, format!("the connection to `{host}` failed ({error})"))
            }
            _ => Setback::new(Kind::Down, format!("the judge at `{host}` cannot be asked ({error})")),
        }
    }

    /// Reads a reply to `n` attempts.
    fn read(&self, reply: Value, n: usize) -> Result<Vec<Answer>, Setback> {
        if self.options.single {
            return Ok(vec![read_answer(reply)]);
        }
        let failed = |why| Setback::new(Kind::Failed, why);
        let verdicts = match reply {
            Value::Array(verdicts) => verdicts,
            Value::Object(mut object) => match object.remove("verdicts") {
                Some(Value::Array(verdicts)) => verdicts,
                _ => {
                    let seen = Value::Object(object).to_string();
                    return Err(failed(format!("the reply has no list `verdicts`: {}", quoted(&seen))));
                }
            },
            other => return Err(failed(format!("the reply is not an object: {}", quoted(&other.to_string())))),
        };
        if verdicts.iter().all(|verdict| verdict.get("id").is_some()) && !verdicts.is_empty() {
            return Ok(by_id(verdicts, n));
        }
        if verdicts.len() != n {
            return Err(failed(format!("the reply has {} verdicts for {n} attempts", verdicts.len())));
        }
        Ok(verdicts.into_iter().map(read_answer).collect())
    }
}

impl Setback {
    /// Nobody is there; it is worth another try all the same, since servers are started again.
    fn down(why: String) -> Self {
        Self { retry_after: Some(Duration::ZERO), ..Self::new(Kind::Down, why) }
    }
}

/// What a status that is no success means.
fn refused(response: &Response<Body>, text: &str) -> Setback {
    let status = response.status();
    let said = if text.trim().is_empty() { String::new() } else { format!(": {}", quoted(text)) };
    let why = format!("the judge answered with status {}{said}", status.as_u16());
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match status.as_u16() {
        300..=399 => {
            let to =
                response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("elsewhere");
            Setback::new(
                Kind::Down,
                format!("the judge redirects to `{to}`; redirects are not followed, name that URL"),
            )
        }
        401 | 403 | 404 | 405 | 407 => Setback::new(Kind::Down, why),
        429 | 500..=599 => Setback { retry_after: after.map(Duration::from_secs), ..Setback::new(Kind::Busy, why) },
        _ => Setback::new(Kind::Failed, why),
    }
}

/// Sorts verdicts by their ids, the places of the attempts.
fn by_id(verdicts: Vec<Value>, n: usize) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = vec![None; n];
    for verdict in verdicts {
        let place = match &verdict["id"] {
            Value::String(id) => id.parse::<usize>().ok(),
            other => other.as_u64().and_then(|id| usize::try_from(id).ok()),
        };
        if let Some(answer @ None) = place.and_then(|place| answers.get_mut(place)) {
            *answer = Some(read_answer(verdict));
        }
    }
    let missing = || Err(Refusal::new("the reply has no verdict with the `id` of this attempt"));
    answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
}

fn verdict(answer: Answer, range: Range) -> Verdict {
    answer.and_then(|grade| grade.into_verdict(range)).unwrap_or_else(|refusal| Verdict::unjudged(refusal.why))
}

impl Verifier for HttpJudge {
    fn name(&self) -> &str {
        &self.name
    }

    /// Only the option `reference_as` says how a completion must state an answer for a judge that we do not know.
    fn reference(&self, task: &Task) -> Option<String> {
        Some(options::state(self.options.reference_as.as_ref()?, task.reference.as_ref()?))
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        self.verify_batch(&[attempt]).pop().expect("there is a verdict for every attempt")
    }

    fn verify_batch(&self, attempts: &[Attempt<'_>]) -> Vec<Verdict> {
        let most = if self.options.single { 1 } else { self.options.batch };
        let units = Calls::Several { most, together: false }.units(attempts, 1);
        let n_workers = self.options.workers.min(units.len());
        let queue = Queue::new(units, attempts.len());
        self.patience.begin();
        match n_workers {
            0 | 1 => self.work(&queue, attempts),
            n => std::thread::scope(|scope| {
                (0..n).for_each(|_| drop(scope.spawn(|| self.work(&queue, attempts))));
            }),
        }
        queue.into_verdicts()
    }

    fn cost(&self) -> Cost {
        Cost::Remote
    }

    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        match self.reference(task) {
            None => Ok(()),
            stated => try_once(self, task, stated.as_deref()),
        }
    }
}

impl fmt::Debug for HttpJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpJudge").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, options: toml::Table, expected: &str) {
        let found = new(name, options::read(options).unwrap()).map(|judge| judge.url.to_string());
        assert_eq!(found.unwrap_or_else(|why| why), expected, "{name}");
    }

    #[test]
    fn names() {
        let none = toml::Table::new;
        check("http:http://127.0.0.1:8000/judge", none(), "http://127.0.0.1:8000/judge");
        check("http://127.0.0.1:8000", none(), "http://127.0.0.1:8000/");
        check("https://localhost/judge", none(), "https://localhost/judge");
        check("http:https://[::1]:1/", none(), "https://[::1]:1/");
        check("http:localhost:80/x", none(), "http://localhost:80/x");
        check("http:https://judge.example/x", toml::toml! { allow_remote = true }, "https://judge.example/x");
        check(
            "http://judge.example/x",
            none(),
            "`judge.example` may be another machine; if completions may go there, say so with the option \
             `allow_remote = true`",
        );
        check(
            "http://me:secret@127.0.0.1/",
            none(),
            "the URL holds a password, which would be recorded; use the option `token_env` or `headers`",
        );
        check("http:", none(), "`http://` is not a URL (empty string)");
        check(
            "http://127.0.0.1",
            toml::toml! { token_env = "RLVR_NO_SUCH_VARIABLE" },
            "`token_env` names the environment variable `RLVR_NO_SUCH_VARIABLE`, which is not set",
        );
        check(
            "http://127.0.0.1",
            toml::toml! { headers = { "a b" = "c" } },
            "`headers`: `a b` is not the name of a header",
        );
    }

    #[test]
    fn verdicts_are_sorted_by_id() {
        let reply =
            serde_json::json!([{"id": "1", "score": 1}, {"id": 0, "score": 0}, {"id": "1", "score": 0}, {"id": 9}]);
        let Value::Array(verdicts) = reply else { panic!("it is an array") };
        let words: Vec<String> = by_id(verdicts, 3)
            .into_iter()
            .map(|answer| verdict(answer, Range::default()).finding().to_owned())
            .collect();
        assert_eq!(words, ["wrong", "correct", "unjudged"]);
    }
}
