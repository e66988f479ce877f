//! Tells people the result of an audit or a drill: an SNS topic, a Slack-compatible webhook, any URL.
//!
//! The addresses of webhooks are secrets: they come from the environment and stand in no output, log
//! or error. Sources: SNS API reference, Publish (subject and message); Slack, "Sending messages using
//! incoming webhooks" and "Escaping text".

mod memory;
mod secret;

use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::aws::post::{Post, post};
use crate::cloud::{Call, Cloud, Target};
use crate::config::workspace::{NotifyOn, is_topic_arn};
use crate::model::Arn;

pub use memory::Memory;
pub use secret::Secret;
use secret::status_text;

/// For one try at a URL.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Tries at a URL.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });
/// Characters of a subject. Source: SNS API reference, Publish.
const SUBJECT: usize = 100;

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
/// What it should have been; without the text, which may be a secret that lacks its `https://`.
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
            None => Err("a target is sns:TOPIC-ARN, slack, url or https://… (with %2C for a comma, as commas separate targets); names of audits stand before --notify".to_owned()),
        },
    }
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

    /// What its memory is filed under: tells receivers apart without telling who they are.
    fn key(&self) -> String {
        let mut digest = match self {
            Channel::Topic { arn, .. } => fingerprint(["sns", arn]),
            Channel::Slack(secret) => fingerprint(["slack", &secret.0]),
            Channel::Url(secret) => fingerprint(["url", &secret.0]),
        };
        digest.truncate(12);
        digest
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `audit` or `drill`.
    pub what: &'static str,
    /// `pass`, `fail`, `incomplete`, `error`.
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

/// What became of a notification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Names of the targets that took it; in the sandbox those that would have been told.
    pub sent: Vec<String>,
    /// Names of those that were not told, as it is no news to them or not asked for.
    pub quiet: Vec<String>,
    /// Why those were not told.
    pub quiet_because: &'static str,
    /// What went wrong, by target.
    pub failed: Vec<String>,
    /// What is not as it should be, and changes nothing.
    pub warnings: Vec<String>,
}

/// Decides for each channel, and tells it once. A channel may come with the reason why it cannot be
/// told: that is a failure each time that there is something to tell.
pub async fn tell(
    cloud: &dyn Cloud,
    memory: &Memory<'_>,
    channels: &[(Channel, Option<String>)],
    on: NotifyOn,
    notice: &Notice,
    at: jiff::Timestamp,
) -> Told {
    let mut told = Told {
        quiet_because: match on {
            NotifyOn::Attention => "nothing needs attention",
            _ => "the result is the same as the last time",
        },
        ..Told::default()
    };
    for (channel, refused) in channels {
        let last = memory.last(notice, channel).await.unwrap_or_else(|why| {
            // Better twice than not at all.
            told.warn(format!(
                "the last result could not be read, so this counts as a change: {why}"
            ));
            None
        });
        let changed = last.is_none_or(|l| l.fingerprint != notice.fingerprint);
        let wanted = match on {
            NotifyOn::Always => true,
            NotifyOn::Change => changed,
            NotifyOn::Attention => notice.attention,
        };
        if !wanted {
            told.quiet.push(channel.name());
            continue;
        }
        let answer = match refused {
            Some(why) => Err(why.clone()),
            None if memory.sandbox.is_some() => Ok(()),
            None => send(cloud, channel, notice, changed, at).await,
        };
        if let Err(why) = answer {
            // Not kept: it is still news the next time.
            told.failed.push(format!("{}: {why}", channel.name()));
            continue;
        }
        told.sent.push(channel.name());
        if changed && let Err(why) = memory.keep(notice, channel, at).await {
            told.warn(format!(
                "the result could not be kept, so the next one counts as a change: {why}"
            ));
        }
    }
    told
}

impl Told {
    /// The same bucket fails in the same way for each channel.
    fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
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
    fn subjects_are_what_sns_takes() {
        assert_eq!(
            subject("opsctl audit: FAIL · größe"),
            "opsctl audit: FAIL ? gr??e"
        );
        assert!(subject(&"x".repeat(300)).len() <= SUBJECT);
        assert_eq!(for_slack("<!channel> & co"), "&lt;!channel&gt; &amp; co");
    }

    #[test]
    fn receivers_are_told_apart_without_being_told() {
        let open = |url: &str| Secret::new(url).unwrap();
        let key = Channel::Slack(open("https://hooks.slack.com/services/T0/B0/S3CR3T")).key();
        assert_eq!(key.len(), 12);
        assert!(key.chars().all(|c| c.is_ascii_hexdigit()), "{key}");
        for other in [
            Channel::Slack(open("https://hooks.slack.com/services/T0/B0/OTHER")),
            Channel::Url(open("https://hooks.slack.com/services/T0/B0/S3CR3T")),
        ] {
            assert_ne!(other.key(), key);
        }
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(fingerprint(["ab", "c"]), fingerprint(["a", "bc"]));
    }
}
