//! Where the server is and who asks: WANDB_BASE_URL, WANDB_API_KEY and netrc, as the Python client reads them.

use std::fmt;
use std::path::PathBuf;

/// The public server.
const PUBLIC: &str = "https://api.wandb.ai";

/// A server and the key to it; the key is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Scheme and host, without a slash at the end.
    pub(super) base_url: String,
    key: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Login {
    /// Finds server and key in the environment and in netrc.
    ///
    /// # Errors
    ///
    /// If there is no key, or if the address of the server is none.
    pub fn find() -> Result<Self, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let home = variable("HOME").map(PathBuf::from);
        let files = [variable("NETRC").map(PathBuf::from), home.map(|home| home.join(".netrc"))];
        let netrc = files.iter().flatten().find_map(|path| std::fs::read_to_string(path).ok());
        Self::of(variable("WANDB_BASE_URL"), variable("WANDB_API_KEY"), netrc.as_deref())
    }

    fn of(base_url: Option<String>, key: Option<String>, netrc: Option<&str>) -> Result<Self, String> {
        let base_url = base_url.unwrap_or_else(|| PUBLIC.to_owned()).trim().trim_end_matches('/').to_owned();
        let host = base_url.strip_prefix("https://").or_else(|| base_url.strip_prefix("http://"));
        let host = host.map(|rest| rest.split(['/', ':']).next().unwrap_or_default()).filter(|host| !host.is_empty());
        let Some(host) = host.filter(|_| !base_url.contains('@')) else {
            return Err(format!("WANDB_BASE_URL is `{base_url}`; it must be an address such as {PUBLIC}"));
        };
        let key = key.or_else(|| netrc.and_then(|text| password(text, host))).map(|key| key.trim().to_owned());
        let Some(key) = key.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic())) else {
            return Err(format!(
                "there is no key for {host}; set WANDB_API_KEY, add `machine {host} login user password KEY` to ~/.netrc, \
                 or write the run with `mode = \"offline\"` and send it later by `wandb sync`"
            ));
        };
        Ok(Self { base_url, key })
    }

    /// A server and a key; for tests.
    #[cfg(test)]
    pub(super) fn new(base_url: &str, key: &str) -> Self {
        Self { base_url: base_url.to_owned(), key: key.to_owned() }
    }

    /// Returns the value of the header `Authorization`.
    pub(super) fn authorization(&self) -> String {
        format!("Basic {}", base64(format!("api:{}", self.key).as_bytes()))
    }
}

/// The password of a machine in a netrc file, or that of `default`.
fn password(netrc: &str, host: &str) -> Option<String> {
    let mut words = netrc.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let mut is_meant = false;
    while let Some(word) = words.next() {
        match word {
            "machine" => is_meant = words.next() == Some(host),
            "default" => is_meant = true,
            "password" if is_meant => return words.next().map(str::to_owned),
            "login" | "account" | "password" => {
                words.next();
            }
            _ => {}
        }
    }
    None
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of_chunk = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        let digit = move |i: usize| match i <= chunk.len() {
            true => char::from(ALPHABET[(bits >> (18 - 6 * i)) as usize & 63]),
            false => '=',
        };
        [digit(0), digit(1), digit(2), digit(3)]
    };
    bytes.chunks(3).flat_map(of_chunk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648, section 10.
        for (bytes, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }

    #[track_caller]
    fn check(base_url: &str, key: &str, netrc: &str, expected: Result<(&str, &str), &str>) {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        match (Login::of(some(base_url), some(key), Some(netrc)), expected) {
            (Ok(login), Ok((base_url, key))) => {
                assert_eq!((login.base_url.as_str(), login.key.as_str()), (base_url, key));
            }
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn the_key_is_that_of_the_environment_or_of_the_machine() {
        let netrc = "# machine api.wandb.ai password no\nmachine other login user password first\n\
                     machine api.wandb.ai\n  login user\n  password second\n";
        check("", "key", netrc, Ok((PUBLIC, "key")));
        check("", "", netrc, Ok((PUBLIC, "second")));
        check("http://other:8080/", "", netrc, Ok(("http://other:8080", "first")));
        check("https://third", "", netrc, Err("there is no key for third; set WANDB_API_KEY"));
        check("third", "key", netrc, Err("WANDB_BASE_URL is `third`; it must be an address such as"));
        check("https://user@third", "key", "", Err("must be an address"));
        check("", "a\nb", "", Err("there is no key"));
        check("", "", "default login a password d", Ok((PUBLIC, "d")));
    }

    #[test]
    fn the_key_is_not_shown() {
        let login = Login::of(None, Some("secret".to_owned()), None).unwrap();
        assert!(!format!("{login:?}").contains("secret"));
        assert_eq!(login.authorization(), "Basic YXBpOnNlY3JldA==");
    }
}
