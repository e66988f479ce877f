//! A workflow of GitHub Actions.

use super::quote::{comment, shell, yaml};
use super::{Account, EXIT_CODES, File, Job, Kind, Place, comments, made_by, minutes_up};

/// What GitHub's own runners allow a job, in minutes.
const HOSTED: u64 = 360;
/// Minutes for finishing a killed drill.
const SWEEP: u64 = 50;
/// A session of a role lasts at most twelve hours.
const SESSION: u64 = 43_200;

// Major versions as of November 2026; `aws-profile` came with 6.1 of the credentials action.
const CHECKOUT: &str = "actions/checkout@v6";
const CREDENTIALS: &str = "aws-actions/configure-aws-credentials@v6";
const UPLOAD: &str = "actions/upload-artifact@v7";

#[derive(Debug, Clone)]
pub struct Settings {
    /// `runs-on`
    pub runner: String,
    /// A container image that has opsctl.
    pub image: Option<String>,
    /// A command that installs opsctl.
    pub install: Option<String>,
}

/// The workflow, and what is to be said about it.
pub fn file(jobs: &[Job], place: &Place, settings: &Settings) -> (File, Vec<String>) {
    let mut notes = Vec::new();
    let mut text = made_by(place, "github");
    text.push_str("# Times are UTC. GitHub starts scheduled workflows late when it is busy, only from the default branch, and stops\n# doing so in a public repository after 60 days without a commit.\n");
    text.push_str(EXIT_CODES);
    text.push_str("# There is no secret in here: each job takes on its role by OIDC. The role trusts\n# token.actions.githubusercontent.com for this repository, and is named by a variable of the repository:\n");
    for account in unique(jobs) {
        text.push_str(&format!(
            "#   {}: a role of account {} ({}), as `opsctl iam` describes it\n",
            role(account).unwrap_or_else(|| account.variable.clone()),
            account.account,
            comment(&account.environment)
        ));
    }
    text.push_str(&format!(
        "name: {}\n\non:\n  schedule:\n",
        yaml(&place.name)
    ));
    let mut crons: Vec<String> = Vec::new();
    for job in jobs {
        let cron = job.cron();
        text.push_str(&format!(
            "    # {}: {}\n",
            comment(&job.title),
            job.cadence.words()
        ));
        text.push_str(&comments("    ", &job.why));
        if crons.contains(&cron) {
            continue;
        }
        text.push_str(&format!("    - cron: {}\n", yaml(&cron)));
        crons.push(cron);
    }
    text.push_str("  workflow_dispatch:\n    inputs:\n      job:\n        description: Which job to run\n        type: choice\n        required: true\n        options:\n");
    for job in jobs {
        text.push_str(&format!("          - {}\n", job.id));
    }
    text.push_str(
        "\npermissions:\n  contents: read\n  id-token: write # for the role, by OIDC\n\njobs:\n",
    );
    for (i, job) in jobs.iter().enumerate() {
        if i > 0 {
            text.push('\n');
        }
        one(&mut text, &mut notes, job, place, settings);
    }
    let path = format!(".github/workflows/{}.yml", place.name);
    (File { path, text }, notes)
}

fn unique(jobs: &[Job]) -> Vec<&Account> {
    let mut out: Vec<&Account> = Vec::new();
    for account in jobs.iter().flat_map(|j| &j.accounts) {
        if !out.iter().any(|a| a.environment == account.environment) {
            out.push(account);
        }
    }
    out
}

fn role(account: &Account) -> Option<String> {
    account.role_arn.clone()
}

