//! Who may take the role.

use serde_json::{Value, json};

use super::Role;

/// Where GitHub's tokens come from. Source: GitHub docs, "OpenID Connect reference".
const GITHUB: &str = "token.actions.githubusercontent.com";

/// Who is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Workflows of one repository; with an environment only its jobs, else those of any branch, tag
    /// and pull request.
    Github {
        repository: String,
        environment: Option<String>,
    },
    /// A role or user, by its ARN, with the external id that it has to say.
    Principal { arn: String },
}

impl Trust {
    /// Reads `github:ORG/REPO[:ENVIRONMENT]` or `role:ARN`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Trust, String> {
        let wrong =
            || format!("`{text}` is not github:ORG/REPO, github:ORG/REPO:ENVIRONMENT or role:ARN");
        let plain = |s: &str| {
            !["", ".", ".."].contains(&s)
                && s.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "github" => {
                let (repository, environment) = match rest.split_once(':') {
                    Some((repository, environment)) => (repository, Some(environment)),
                    None => (rest, None),
                };
                let whole = repository
                    .split_once('/')
                    .is_some_and(|(o, r)| plain(o) && plain(r));
                // A star would let any repository in, `$` begins a variable of IAM's, and GitHub writes
                // `:` of a name as %3A.
                let bad = |e: &str| {
                    ["", ".", ".."].contains(&e)
                        || e.contains(['*', '?', ':', '$'])
                        || e.contains(char::is_control)
                };
                if !whole || environment.is_some_and(bad) {
                    return Err(wrong());
                }
                Ok(Trust::Github {
                    repository: repository.to_owned(),
                    environment: environment.map(str::to_owned),
                })
            }
            "role" => {
                let arn = crate::model::Arn::parse(rest).filter(|a| {
                    let name = a.resource.split_once('/').filter(|(kind, name)| {
                        // Source: API model, iam (roleNameType, pathType).
                        let plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
                        ["role", "user"].contains(kind)
                            && name.chars().all(plain)
                            && name.split('/').all(|n| !["", ".", ".."].contains(&n))
                    });
                    a.service == "iam"
                        && a.region.is_empty()
                        && a.account.len() == 12
                        && a.account.bytes().all(|b| b.is_ascii_digit())
                        && name.is_some()
                });
                arn.map(|_| Trust::Principal {
                    arn: rest.to_owned(),
                })
                .ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    /// Whether a role of this purpose, in this partition, may trust them.
    ///
    /// # Errors
    /// Why not.
    pub fn suits(&self, role: Role, partition: &str) -> Result<(), String> {
        match self {
            Trust::Github {
                repository,
                environment: None,
            } if role != Role::Plan => Err(format!(
                "github:{repository} trusts every branch and pull request of it, which is too many for {}: add :ENVIRONMENT, a protected environment of the repository",
                role.as_str()
            )),
            Trust::Principal { arn }
                if crate::model::Arn::parse(arn).is_none_or(|a| a.partition != partition) =>
            {
                Err(format!(
                    "{arn} is not of the partition {partition} of the environment, and no role trusts across partitions"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The trust policy of a role in this account.
    ///
    /// GitHub's tokens name their audience and their subject; without a condition on the subject any
    /// repository of GitHub could take the role. Source: IAM user guide, "Create a role for OpenID
    /// Connect federation"; GitHub docs, "Configuring OpenID Connect in Amazon Web Services".
    pub fn policy(&self, partition: &str, account: &str, external_id: Option<&str>) -> Value {
        let statement = match self {
            Trust::Github {
                repository,
                environment,
            } => {
                let (operator, subject) = match environment {
                    Some(name) => (
                        "StringEquals",
                        format!("repo:{repository}:environment:{name}"),
                    ),
                    None => ("StringLike", format!("repo:{repository}:*")),
                };
                let mut condition = json!({
                    "StringEquals": { format!("{GITHUB}:aud"): "sts.amazonaws.com" },
                });
                condition[operator][format!("{GITHUB}:sub")] = json!(subject);
                json!({
                    "Sid": "GitHubActions",
                    "Effect": "Allow",
                    "Principal": { "Federated": format!("arn:{partition}:iam::{account}:oidc-provider/{GITHUB}") },
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": condition,
                })
            }
            Trust::Principal { arn } => {
                let mut statement = json!({
                    "Sid": "Principal",
                    "Effect": "Allow",
                    "Principal": { "AWS": arn },
                    "Action": "sts:AssumeRole",
                });
                if let Some(id) = external_id {
                    statement["Condition"] = json!({ "StringEquals": { "sts:ExternalId": id } });
                }
                statement
            }
        };
        json!({ "Version": "2012-10-17", "Statement": [statement] })
    }
}
