//! Who or what started a run, as far as the environment tells.

use super::record::Trigger;

/// From the variables of the CI systems, of systemd and of the login; `OPSCTL_TRIGGERED_BY` says
/// it outright.
pub fn detect(env: &dyn Fn(&str) -> Option<String>, terminal: bool) -> Trigger {
    let var = |name: &str| env(name).filter(|value| !value.is_empty());
    let trigger = |kind: &str, name: String, detail: Option<String>| Trigger {
        kind: kind.to_owned(),
        name,
        detail,
    };
    let login = || {
        ["SUDO_USER", "USER", "LOGNAME"]
            .iter()
            .find_map(|name| var(name))
            .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
    };
    let host = var("HOSTNAME").or_else(|| {
        let name = rustix::system::uname();
        name.nodename().to_str().ok().map(str::to_owned)
    });
    if let Some(said) = var("OPSCTL_TRIGGERED_BY") {
        return trigger("user", said, host);
    }
    if var("GITHUB_ACTIONS").is_some() {
        let url = match (
            var("GITHUB_SERVER_URL"),
            var("GITHUB_REPOSITORY"),
            var("GITHUB_RUN_ID"),
        ) {
            (Some(server), Some(repository), Some(run)) => {
                Some(format!("{server}/{repository}/actions/runs/{run}"))
            }
            _ => None,
        };
        let kind = match var("GITHUB_EVENT_NAME").as_deref() {
            Some("schedule") => "schedule",
            _ => "ci",
        };
        let actor = var("GITHUB_ACTOR").unwrap_or_else(|| "GitHub Actions".to_owned());
        return trigger(kind, actor, url);
    }
    if var("GITLAB_CI").is_some() {
        let kind = match var("CI_PIPELINE_SOURCE").as_deref() {
            Some("schedule") => "schedule",
            _ => "ci",
        };
        let actor = var("GITLAB_USER_LOGIN").unwrap_or_else(|| "GitLab CI".to_owned());
        return trigger(kind, actor, var("CI_JOB_URL"));
    }
    for (marker, name, url) in [
        ("BUILDKITE", "Buildkite", "BUILDKITE_BUILD_URL"),
        ("CIRCLECI", "CircleCI", "CIRCLE_BUILD_URL"),
        ("JENKINS_URL", "Jenkins", "BUILD_URL"),
        ("TF_BUILD", "Azure Pipelines", "BUILD_BUILDURI"),
        ("CODEBUILD_BUILD_ID", "CodeBuild", "CODEBUILD_BUILD_ARN"),
    ] {
        if var(marker).is_some() {
            return trigger("ci", name.to_owned(), var(url));
        }
    }
    if var("CI").is_some() {
        return trigger("ci", login(), host);
    }
    // Set by the job definitions that `opsctl schedule` writes: cron says nothing of itself.
    if let Some(scheduler) = var("OPSCTL_SCHEDULE") {
        let place = host.map_or_else(
            || scheduler.clone(),
            |host| format!("{scheduler} on {host}"),
        );
        return trigger("schedule", login(), Some(place));
    }
    // systemd sets INVOCATION_ID for its services; a login shell below one has a terminal.
    if !terminal && var("INVOCATION_ID").is_some() {
        return trigger("schedule", login(), host);
    }
    if var("KUBERNETES_SERVICE_HOST").is_some() && !terminal {
        return trigger("schedule", login(), host);
    }
    trigger("user", login(), host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_systems_are_told_apart_from_people() {
        let with = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            detect(
                &move |name| {
                    pairs
                        .iter()
                        .find(|(k, _)| k == name)
                        .map(|(_, v)| v.clone())
                },
                false,
            )
        };
        let github = with(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "schedule"),
            ("GITHUB_ACTOR", "ada"),
            ("GITHUB_SERVER_URL", "https://github.example"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_RUN_ID", "7"),
        ]);
        assert_eq!(
            (github.kind.as_str(), github.name.as_str()),
            ("schedule", "ada")
        );
        assert_eq!(
            github.detail.as_deref(),
            Some("https://github.example/a/b/actions/runs/7")
        );
        assert_eq!(with(&[("GITLAB_CI", "true")]).kind, "ci");
        assert_eq!(with(&[("USER", "ada")]).kind, "user");
        let cron = with(&[
            ("OPSCTL_SCHEDULE", "cron"),
            ("USER", "ada"),
            ("HOSTNAME", "box"),
        ]);
        assert_eq!(
            (
                cron.kind.as_str(),
                cron.name.as_str(),
                cron.detail.as_deref()
            ),
            ("schedule", "ada", Some("cron on box"))
        );
        assert_eq!(
            with(&[("INVOCATION_ID", "x"), ("USER", "ada")]).kind,
            "schedule"
        );
    }
}
