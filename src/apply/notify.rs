//! Tells people the result of an audit or a drill: an SNS topic, a Slack-compatible webhook, any URL.
//!
//! The addresses of webhooks are secrets: they come from the environment and stand in no output, log
//! or error. Sources: SNS API reference, Publish (subject and message); Slack, "Sending messages using
//! incoming webhooks" and "Escaping text".

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::aws::post::{Post, post};
use crate::cloud::store::{BucketPlace, ObjectStore, read_small};
use crate::cloud::{Call, Cloud, Target};
use crate::config::workspace::{NotifyOn, is_topic_arn};
use crate::model::Arn;
use crate::plan::file::write_atomically;

/// For one try at a URL.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Tries at a URL.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });
/// Characters of a subject. Source: SNS API reference, Publish.
const SUBJECT: usize = 100;
/// As much of a kept result as is read.
const MOST: usize = 64 << 10;

/// Where the address of a Slack-compatible webhook stands.
pub const SLACK: &str = "OPSCTL_SLACK_WEBHOOK";
/// Where the address of any other receiver stands.
pub const URL: &str = "OPSCTL_NOTIFY_URL";

/// A target as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Topic(String),
    Slack,
    /// The URL of the environment.
    Url,
    /// A URL that was written out, so it is no secret.
    Open(String),
    /// Those that `[notify]` names.
    Configured,
}

/// Reads `sns:ARN`, `slack`, `url` or a URL; nothing stands for what `[notify]` says.
///
/// # Errors
/// What it should have been.
pub fn parse(text: &str) -> Result<Wanted, String> {
    match text {
        "" => Ok(Wanted::Configured),
        "slack" => Ok(Wanted::Slack),
        "url" => Ok(Wanted::Url),
        url if url.starts_with("https://") || url.starts_with("http://") => {
            Ok(Wanted::Open(url.to_owned()))
        }
        other => match other.strip_prefix("sns:") {
            Some(arn) if is_topic_arn(arn) => Ok(Wanted::Topic(arn.to_owned())),
            Some(_) => Err("sns: takes the ARN of a topic, e.g. sns:arn:aws:sns:eu-west-1:123456789012:ops".to_owned()),
            None => Err("a target is sns:TOPIC-ARN, slack, url or https://…; names of audits stand before --notify".to_owned()),
        },
    }
}

/// An address that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

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
    fn redacted(&self, text: &str) -> String {
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
fn status_text(status: u16) -> String {
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

/// A target with everything that is needed to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// The environment that publishes, and the topic.
    Topic {
        target: Target,
        arn: String,
    },
    Slack(Secret),
    Url(Secret),
}

impl Channel {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Channel::Topic { arn, .. } => format!("sns:{arn}"),
            Channel::Slack(secret) => format!("slack ({})", secret.host()),
            Channel::Url(secret) => format!("url ({})", secret.host()),
        }
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `audit` or `drill`.
    pub what: &'static str,
    /// `pass`, `fail`, `incomplete`.
    pub outcome: String,
    /// Somebody has to look.
    pub attention: bool,
    pub lines: [String; 3],
    /// What was looked at: results of different questions are not compared.
    pub scope: String,
    /// What the result is told apart by.
    pub fingerprint: String,
}

impl Notice {
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// A digest of parts, whatever is in them.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// The result that was told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    outcome: String,
    lines: Vec<String>,
    at: jiff::Timestamp,
}

/// Where the last result is kept: always on this machine, and in the evidence bucket where there is
/// one, as CI runners lose their disk.
pub struct Memory<'a> {
    pub folder: PathBuf,
    pub sandbox: Option<&'a str>,
    /// With the prefix of the project.
    pub bucket: Option<(&'a dyn ObjectStore, BucketPlace, String)>,
}

impl Memory<'_> {
    fn stem(&self, notice: &Notice) -> String {
        let scope = fingerprint([notice.scope.as_str()]);
        let sandbox = self
            .sandbox
            .map(|s| format!("sandbox-{s}-"))
            .unwrap_or_default();
        format!(
            "{sandbox}{}-{}",
            notice.what,
            scope.get(..12).unwrap_or_default()
        )
    }

    fn file(&self, notice: &Notice) -> PathBuf {
        self.folder.join(format!("{}.json", self.stem(notice)))
    }

    /// `Ok(None)`: none was told yet.
    async fn last(&self, notice: &Notice) -> Result<Option<Kept>, String> {
        if let Some((store, place, prefix)) = &self.bucket {
            let prefix = format!("{prefix}notify/{}/", self.stem(notice));
            let listed = store
                .list_objects(place, &prefix, None)
                .await
                .map_err(|e| e.to_string())?;
            let Some(newest) = listed.iter().map(|o| o.key.as_str()).max() else {
                return Ok(None);
            };
            let bytes = read_small(*store, place, newest, MOST)
                .await
                .map_err(|e| e.to_string())?;
            return serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| format!("s3://{}/{newest}: {e}", place.bucket));
        }
        match std::fs::read(self.file(notice)) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| format!("{}: {e}", self.file(notice).display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{}: {e}", self.file(notice).display())),
        }
    }

    async fn keep(&self, notice: &Notice, at: jiff::Timestamp) -> Result<(), String> {
        let kept = Kept {
            fingerprint: notice.fingerprint.clone(),
            outcome: notice.outcome.clone(),
            lines: notice.lines.to_vec(),
            at,
        };
        let text = serde_json::to_vec(&kept).map_err(|e| e.to_string())?;
        write(&self.file(notice), &text)?;
        if let Some((store, place, prefix)) = &self.bucket {
            // Keys sort by time; none is ever written over.
            let key = format!("{prefix}notify/{}/{:.3}.json", self.stem(notice), at);
            store
                .put_object(place, &key, text, "application/json")
                .await
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| write_atomically(path, text))
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// What became of a notification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Names of the targets that took it; in the sandbox those that would have been told.
    pub sent: Vec<String>,
    /// Why nobody was told although somebody could have been.
    pub quiet: Option<String>,
    /// What went wrong, by target.
    pub failed: Vec<String>,
    /// What is not as it should be, and changes nothing.
    pub warnings: Vec<String>,
}

