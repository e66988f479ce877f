//! `--notify` of audits and drills.

use clap::Args;
use clap::builder::TypedValueParser;

use super::evidence;
use super::session::{Session, guard, target};
use super::{Failure, Global, exit};
use crate::apply::notify::{self, Channel, Memory, Notice, SLACK, Secret, URL, Wanted, tell};
use crate::cloud::Target;
use crate::config::workspace::{NotifyOn, Workspace};
use crate::model::Arn;
use crate::render;

#[derive(Debug, Clone, Args)]
pub struct NotifyArgs {
    /// Tell the result in three lines: sns:TOPIC-ARN, slack (the webhook in OPSCTL_SLACK_WEBHOOK), url
    /// (the address in OPSCTL_NOTIFY_URL) or https://…; repeatable. Without a value: whom [notify] of
    /// opsctl.toml names. What cannot be told is a warning, and exit code 1 where it would have been 0
    #[arg(long, value_name = "TARGET", env = "OPSCTL_NOTIFY", num_args = 0..=1, default_missing_value = "", value_delimiter = ',', hide_env_values = true, value_parser = TargetParser)]
    pub notify: Vec<Wanted>,
    /// When: if the result is another one than the last time, if it needs attention (exit code not
    /// 0), or always [default: `on` of [notify], else always]
    #[arg(long, value_name = "WHEN", value_enum)]
    pub notify_on: Option<NotifyOn>,
}

/// Like a function, but for the error: clap's own repeats the value, which may be a secret address
/// that lacks its `https://`.
#[derive(Debug, Clone)]
struct TargetParser;

impl TypedValueParser for TargetParser {
    type Value = Wanted;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Wanted, clap::Error> {
        notify::parse(&value.to_string_lossy()).map_err(|why| {
            clap::Error::raw(
                clap::error::ErrorKind::ValueValidation,
                format!("--notify (or OPSCTL_NOTIFY): {why}\n"),
            )
            .with_cmd(command)
        })
    }
}

/// Whom to tell, checked before the work begins: a mistake is not to show after an hour of drills.
pub struct Notifier {
    channels: Vec<Channel>,
    on: NotifyOn,
}

/// The address that a variable of the environment holds.
pub fn secret(variable: &str) -> Result<Secret, Failure> {
    let text = std::env::var(variable).map_err(|_| {
        Failure::new(format!(
            "--notify: the environment variable {variable} is not set"
        ))
        .help("the address is a secret, so it is read from there and from nowhere else")
    })?;
    Secret::new(&text).map_err(|why| {
        Failure::new(format!(
            "--notify: what {variable} holds cannot be used: {why}"
        ))
    })
}

/// The environment that may publish to a topic.
fn publisher(workspace: &Workspace, arn: &str) -> Result<Target, Failure> {
    let account = Arn::parse(arn).map_or("", |a| a.account);
    let mut all = workspace.environments.iter();
    all.find(|(_, e)| e.account.value == account)
        .map(|(name, environment)| target(name, environment))
        .ok_or_else(|| {
            Failure::new(format!(
                "--notify sns:{arn}: no environment has the account {account}"
            ))
            .help("opsctl publishes with the credentials of an environment of the same account")
        })
}

