//! Commands to be copied and pasted: they go to the account, the region and the world that was looked
//! at, not to wherever the shell happens to point.

use crate::audit::pending::shell;
use crate::cloud::Target;

/// How one environment was reached.
#[derive(Debug, Clone, Copy)]
pub struct Commands<'a> {
    pub target: &'a Target,
    /// `--profile`, instead of the profile of the environment.
    pub profile: Option<&'a str>,
    /// `--endpoint-url`
    pub endpoint_url: Option<&'a str>,
    pub sandbox: Option<&'a str>,
}

impl Commands<'_> {
    pub fn environment(&self) -> &str {
        &self.target.environment
    }

    /// The profile in force.
    pub fn profile(&self) -> Option<&str> {
        self.profile.or(self.target.profile.as_deref())
    }

    /// A call of AWS's own CLI; none in a sandbox, which it does not reach. `region`: where the thing
    /// is; empty for services that have none.
    pub fn aws(&self, region: &str, words: &[&str]) -> Option<String> {
        if self.sandbox.is_some() {
            return None;
        }
        let mut command = "aws".to_owned();
        let options = [
            ("--profile", self.profile()),
            ("--region", Some(region).filter(|r| !r.is_empty())),
            ("--endpoint-url", self.endpoint_url),
        ];
        // Behind the service and the operation, where people look for them.
        let (call, parameters) = words.split_at(words.len().min(2));
        for word in call {
            command.push_str(&format!(" {}", shell(word)));
        }
        for (option, value) in options {
            if let Some(value) = value {
                command.push_str(&format!(" {option} {}", shell(value)));
            }
        }
        for word in parameters {
            command.push_str(&format!(" {}", shell(word)));
        }
        Some(command)
    }

    /// A command of ours for this environment.
    pub fn opsctl(&self, words: &[&str]) -> Option<String> {
        let mut command = "opsctl".to_owned();
        for word in words {
            command.push_str(&format!(" {}", shell(word)));
        }
        let options = [
            ("-e", Some(self.environment())),
            ("--profile", self.profile),
            ("--endpoint-url", self.endpoint_url),
            ("--sandbox", self.sandbox),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                command.push_str(&format!(" {option} {}", shell(value)));
            }
        }
        Some(command)
    }

    /// What to do by AWS's CLI, with what that has to be told beside a profile.
    pub fn by_aws(&self, text: &str) -> String {
        match (&self.target.role_arn, self.sandbox) {
            (_, Some(_)) => {
                format!("{text} (in an AWS account: the AWS CLI does not reach a sandbox)")
            }
            (Some(role), None) => format!("{text}, with the credentials of {role}"),
            (None, None) => text.to_owned(),
        }
    }
}
