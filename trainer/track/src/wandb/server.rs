//! The calls of the server: GraphQL, the stream of a run's files, and uploads.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::login::Login;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Makes or finds a run; the answer says where it stands.
const UPSERT: &str = "mutation UpsertBucket($name: String, $project: String, $entity: String, $groupName: String, \
$displayName: String, $commit: String, $config: JSONString, $host: String, $program: String, $tags: [String!]) { \
upsertBucket(input: {name: $name, modelName: $project, entityName: $entity, groupName: $groupName, \
displayName: $displayName, commit: $commit, config: $config, host: $host, jobProgram: $program, tags: $tags}) { \
bucket { id name displayName historyLineCount project { id name entity { id name } } } inserted } }";

/// Asks where a file can be uploaded.
const CREATE_FILES: &str = "mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, \
$files: [String!]!) { createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run, \
files: $files}) { runID uploadHeaders files { name uploadUrl } } }";

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// It may fare better in a while.
    Later(String),
    /// The server has understood and does not want to.
    Never(String),
}

/// A server that is logged in to.
#[derive(Debug)]
pub(super) struct Server {
    agent: Agent,
    login: Login,
}

/// Where a run stands on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) entity: String,
    pub(super) project: String,
    pub(super) run: String,
    /// Rows that the server has already.
    pub(super) n_rows: usize,
}

impl Server {
    pub(super) fn new(login: Login) -> Self {
        let trusted = rustls_native_certs::load_native_certs().certs;
        let trusted: Vec<Certificate<'static>> =
            trusted.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(trusted)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0) // the key would go to somebody whom nobody named
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .tls_config(tls);
        let is_local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        let config =
            if is_local.iter().any(|start| login.base_url.starts_with(start)) { config.proxy(None) } else { config };
        Self { agent: config.build().new_agent(), login }
    }

    /// Makes or finds a run under its identity; `variables` are those of [`UPSERT`].
    pub(super) fn upsert(&self, variables: &Value) -> Result<Place, Setback> {
        let bucket = self.graphql(UPSERT, variables)?["upsertBucket"]["bucket"].take();
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let place = || {
            Some(Place {
                entity: word(&bucket["project"]["entity"]["name"])?,
                project: word(&bucket["project"]["name"])?,
                run: word(&bucket["name"])?,
                n_rows: bucket["historyLineCount"].as_u64().unwrap_or(0) as usize,
            })
        };
        place().ok_or_else(|| Setback::Later(format!("the server answered without a run: {bucket}")))
    }

    fn graphql(&self, query: &str, variables: &Value) -> Result<Value, Setback> {
        let url = format!("{}/graphql", self.login.base_url);
        let mut answer = self.post(&url, &json!({"query": query, "variables": variables}).to_string())?;
        match answer["errors"][0]["message"].as_str() {
            Some(error) => Err(Setback::Never(format!("the server refuses: {error}"))),
            None => Ok(answer["data"].take()),
        }
    }

    /// Appends to the files of a run.
    pub(super) fn stream(&self, place: &Place, body: &str) -> Result<Value, Setback> {
        let Place { entity, project, run, .. } = place;
        let [entity, project, run] = [entity, project, run].map(|part| encoded(part));
        self.post(&format!("{}/files/{entity}/{project}/{run}/file_stream", self.login.base_url), body)
    }

    /// Uploads a file of a run.
    pub(super) fn upload(&self, place: &Place, path: &str, content: &[u8]) -> Result<(), Setback> {
        let variables = json!({"entity": place.entity, "project": place.project, "run": place.run, "files": [path]});
        let answer = self.graphql(CREATE_FILES, &variables)?;
        let created = &answer["createRunFiles"];
        let Some(url) = created["files"][0]["uploadUrl"].as_str() else {
            return Err(Setback::Later(format!("the server names no place for `{path}`: {created}")));
        };
        let url = if url.starts_with('/') { format!("{}{url}", self.login.base_url) } else { url.to_owned() };
        let mut request = self.agent.put(&url); // the address itself is the permission
        for header in created["uploadHeaders"].as_array().into_iter().flatten() {
            if let Some((name, value)) = header.as_str().and_then(|header| header.split_once(':')) {
                request = request.header(name, value);
            }
        }
        let response = request.send(content).map_err(|error| Setback::Later(error.to_string()))?;
        refusal(&response).map_or(Ok(()), Err)
    }

    fn post(&self, url: &str, body: &str) -> Result<Value, Setback> {
        let request = self.agent.post(url).header("Authorization", self.login.authorization());
        let request = request.header("Content-Type", "application/json").header("User-Agent", "rlvr");
        let mut response = request.send(body).map_err(|error| Setback::Later(error.to_string()))?;
        if let Some(setback) = refusal(&response) {
            return Err(setback);
        }
        let text = response.body_mut().read_to_string().map_err(|error| Setback::Later(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| Setback::Later(format!("the answer is not JSON: {error}")))
    }
}

/// What a status that is no success means.
fn refusal(response: &Response<Body>) -> Option<Setback> {
    let status = response.status().as_u16();
    match status {
        200..=299 => None,
        401 | 403 => Some(Setback::Never(format!("the server answered {status}: the key is not accepted"))),
        408 | 409 | 429 | 500..=599 => Some(Setback::Later(format!("the server answered {status}"))),
        _ => Some(Setback::Never(format!("the server answered {status}; is WANDB_BASE_URL right?"))),
    }
}

/// A part of a path with everything encoded that has a meaning in addresses.
fn encoded(part: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    part.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths_are_encoded() {
        assert_eq!(encoded("my runs-1_é/.."), "my%20runs-1_%C3%A9%2F..");
    }
}
