//! The HTTP side: who may ask, and what goes along with every answer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::api::{self, Answer, Refusal};
use super::connection::{Head, Reply, converse};
use super::{Dashboard, DashboardError};

/// A dashboard that is being served.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    listener: std::thread::JoinHandle<()>,
}

/// Connections at a time: a browser opens up to six for all its pages of a host.
const MOST_CONNECTIONS: usize = 64;
/// How often folders of runs are looked at for new ones.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The longest URL that is read.
const MOST_URL_BYTES: usize = 8192;

/// With these, a page runs no script and loads nothing but what this server sends, and no other page can frame or read it.
const HEADERS: [(&str, &str); 7] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];

impl Dashboard {
    /// Serves the dashboard on 127.0.0.1, to nobody but this machine; port 0 takes any that is free.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub fn serve(self, port: u16) -> Result<Served, DashboardError> {
        let refuse = |source| DashboardError::Port { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let dashboard = Arc::new(self);
        let looked_at = Arc::clone(&dashboard);
        std::thread::spawn(move || keep_looking(&looked_at));
        let listener = std::thread::spawn(move || listen(&listener, &dashboard));
        Ok(Served { address, listener })
    }
}

impl Served {
    /// Where the dashboard is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the server ends, which it does with the process.
    pub fn wait(self) {
        let _ = self.listener.join();
    }
}

/// Indexes the rollouts of all runs, those that are begun later too.
fn keep_looking(dashboard: &Dashboard) {
    let mut n_known = 0;
    loop {
        let runs = dashboard.runs();
        for run in runs[n_known..].iter().map(Arc::clone) {
            std::thread::spawn(move || -> () { run.keep_indexing() });
        }
        n_known = runs.len();
        std::thread::sleep(LOOK_AGAIN);
        dashboard.look_again();
    }
}

/// A thread for each connection, as long as there are not too many.
fn listen(listener: &TcpListener, dashboard: &Arc<Dashboard>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Too many open files, say: it passes, and must not be waited for at full speed.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        if open.load(Ordering::Relaxed) >= MOST_CONNECTIONS {
            continue;
        }
        let place = Place::take(&open);
        let dashboard = Arc::clone(dashboard);
        std::thread::spawn(move || {
            let _place = place;
            talk(&dashboard, stream);
        });
    }
}

/// One of the connections that may be open; free again when it is dropped, even by a panic.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn talk(dashboard: &Dashboard, stream: TcpStream) {
    converse(stream, |head, send| {
        let (status, answer) = match check(head).and_then(|(path, query)| api::answer(dashboard, path, query)) {
            Ok(answer) => (200, answer),
            Err(Refusal { status, why }) => {
                let body = serde_json::json!({"error": why}).to_string().into_bytes();
                (status, Answer { content_type: "application/json", body: body.into() })
            }
        };
        let mut headers = HEADERS.to_vec();
        headers.push(("Content-Type", answer.content_type));
        send(&Reply { status, headers: &headers, body: &answer.body });
    });
}

/// The path and the query of a request that may be answered.
fn check(head: &Head) -> Result<(&str, &str), Refusal> {
    let refuse = |status, why: &str| Err(Refusal { status, why: why.to_owned() });
    // A page of another site can make a browser ask here under its own name, which resolves to 127.0.0.1 by then.
    match head.all("host").as_slice() {
        [host] if is_local(host) => {}
        _ => {
            return refuse(
                403,
                "the dashboard answers to 127.0.0.1 and localhost only; from elsewhere, forward the port by ssh -L",
            );
        }
    }
    // Nor may it make one work for it, although it could not read the answer. A link may lead here.
    let is_foreign = head.all("sec-fetch-site").iter().any(|site| matches!(*site, "cross-site" | "same-site"));
    if is_foreign && head.all("sec-fetch-mode") != ["navigate"] {
        return refuse(403, "the dashboard answers to its own pages only");
    }
    if !matches!(head.method.as_str(), "GET" | "HEAD") {
        return refuse(405, "the dashboard only shows: ask with GET");
    }
    if head.target.len() > MOST_URL_BYTES {
        return refuse(414, "the URL is too long");
    }
    Ok(head.target.split_once('?').unwrap_or((&head.target, "")))
}

