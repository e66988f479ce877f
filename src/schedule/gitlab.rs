//! A file to include in `.gitlab-ci.yml`. GitLab keeps schedules outside of files: the commands that
//! make them are in its head.

use super::quote::{comment, shell, yaml};
use super::{Account, EXIT_CODES, File, Job, Kind, Place, comments, made_by, minutes_up};

/// Minutes for finishing a killed drill.
const SWEEP: u64 = 50;

#[derive(Debug, Clone)]
pub struct Settings {
    /// A container image that has opsctl.
    pub image: Option<String>,
    /// A command that installs opsctl.
    pub install: Option<String>,
    /// Of a runner.
    pub tag: Option<String>,
}

pub fn file(jobs: &[Job], place: &Place, settings: &Settings) -> File {
    let path = format!("{}.gitlab-ci.yml", place.name);
    let mut text = made_by(place, "gitlab");
    text.push_str(&format!(
        "# Include it:  include: [{{ local: {} }}]\n# GitLab keeps the times outside of files. Once, with glab (or under Build > Pipeline schedules):\n",
        yaml(&path)
    ));
    for job in jobs {
        text.push_str(&format!(
            "#   glab schedule create --ref main --cron {} --cronTimeZone UTC --description {} --variable OPSCTL_JOB:{}\n",
            yaml(&job.cron()),
            shell(&comment(&job.title)),
            job.id
        ));
    }
    text.push_str(EXIT_CODES);
    text.push_str("# There is no secret in here: each job takes on its role by OIDC. The role trusts your GitLab for this project and\n# the audience sts.amazonaws.com, and is named by a CI/CD variable of the project:\n");
    let mut seen: Vec<&str> = Vec::new();
    for account in jobs.iter().flat_map(|j| &j.accounts) {
        if !seen.contains(&account.environment.as_str()) {
            seen.push(&account.environment);
            text.push_str(&format!(
                "#   {}: a role of account {} ({})\n",
                account.role_arn.as_ref().unwrap_or(&account.variable),
                account.account,
                comment(&account.environment)
            ));
        }
    }
    for job in jobs {
        one(&mut text, job, place, settings);
    }
    File { path, text }
}