/// Decides, and tells everybody once.
pub async fn tell(
    cloud: &dyn Cloud,
    memory: &Memory<'_>,
    channels: &[Channel],
    on: NotifyOn,
    notice: &Notice,
    at: jiff::Timestamp,
) -> Told {
    let mut told = Told::default();
    let last = memory.last(notice).await.unwrap_or_else(|why| {
        // Better twice than not at all.
        told.warnings.push(format!(
            "the last result could not be read, so this counts as a change: {why}"
        ));
        None
    });
    let changed = last
        .as_ref()
        .is_none_or(|l| l.fingerprint != notice.fingerprint);
    told.quiet = match on {
        NotifyOn::Always => None,
        NotifyOn::Change if changed => None,
        NotifyOn::Change => Some("the result is the same as the last time".to_owned()),
        NotifyOn::Attention if notice.attention => None,
        NotifyOn::Attention => Some("nothing needs attention".to_owned()),
    };
    if told.quiet.is_none() {
        for channel in channels {
            if memory.sandbox.is_some() {
                told.sent.push(channel.name());
                continue;
            }
            match send(cloud, channel, notice, changed, at).await {
                Ok(()) => told.sent.push(channel.name()),
                Err(why) => told.failed.push(format!("{}: {why}", channel.name())),
            }
        }
    }
    // What somebody was not told is still news the next time.
    if changed
        && !told.sent.is_empty()
        && told.failed.is_empty()
        && let Err(why) = memory.keep(notice, at).await
    {
        told.warnings.push(format!(
            "the result could not be kept, so the next one counts as a change: {why}"
        ));
    }
    told
}

/// ASCII without control characters, at most 100. Source: SNS API reference, Publish.
fn subject(line: &str) -> String {
    let clean: String = line
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect();
    let clean = clean.trim();
    match clean.len() > SUBJECT {
        true => format!("{}...", &clean[..SUBJECT - 3]),
        false => clean.to_owned(),
    }
}

/// Source: Slack, "Escaping text".
fn for_slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

async fn send(
    cloud: &dyn Cloud,
    channel: &Channel,
    notice: &Notice,
    changed: bool,
    at: jiff::Timestamp,
) -> Result<(), String> {
    let (secret, body) = match channel {
        Channel::Topic { target, arn } => {
            let region = Arn::parse(arn).map_or("", |a| a.region).to_owned();
            let call = Call::Publish {
                region,
                topic: arn.clone(),
                subject: subject(&notice.lines[0]),
                message: notice.text(),
            };
            let mut answers = cloud.execute(target, &call).await;
            return answers.pop().unwrap_or(Ok(())).map_err(|e| e.to_string());
        }
        Channel::Slack(secret) => (
            secret,
            // Names of resources are nobody's formatting, and no links to be fetched.
            json!({
                "text": for_slack(&notice.text()),
                "mrkdwn": false,
                "unfurl_links": false,
                "unfurl_media": false,
            }),
        ),
        Channel::Url(secret) => (
            secret,
            json!({
                "format_version": crate::plan::FORMAT_VERSION,
                "kind": "notification",
                "opsctl_version": env!("CARGO_PKG_VERSION"),
                "generated_at": format!("{at:.0}"),
                "what": notice.what,
                "outcome": notice.outcome,
                "attention": notice.attention,
                "changed": changed,
                "lines": notice.lines,
            }),
        ),
    };
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        (
            "user-agent".to_owned(),
            format!("opsctl/{}", env!("CARGO_PKG_VERSION")),
        ),
    ];
    let mut tries = 1;
    loop {
        let answer = post(Post {
            url: &secret.0,
            headers: &headers,
            body: body.to_string().into_bytes(),
            timeout: TIMEOUT,
        })
        .await;
        let why = match answer {
            Ok((200..=299, _)) => return Ok(()),
            Ok((status @ 300..=399, _)) => {
                return Err(format!("HTTP {status}: redirects are not followed"));
            }
            Ok((status, _)) => {
                let why = status_text(status);
                if status != 429 && status < 500 {
                    return Err(why);
                }
                why
            }
            Err(why) => secret.redacted(&crate::render::text::escape(&why)),
        };
        if tries == TRIES {
            return Err(format!("{why} ({TRIES} tries)"));
        }
        tokio::time::sleep(PAUSE * (1 << (tries - 1))).await;
        tries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_refused() {
        assert_eq!(parse(""), Ok(Wanted::Configured));
        assert_eq!(parse("slack"), Ok(Wanted::Slack));
        let arn = "arn:aws:sns:eu-west-1:123456789012:ops";
        assert_eq!(
            parse(&format!("sns:{arn}")),
            Ok(Wanted::Topic(arn.to_owned()))
        );
        for bad in [
            "tags",
            "sns:ops",
            "sns:arn:aws:sqs:eu-west-1:123456789012:q",
            "ftp://x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

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

    #[test]
    fn subjects_are_what_sns_takes() {
        assert_eq!(
            subject("opsctl audit: FAIL · größe"),
            "opsctl audit: FAIL ? gr??e"
        );
        assert!(subject(&"x".repeat(300)).len() <= SUBJECT);
        assert_eq!(for_slack("<!channel> & co"), "&lt;!channel&gt; &amp; co");
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(fingerprint(["ab", "c"]), fingerprint(["a", "bc"]));
    }
}
