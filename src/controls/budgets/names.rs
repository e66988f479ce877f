//! What the objects of one environment are called.

use sha2::{Digest, Sha256};

use crate::config::Resolved;
use crate::model::check_tag_value;

/// Where billing metrics are, and so the alarm on them and its topics.
/// Source: "Creating a billing alarm to monitor your estimated AWS charges".
pub(super) const BILLING_REGION: &str = "us-east-1";

/// Longest part of a budget's name that names the project or the environment: with the longest
/// tag key and value the name has 100 characters, the most that AWS takes.
const PART: usize = 26;
const KEY: usize = 14;
const VALUE: usize = 24;

/// Letters, digits, `-` and `_`: what the names of topics, budgets and alarms all may have. Where
/// something had to be left out, a part of a digest tells apart what would look the same.
fn slug(text: &str, max: usize) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let clean: String = text
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect();
    if clean == text && clean.len() <= max && !clean.is_empty() {
        return clean;
    }
    let digest = hex::encode(Sha256::digest(text));
    let kept: String = clean.chars().take(max - 7).collect();
    format!("{kept}-{}", digest.get(..6).unwrap_or_default())
}

/// The names of one environment.
#[derive(Debug, Clone)]
pub(in crate::controls) struct Names {
    /// The budget, the anomaly subscription, the topic for e-mail; others begin with it.
    pub base: String,
    /// The value of the tag that says whose a thing is.
    pub managed: String,
    project: String,
}

impl Names {
    pub fn new(resolved: &Resolved) -> Names {
        let project = slug(&resolved.project, PART);
        let environment = slug(&resolved.environment, PART);
        let told = format!("{}/{}", resolved.project, resolved.environment);
        let managed = match check_tag_value(&told) {
            Ok(()) => told,
            Err(_) => format!("{project}/{environment}"),
        };
        Names {
            base: format!("opsctl-{project}-{environment}"),
            managed,
            project,
        }
    }

    /// The base of another environment of the project.
    pub fn of_neighbour(&self, environment: &str) -> String {
        format!("opsctl-{}-{}", self.project, slug(environment, PART))
    }

    pub fn split(&self, key: &str, value: &str) -> String {
        format!("{}-{}-{}", self.base, slug(key, KEY), slug(value, VALUE))
    }

    pub fn alarm(&self) -> String {
        format!("{}-billing", self.base)
    }

    /// The monitor of one account, seen from the payer.
    pub fn account_monitor(&self) -> String {
        format!("{}-account", self.base)
    }

    /// The one monitor of services in an account that several environments share.
    pub fn shared_monitor(&self) -> String {
        format!("opsctl-{}-shared", self.project)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_where_they_can_be_and_never_the_same() {
        assert_eq!(slug("findash", PART), "findash");
        assert_eq!(slug("Platform Team", VALUE), "Platform-Team-f28ffd");
        assert_ne!(slug("a b", VALUE), slug("a:b", VALUE));
        assert_ne!(slug("a b", VALUE), slug("a-b", VALUE));
        let long = "x".repeat(200);
        assert_eq!(slug(&long, VALUE).len(), VALUE);
        assert!(slug("", VALUE).len() > 1);
        let names = Names {
            base: format!("opsctl-{}-{}", "p".repeat(PART), "e".repeat(PART)),
            managed: String::new(),
            project: String::new(),
        };
        assert_eq!(names.split(&long, &long).len(), 100);
    }
}
