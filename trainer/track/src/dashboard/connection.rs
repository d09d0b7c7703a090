//! One connection of a browser: requests are read within bounds of size and time, answers are written.
//!
//! Only what a browser sends to look at a page is understood: a request without a body. Everything else is refused and
//! the connection closed, so that nothing of it can be taken for a second request.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The most bytes of a request line and its headers.
const MOST_HEAD_BYTES: usize = 16 << 10;
/// How long a request may take to arrive, from its first byte on.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How long an answer may take to be taken.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// What was asked: the request line and the headers, names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
}

/// Why a connection ends without a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing more came, or the other side is gone.
    Quiet,
    /// What came is not a request that is understood: a status and why.
    Refused(u16, &'static str),
}

/// An answer: a status, headers, and a body.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

impl Head {
    /// The values of a header, each time that it was sent.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    fn has_body(&self) -> bool {
        let has_length = self.all("content-length").iter().any(|length| !length.trim_start_matches('0').is_empty());
        has_length || !self.all("transfer-encoding").is_empty()
    }

    fn is_last(&self) -> bool {
        self.has_body() || self.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Answers the requests of a connection one after another, until it is closed or falls silent.
pub(super) fn converse(mut stream: TcpStream, mut answer: impl FnMut(&Head, &mut dyn FnMut(&Reply<'_>))) {
    let mut pending = vec![];
    if stream.set_write_timeout(Some(WRITE_TIME)).and_then(|()| stream.set_nodelay(true)).is_err() {
        return;
    }
    loop {
        match read_head(&mut stream, &mut pending) {
            Ok(head) => {
                let (is_last, with_body) = (head.is_last(), head.method != "HEAD");
                let mut sent = false;
                answer(&head, &mut |reply| sent = send(&mut stream, reply, with_body, is_last).is_ok());
                if !sent || is_last {
                    return;
                }
            }
            Err(Ending::Quiet) => return,
            Err(Ending::Refused(status, why)) => {
                let reply = Reply { status, headers: &[("Content-Type", "text/plain")], body: why.as_bytes() };
                // The connection ends here in any case.
                let _ = send(&mut stream, &reply, true, true);
                return;
            }
        }
    }
}

/// Reads up to the blank line that ends a head; what came after it stays in `pending`.
fn read_head(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Result<Head, Ending> {
    let mut deadline = (!pending.is_empty()).then(|| Instant::now() + HEAD_TIME);
    loop {
        if let Some(end) = memchr::memmem::find(pending, b"\r\n\r\n") {
            let head = parse(&pending[..end]);
            pending.drain(..end + 4);
            return head.ok_or(Ending::Refused(400, "this is not a request that is understood here"));
        }
        if pending.len() >= MOST_HEAD_BYTES {
            return Err(Ending::Refused(431, "the request has more headers than are read here"));
        }
        let left = deadline.map_or(IDLE_TIME, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err(Ending::Refused(408, "the request did not arrive in time"));
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => return Err(Ending::Quiet),
            Ok(n) => pending.extend_from_slice(&bytes[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) if deadline.is_some() => return Err(Ending::Refused(408, "the request did not arrive in time")),
            Err(_) => return Err(Ending::Quiet),
        }
        deadline = deadline.or_else(|| Some(Instant::now() + HEAD_TIME));
    }
}

/// Reads a head; none if it is not one of HTTP/1.
fn parse(bytes: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.split("\r\n");
    let mut parts = lines.next()?.split(' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && matches!(version, "HTTP/1.1" | "HTTP/1.0");
    if !is_whole || !is_token(method) || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let mut headers = vec![];
    for line in lines {
        let (name, value) = line.split_once(':')?;
        // A blank before the colon, a folded line or a bare line end is read differently by different programs.
        if !is_token(name) || value.chars().any(|c| c.is_control() && c != '\t') {
            return None;
        }
        headers.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    if version == "HTTP/1.0" {
        headers.push(("connection".to_owned(), "close".to_owned()));
    }
    Some(Head { method: method.to_owned(), target: target.to_owned(), headers })
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn send(stream: &mut TcpStream, reply: &Reply<'_>, with_body: bool, is_last: bool) -> std::io::Result<()> {
    let mut bytes = format!("HTTP/1.1 {} {}\r\n", reply.status, words(reply.status)).into_bytes();
    for (name, value) in reply.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let connection = if is_last { "close" } else { "keep-alive" };
    bytes.extend_from_slice(
        format!("Content-Length: {}\r\nConnection: {connection}\r\n\r\n", reply.body.len()).as_bytes(),
    );
    if with_body {
        bytes.extend_from_slice(reply.body);
    }
    stream.write_all(&bytes)
}

fn words(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, &[&str])>) {
        let head = parse(text.as_bytes());
        let seen = head.as_ref().map(|head| (head.method.as_str(), head.target.as_str(), head.all("host")));
        assert_eq!(seen, expected.map(|(method, target, hosts)| (method, target, hosts.to_vec())), "{text:?}");
    }

    #[test]
    fn heads_are_read_strictly() {
        check("GET /a?b HTTP/1.1\r\nHost: x:1\r\nA: b", Some(("GET", "/a?b", &["x:1"])));
        check("GET / HTTP/1.1\r\nhOST:\tx \r\nHost: y", Some(("GET", "/", &["x", "y"])));
        for damaged in [
            "",
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 more",
            "GET / HTTP/2",
            "G(T / HTTP/1.1",
            "GET /\u{1} HTTP/1.1",
            "GET /é HTTP/1.1",
            "GET / HTTP/1.1\r\nHost : x",
            "GET / HTTP/1.1\r\n Host: x",
            "GET / HTTP/1.1\r\nHost: x\n y",
            "GET / HTTP/1.1\r\nHost: x\ry",
            "GET / HTTP/1.1\r\n: x",
            "GET / HTTP/1.1\r\nno colon",
        ] {
            check(damaged, None);
        }
    }

    #[test]
    fn bodies_and_old_browsers_end_the_connection() {
        let is_last = |headers: &str| parse(format!("GET / HTTP/1.1{headers}").as_bytes()).unwrap().is_last();
        assert!(!is_last("") && !is_last("\r\nContent-Length: 0"));
        assert!(is_last("\r\nContent-Length: 5") && is_last("\r\nTransfer-Encoding: chunked"));
        assert!(is_last("\r\nConnection: Close"));
        assert!(parse(b"GET / HTTP/1.0").unwrap().is_last());
    }
}