/// Whether a `Host` names this machine; any port will do, since one may be forwarded.
fn is_local(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_port = port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    is_port && ["127.0.0.1", "localhost", "[::1]"].iter().any(|local| name.eq_ignore_ascii_case(local))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::super::tests::dashboard;
    use super::*;

    fn ask(method: &str, headers: &[(&str, &str)], target: &str) -> Head {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Head { method: method.to_owned(), target: target.to_owned(), headers }
    }

    #[test]
    fn foreign_hosts_are_refused() {
        for (host, expected) in [
            ("127.0.0.1:8080", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("[::1]:80", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:80", false),
            ("127.0.0.1:80@evil.example", false),
            ("127.0.0.1:99999", false),
            ("127.0.0.1:+80", false),
            ("localhost.", false),
            ("", false),
            ("[::1]evil", false),
            (" 127.0.0.1", false),
        ] {
            assert_eq!(is_local(host), expected, "{host}");
        }
        let status = |hosts: &[&str]| {
            let headers: Vec<_> = hosts.iter().map(|&host| ("host", host)).collect();
            check(&ask("GET", &headers, "/")).map_err(|refusal| refusal.status).err()
        };
        assert_eq!(status(&["localhost"]), None);
        assert_eq!(status(&[]), Some(403));
        assert_eq!(status(&["localhost", "evil.example"]), Some(403));
    }

    #[test]
    fn other_sites_may_link_here_and_no_more() {
        let status = |site, mode| {
            let headers = [("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            check(&ask("GET", &headers, "/")).map_err(|refusal| refusal.status).err()
        };
        assert_eq!(status("same-origin", "cors"), None);
        assert_eq!(status("none", "navigate"), None);
        assert_eq!(status("cross-site", "navigate"), None);
        assert_eq!(status("cross-site", "no-cors"), Some(403));
        assert_eq!(status("same-site", "cors"), Some(403));
    }

    #[test]
    fn only_looking_is_allowed() {
        let status = |method, target: &str| {
            let head = ask(method, &[("host", "localhost")], target);
            check(&head).map(|(path, query)| format!("{path} {query}")).map_err(|refusal| refusal.status)
        };
        assert_eq!(status("GET", "/a?b?c"), Ok("/a b?c".to_owned()));
        assert_eq!(status("POST", "/"), Err(405));
        assert_eq!(status("GET", &"/".repeat(9000)), Err(414));
    }

    /// Sends raw bytes to a served dashboard, and reads what comes until the connection ends.
    fn raw(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = vec![];
        // The server may close while there is still something to be read.
        let _ = stream.read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    }

    fn get(address: SocketAddr, path: &str, host: &str) -> String {
        raw(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    #[test]
    fn it_serves_over_the_loopback() {
        let (_folder, dashboard) = dashboard(&[]);
        let address = dashboard.serve(0).unwrap().address();
        assert!(address.ip().is_loopback());
        let page = get(address, "/", "localhost");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<!doctype html>"), "{page}");
        assert!(page.contains("Content-Security-Policy: default-src 'none'; script-src 'self'"));
        assert!(page.contains("X-Content-Type-Options: nosniff"));
        assert!(!page.to_ascii_lowercase().contains("access-control-allow"));
        assert!(get(address, "/api/pulse", "localhost").contains("\"n_records\":2"));
        let taken = super::super::tests::dashboard(&[]).1.serve(address.port()).unwrap_err().to_string();
        assert!(taken.contains("cannot be taken; name another with --port"), "{taken}");
    }

    #[test]
    fn tricks_are_refused() {
        let (_folder, dashboard) = dashboard(&[]);
        let address = dashboard.serve(0).unwrap().address();
        let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nA: {}\r\n\r\n", "x".repeat(40_000));
        for (reply, expected) in [
            (get(address, "/api/pulse", "evil.example"), "403 Forbidden"),
            (get(address, "/../../../../etc/passwd", "localhost"), "404 Not Found"),
            (get(address, "/%2e%2e/%2e%2e/etc/passwd", "localhost"), "404 Not Found"),
            (get(address, "http://localhost/api/pulse", "localhost"), "404 Not Found"),
            (
                raw(address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"),
                "405 Method Not Allowed",
            ),
            (raw(address, "nonsense\r\n\r\n"), "400 Bad Request"),
            (raw(address, &long), "431 Request Header Fields Too Large"),
        ] {
            assert!(reply.starts_with(&format!("HTTP/1.1 {expected}\r\n")), "{expected}: {reply}");
        }
    }

    #[test]
    fn a_connection_takes_several_requests_and_a_head_has_no_body() {
        let (_folder, dashboard) = dashboard(&[]);
        let address = dashboard.serve(0).unwrap().address();
        let head = "HEAD /api/runs HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let last = "GET /api/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let both = raw(address, &format!("{head}{last}"));
        let replies: Vec<&str> = both.split("HTTP/1.1 ").skip(1).collect();
        assert_eq!(replies.len(), 2, "{both}");
        assert!(replies[0].starts_with("200 OK") && replies[0].ends_with("keep-alive\r\n\r\n"), "{both}");
        assert!(
            replies[1].starts_with("404") && replies[1].ends_with("{\"error\":\"there is nothing here\"}"),
            "{both}"
        );
    }
}
