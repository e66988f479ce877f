//! The addresses of webhooks, and what may be said of them.

/// An address that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl Secret {
    /// Takes an address to which a message may be sent: HTTPS, or this machine.
    ///
    /// # Errors
    /// Why it is none; without the address.
    pub fn new(text: &str) -> Result<Secret, String> {
        let text = text.trim();
        let plain = text.strip_prefix("http://").map(host);
        let local = plain.is_some_and(|h| ["localhost", "127.0.0.1", "[::1]"].contains(&h));
        match text.strip_prefix("https://").map(host) {
            Some(name) if !name.is_empty() => Ok(Secret(text.to_owned())),
            _ if local => Ok(Secret(text.to_owned())),
            _ => Err("it is not an https:// address".to_owned()),
        }
    }

    /// The host, which is all that is shown.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        host(rest)
    }

    /// Text without the address, should it have got in.
    pub(super) fn redacted(&self, text: &str) -> String {
        let parts = self.parts();
        let (mut out, mut at) = (String::new(), 0);
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        while let Some(next) = text[at..].chars().next() {
            let rest = &text[at..];
            // A short one may well be part of a word; alone it is the secret.
            let found = parts.iter().find(|p| {
                rest.starts_with(**p)
                    && (p.chars().count() > 3
                        || !(word(text[..at].chars().next_back())
                            || word(rest[p.len()..].chars().next())))
            });
            match found {
                Some(part) => {
                    out.push_str("[secret]");
                    at += part.len();
                }
                None => {
                    out.push(next);
                    at += next.len_utf8();
                }
            }
        }
        out
    }

    /// All of the address that is secret, the longest first.
    fn parts(&self) -> Vec<&str> {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        let mut parts = vec![self.0.as_str(), behind, path, query];
        parts.extend(path.split(['/', '#']).filter(|s| s.chars().count() > 3));
        parts.extend(
            query
                .split(['&', '#'])
                .map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value)),
        );
        if let Some((user, _)) = authority.rsplit_once('@') {
            parts.push(user);
            parts.extend(user.split(':'));
        }
        parts.retain(|p| !p.is_empty() && *p != "/");
        parts.sort_by_key(|p| std::cmp::Reverse(p.len()));
        parts
    }
}

/// Without user, password and port.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let named = authority.rsplit('@').next().unwrap_or_default();
    match named.strip_prefix('[').and_then(|n| n.find(']')) {
        Some(end) => &named[..end + 2],
        None => named.split(':').next().unwrap_or_default(),
    }
}

/// A status with its standard meaning, never with what the receiver wrote: answers repeat addresses.
/// Source: RFC 9110, section 15; RFC 6585.
pub(super) fn status_text(status: u16) -> String {
    let meaning = match status {
        400 => " Bad Request",
        401 => " Unauthorized",
        403 => " Forbidden",
        404 => " Not Found",
        405 => " Method Not Allowed",
        408 => " Request Timeout",
        410 => " Gone",
        413 => " Content Too Large",
        415 => " Unsupported Media Type",
        422 => " Unprocessable Content",
        429 => " Too Many Requests",
        500 => " Internal Server Error",
        501 => " Not Implemented",
        502 => " Bad Gateway",
        503 => " Service Unavailable",
        504 => " Gateway Timeout",
        _ => "",
    };
    format!("HTTP {status}{meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_never_shown() {
        let secret =
            Secret::new("https://user:pw@hooks.example.com:8443/services/T0/B0/XyZ?k=v").unwrap();
        assert_eq!(secret.host(), "hooks.example.com");
        assert_eq!(format!("{secret:?}"), "[secret]");
        for leak in [
            "error for https://user:pw@hooks.example.com:8443/services/T0/B0/XyZ?k=v",
            "no route to /services/T0/B0/XyZ?k=v",
            "not found: services, for user with pw",
        ] {
            let shown = secret.redacted(leak);
            for part in ["XyZ?", "pw", "services", "user", "=v"] {
                assert!(!shown.contains(part), "{shown}");
            }
        }
        let secret = Secret::new("https://hooks.example.com/services/T0/B0/XyZ9?sig=v").unwrap();
        assert_eq!(
            secret.redacted("invalid token XyZ9, sig v: very invalid"),
            "invalid token [secret], sig [secret]: very invalid"
        );
        assert_eq!(status_text(404), "HTTP 404 Not Found");
        assert_eq!(status_text(499), "HTTP 499");
        for bad in [
            "http://hooks.example.com/x",
            "hooks.example.com",
            "",
            "https:///x",
            "http://localhost.evil.example/x",
        ] {
            assert!(Secret::new(bad).is_err(), "{bad}");
        }
        assert!(Secret::new("http://127.0.0.1:9/x").is_ok());
    }
}