impl Notifier {
    /// `None`: nobody is to be told.
    ///
    /// # Errors
    /// A target that cannot be used.
    pub fn new(args: &NotifyArgs, session: &Session) -> Result<Option<Notifier>, Failure> {
        if args.notify.is_empty() {
            return match args.notify_on {
                Some(_) => Err(
                    Failure::new("--notify-on says when, and nobody is to be told")
                        .help("add --notify"),
                ),
                None => Ok(None),
            };
        }
        let workspace = session.workspace()?;
        let mut wanted = Vec::new();
        for target in &args.notify {
            if *target != Wanted::Configured {
                wanted.push(target.clone());
                continue;
            }
            let Some(configured) = &workspace.notify else {
                return Err(Failure::new("--notify without a value tells whom [notify] names, and opsctl.toml has no [notify]")
                    .help("--notify slack, or in opsctl.toml: [notify] targets = [\"slack\"]"));
            };
            for text in &configured.targets {
                wanted.push(notify::parse(text).map_err(Failure::new)?);
            }
        }
        let mut channels: Vec<Channel> = Vec::new();
        for target in wanted {
            let open = |url: &str| {
                Secret::new(url).map_err(|why| {
                    Failure::new(format!("--notify: the address cannot be used: {why}"))
                })
            };
            let channel = match &target {
                Wanted::Topic(arn) => Channel::Topic {
                    target: publisher(workspace, arn)?,
                    arn: arn.clone(),
                },
                // In the sandbox nothing is sent, so no secret is needed to see what would be.
                Wanted::Slack if session.sandbox.is_some() && std::env::var_os(SLACK).is_none() => {
                    Channel::Slack(open("https://hooks.slack.com/")?)
                }
                Wanted::Url if session.sandbox.is_some() && std::env::var_os(URL).is_none() => {
                    Channel::Url(open("https://localhost/")?)
                }
                Wanted::Slack => Channel::Slack(secret(SLACK)?),
                Wanted::Url => Channel::Url(secret(URL)?),
                Wanted::Open(url) => Channel::Url(open(url)?),
                Wanted::Configured => continue,
            };
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        let configured = workspace.notify.as_ref().map(|n| n.on);
        Ok(Some(Notifier {
            channels,
            on: args.notify_on.or(configured).unwrap_or_default(),
        }))
    }

    /// Tells the result; the exit code is that of the command, or 1 where that was 0 and somebody
    /// could not be told.
    pub async fn tell(
        &self,
        global: &Global,
        session: &Session,
        notice: &Notice,
        code: i32,
    ) -> i32 {
        let cloud = session.cloud.as_ref();
        let mut warnings = Vec::new();
        let mut channels = Vec::new();
        for channel in &self.channels {
            let refused = match channel {
                Channel::Topic { target, .. } => guard(cloud, &[target]).await.err(),
                _ => None,
            };
            channels.push((channel.clone(), refused.map(|failure| failure.message)));
        }
        let sandbox = session.sandbox.as_deref();
        let found = evidence::place(sandbox, &session.loaded, cloud).await;
        let found = found.unwrap_or_else(|failure| {
            warnings.push(failure.message);
            None
        });
        let memory = Memory {
            folder: session.state.join("notify"),
            sandbox,
            bucket: found.map(|e| (cloud.objects(), e.place, e.prefix)),
        };
        let told = tell(
            cloud,
            &memory,
            &channels,
            self.on,
            notice,
            jiff::Timestamp::now(),
        )
        .await;
        warnings.extend(told.warnings);
        for warning in warnings {
            global.say(&format!("warning: notification: {warning}"));
        }
        match (told.quiet.is_empty(), told.quiet.len() == channels.len()) {
            (true, _) => {}
            (_, true) => global.say(&format!("nobody was notified: {}", told.quiet_because)),
            (_, false) => global.say(&format!(
                "not notified again: {}: {}",
                told.quiet.join(", "),
                told.quiet_because
            )),
        }
        match (&session.sandbox, told.sent.is_empty()) {
            (_, true) => {}
            (Some(_), false) => global.say(&format!(
                "in an account this would be sent to {}:\n{}",
                told.sent.join(", "),
                notice.text()
            )),
            (None, false) => global.say(&format!("notified: {}", told.sent.join(", "))),
        }
        for failure in &told.failed {
            // A warning that is not to be silenced: nobody else tells that nobody was told.
            global.print_failure(&Failure::new(format!("not notified: {failure}")));
        }
        match (told.failed.is_empty(), code) {
            (false, exit::OK) => exit::FAILED,
            _ => code,
        }
    }
    /// Tells that there is no result. The command has failed whatever becomes of this.
    pub async fn could_not_run(&self, global: &Global, session: &Session, attempt: Attempt<'_>) {
        let why = attempt.failure.told();
        let notice = Notice {
            what: attempt.what,
            outcome: "error".to_owned(),
            attention: true,
            lines: render::notice::could_not_run(
                attempt.what,
                &attempt.of,
                session.sandbox.as_deref(),
                &why,
            ),
            fingerprint: notify::fingerprint(["error", &why]),
            scope: attempt.scope,
        };
        self.tell(global, session, &notice, exit::FAILED).await;
    }
}

/// An audit or a run of drills that came to no result.
pub struct Attempt<'a> {
    /// `audit` or `drill`.
    pub what: &'static str,
    /// What was asked for, in words.
    pub of: String,
    /// That of the result that it would have had, so that the next result is news.
    pub scope: String,
    pub failure: &'a Failure,
}