fn one(text: &mut String, job: &Job, place: &Place, settings: &Settings) {
    let run = minutes_up(job.longest_one_seconds) + 10;
    text.push_str(&format!(
        "\n# {}: {}\n",
        comment(&job.title),
        job.cadence.words()
    ));
    text.push_str(&comments("", &job.why));
    text.push_str(&format!(
        "{}:\n  rules:\n    - if: '$OPSCTL_JOB == \"{}\" && $CI_PIPELINE_SOURCE =~ /^(schedule|web)$/'\n",
        job.name, job.id
    ));
    if let Some(image) = &settings.image {
        // Images often have opsctl as their entry point, and jobs need a shell.
        text.push_str(&format!(
            "  image:\n    name: {}\n    entrypoint: [\"\"]\n",
            yaml(image)
        ));
    }
    if let Some(tag) = &settings.tag {
        text.push_str(&format!("  tags: [{}]\n", yaml(tag)));
    }
    let drill = job.kind == Kind::Drill;
    let whole = match drill {
        true => run + SWEEP + 15,
        false => run + 10,
    };
    text.push_str(&format!(
        "  resource_group: {} # never two at a time\n  interruptible: false\n  timeout: {whole} minutes\n",
        job.name
    ));
    if place.tolerate {
        text.push_str("  allow_failure:\n    exit_codes: [2]\n");
    }
    if drill {
        text.push_str("  parallel:\n    matrix:\n      - DRILL:\n");
        for name in &job.drills {
            text.push_str(&format!("          - {}\n", yaml(name)));
        }
    }
    if !job.accounts.is_empty() {
        text.push_str("  id_tokens:\n    OPSCTL_ID_TOKEN:\n      aud: sts.amazonaws.com\n");
    }
    let home = "$CI_PROJECT_DIR/.opsctl-ci";
    let mut variables: Vec<(String, String)> = Vec::new();
    if !job.accounts.is_empty() {
        variables.push(("AWS_CONFIG_FILE".to_owned(), format!("{home}/config")));
    }
    if let Some(account) = job.accounts.iter().find(|a| a.profile.is_none()) {
        let role = role(account);
        variables.push(("AWS_ROLE_ARN".to_owned(), role));
        variables.push((
            "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
            format!("{home}/token"),
        ));
        variables.push((
            "AWS_ROLE_SESSION_NAME".to_owned(),
            "opsctl-$CI_JOB_ID".to_owned(),
        ));
        variables.push(("AWS_REGION".to_owned(), account.region.clone()));
    }
    if drill {
        // The first belongs to opsctl's own limits, so that it ends by itself; GitLab runs the
        // second after a timeout too only if both are set.
        variables.push(("RUNNER_SCRIPT_TIMEOUT".to_owned(), format!("{run}m")));
        variables.push((
            "RUNNER_AFTER_SCRIPT_TIMEOUT".to_owned(),
            format!("{SWEEP}m"),
        ));
    }
    if !variables.is_empty() {
        text.push_str("  variables:\n");
        for (name, value) in &variables {
            text.push_str(&format!("    {name}: {}\n", yaml(value)));
        }
    }
    let mut before: Vec<String> = Vec::new();
    if let Some(install) = &settings.install {
        before.extend(install.lines().map(str::to_owned));
    }
    before.push(format!(
        "{} --version || {{ echo 'opsctl is not on this runner: make this file anew with --image or --install'; exit 1; }}",
        shell(&place.binary)
    ));
    before.extend(credentials(job));
    text.push_str("  before_script:\n");
    lines(text, &before);
    text.push_str("  script:\n");
    let mut script = Vec::new();
    if place.dir != "." {
        script.push(format!("cd {}", shell(&place.dir)));
    }
    match job.kind {
        Kind::Drill => script.push(format!("{} \"$DRILL\"", job.command(&place.binary, &[]))),
        Kind::Status => script.push(job.command(&place.binary, &[])),
        Kind::Audit => script.push(format!(
            "{} --format junit --output \"$CI_PROJECT_DIR/opsctl-audit.xml\"",
            job.command(&place.binary, &[])
        )),
    }
    lines(text, &script);
    let folder = match place.dir.as_str() {
        "." => String::new(),
        dir => format!("{dir}/"),
    };
    match job.kind {
        Kind::Drill => {
            text.push_str("  # Of a job that was cancelled or ran out of time: what its drill left behind is removed.\n  after_script:\n");
            let mut after = script;
            after.pop();
            after.push(job.sweep(&place.binary));
            after.push("rm -rf \"$CI_PROJECT_DIR/.opsctl-ci\"".to_owned());
            lines(text, &after);
            text.push_str(&format!(
                "  artifacts:\n    when: always\n    expire_in: 1 year\n    paths:\n      - {}\n",
                yaml(&format!("{folder}.opsctl/evidence/"))
            ));
        }
        Kind::Status => {}
        Kind::Audit => text.push_str("  artifacts:\n    when: always\n    expire_in: 90 days\n    paths:\n      - opsctl-audit.xml\n    reports:\n      junit: opsctl-audit.xml\n"),
    }
}

/// Shell lines of a script: each a YAML text, since many hold `: `.
fn lines(text: &mut String, all: &[String]) {
    for line in all {
        text.push_str(&format!("    - {}\n", yaml(line)));
    }
}

fn role(account: &Account) -> String {
    account
        .role_arn
        .clone()
        .unwrap_or_else(|| format!("${}", account.variable))
}

/// Writes the job's token, and the profiles that `opsctl.toml` names. The token lives as long as the
/// job, so that a session which ends meanwhile is renewed.
fn credentials(job: &Job) -> Vec<String> {
    if job.accounts.is_empty() {
        return Vec::new();
    }
    let mut out = vec![
        "umask 077".to_owned(),
        "mkdir -p \"$CI_PROJECT_DIR/.opsctl-ci\"".to_owned(),
        "printf '%s' \"$OPSCTL_ID_TOKEN\" > \"$CI_PROJECT_DIR/.opsctl-ci/token\"".to_owned(),
        ": > \"$AWS_CONFIG_FILE\"".to_owned(),
    ];
    for account in &job.accounts {
        let Some(profile) = &account.profile else {
            continue;
        };
        let role = match &account.role_arn {
            Some(arn) => shell(arn),
            None => format!("\"${}\"", account.variable),
        };
        out.push(format!(
            "printf '[profile %s]\\nrole_arn = %s\\nweb_identity_token_file = %s\\nregion = %s\\n' {} {role} \"$CI_PROJECT_DIR/.opsctl-ci/token\" {} >> \"$AWS_CONFIG_FILE\"",
            shell(profile),
            shell(&account.region)
        ));
    }
    out
}
