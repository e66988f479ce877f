//! Where an environment is at home, and whether it is production.

use crate::config::Resolved;
use crate::inventory::Resource;

/// Words in the name of an environment that make it production.
const PRODUCTION: [&str; 4] = ["prod", "prd", "production", "live"];

/// The first region that `opsctl.toml` gives the environment, whatever a run was narrowed to: there
/// the metrics of drills are.
pub fn home(resolved: &Resolved) -> Option<String> {
    let config = resolved.config.as_ref()?;
    config.regions.first().map(|r| r.value.clone())
}

fn says_production(text: &str) -> bool {
    text.to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| PRODUCTION.contains(&word))
}

/// Whether a resource holds production data: as its tag `environment` says, else as the policy says
/// of the environment, else as the environment's name says.
pub fn is_production(resolved: &Resolved, resource: &Resource) -> bool {
    let tags = resource.tags.known().into_iter().flatten();
    let mut said = tags.filter(|(key, value)| {
        let key = key.to_lowercase();
        (key == "environment" || key == "env") && !value.is_empty()
    });
    if let Some((_, value)) = said.next() {
        return says_production(value);
    }
    let policy = resolved.policies.backups.as_ref();
    policy
        .and_then(|p| p.production)
        .unwrap_or_else(|| says_production(&resolved.environment))
}

#[cfg(test)]
mod tests {
    use super::says_production;

    #[test]
    fn names_tell_what_is_production() {
        for yes in [
            "prod",
            "Production",
            "prod-eu",
            "acme_live",
            "eu-west-1.prd",
        ] {
            assert!(says_production(yes), "{yes}");
        }
        for no in ["staging", "product", "dev", "nonprod", "delivery", ""] {
            assert!(!says_production(no), "{no}");
        }
    }
}