fn one(text: &mut String, notes: &mut Vec<String>, job: &Job, place: &Place, settings: &Settings) {
    let run = minutes_up(job.longest_one_seconds) + 10;
    let whole = match job.kind {
        Kind::Drill => run + SWEEP + 15,
        Kind::Audit | Kind::Status => run + 10,
    };
    if whole > HOSTED {
        notes.push(format!(
            "{}: may take {whole} min, and runners of GitHub stop every job after {HOSTED}: use one of your own (--runner), or lower limits.timeout of its longest drill",
            job.id
        ));
    }
    text.push_str(&format!(
        "  {}:\n    name: {}\n    if: github.event.schedule == {} || inputs.job == '{}'\n    runs-on: {}\n",
        job.id,
        yaml(&job.title),
        // A text in an expression stands in single quotes.
        format_args!("'{}'", job.cron()),
        job.id,
        yaml(&settings.runner)
    ));
    if let Some(image) = &settings.image {
        text.push_str(&format!("    container: {}\n", yaml(image)));
    }
    text.push_str(&format!("    timeout-minutes: {whole}\n"));
    let several = job.kind == Kind::Drill;
    let group = match several {
        true => format!("{}-${{{{ matrix.drill }}}}", job.name),
        false => job.name.clone(),
    };
    if several {
        text.push_str("    strategy:\n      fail-fast: false # one drill says nothing about the others\n      max-parallel: 1\n      matrix:\n        drill:\n");
        for drill in &job.drills {
            text.push_str(&format!("          - {}\n", yaml(drill)));
        }
    }
    text.push_str(&format!(
        "    concurrency: # never two at a time, and none is cancelled half-way\n      group: {}\n      cancel-in-progress: false\n",
        yaml(&group)
    ));
    if place.dir != "." {
        text.push_str(&format!(
            "    defaults:\n      run:\n        working-directory: {}\n",
            yaml(&place.dir)
        ));
    }
    text.push_str(&format!("    steps:\n      - uses: {CHECKOUT}\n        with:\n          persist-credentials: false\n"));
    credentials(text, notes, job, whole);
    let check = format!(
        "{} --version || {{ echo \"::error title=opsctl is not on this runner::make the workflow anew with --image or --install\"; exit 1; }}",
        shell(&place.binary)
    );
    if let Some(install) = &settings.install {
        text.push_str("      - name: Install opsctl\n        run: |\n");
        for line in install.lines() {
            text.push_str(&format!("          {line}\n"));
        }
    }
    text.push_str(&format!(
        "      - name: Is opsctl there?\n        run: |\n          {check}\n"
    ));
    let (name, command) = match job.kind {
        Kind::Status => ("Drills", job.command(&place.binary, &[])),
        Kind::Audit => (
            "Audit",
            format!("{} --format github", job.command(&place.binary, &[])),
        ),
        Kind::Drill => (
            "Restore drill",
            format!(
                "{} \"$DRILL\" --format markdown --output \"$RUNNER_TEMP/drill.md\"",
                job.command(&place.binary, &[])
            ),
        ),
    };
    text.push_str(&format!("      - name: {name}\n"));
    if several {
        text.push_str(&format!("        timeout-minutes: {run} # more than its own limits: opsctl should end by itself\n        env:\n          DRILL: ${{{{ matrix.drill }}}}\n"));
    }
    let tolerated = match place.tolerate {
        true => "; code=0",
        false => "",
    };
    let attention = match job.kind {
        Kind::Audit => "there are findings",
        Kind::Status => "a drill is overdue",
        Kind::Drill => "the drill failed or missed its objective",
    };
    text.push_str(&format!(
        "        run: |\n          code=0\n          {command} || code=$?\n"
    ));
    if several {
        text.push_str("          if [ -f \"$RUNNER_TEMP/drill.md\" ]; then\n            cat \"$RUNNER_TEMP/drill.md\"\n            cat \"$RUNNER_TEMP/drill.md\" >> \"$GITHUB_STEP_SUMMARY\"\n          fi\n");
    }
    text.push_str(&format!(
        "          case $code in\n            0) ;;\n            2) echo \"::warning title=opsctl::{attention}\"{tolerated} ;;\n            3) echo \"::warning title=opsctl::not everything could be seen\" ;;\n            *) echo \"::error title=opsctl::could not run (exit code $code)\" ;;\n          esac\n          exit \"$code\"\n"
    ));
    if several {
        text.push_str(&format!(
            "      # GitHub gives a cancelled step ten seconds, less than a database takes to be deleted.\n      - name: Remove what a killed drill left\n        if: always()\n        timeout-minutes: {SWEEP}\n        run: |\n          {}\n      - name: Keep the evidence\n        if: always()\n        uses: {UPLOAD}\n        with:\n          name: evidence-{}-${{{{ matrix.drill }}}}-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}\n          path: {}\n          include-hidden-files: true\n          if-no-files-found: ignore\n          retention-days: 90\n",
            job.sweep(&place.binary),
            job.id,
            yaml(&match place.dir.as_str() {
                "." => ".opsctl/evidence/".to_owned(),
                dir => format!("{dir}/.opsctl/evidence/"),
            }),
        ));
    }
}

fn credentials(text: &mut String, notes: &mut Vec<String>, job: &Job, minutes: u64) {
    let mut plain = false;
    for account in &job.accounts {
        if account.profile.is_none() {
            // Roles that opsctl.toml names are assumed from the same credentials.
            if plain {
                if !account.assumes {
                    notes.push(format!(
                        "{}: {} needs credentials of its own: give it `profile` or `role_arn` in opsctl.toml",
                        job.id, account.environment
                    ));
                }
                continue;
            }
            plain = true;
        }
        let role = account.role_arn.as_ref().map_or_else(
            || format!("${{{{ vars.{} }}}}", account.variable),
            |arn| yaml(arn),
        );
        let session = (minutes * 60).clamp(900, SESSION);
        text.push_str(&format!(
            "      - name: {}\n        uses: {CREDENTIALS}\n        with:\n          role-to-assume: {role}\n          aws-region: {}\n",
            yaml(&format!("Credentials of {}", account.environment)),
            account.region
        ));
        let hint = match session > 3600 {
            true => {
                " # the role's maximum session duration has to allow it: aws iam update-role --max-session-duration"
            }
            false => "",
        };
        text.push_str(&format!(
            "          role-duration-seconds: {session}{hint}\n"
        ));
        if let Some(profile) = &account.profile {
            text.push_str(&format!("          aws-profile: {}\n", yaml(profile)));
        }
    }
}
