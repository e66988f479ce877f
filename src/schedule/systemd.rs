//! A service and a timer of systemd for each job.

use super::quote::{comment, systemd as quoted};
use super::{CLEANUP, File, Job, Kind, Place, comments, made_by};

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub user: Option<String>,
    /// A unit that is started when a job fails.
    pub on_failure: Option<String>,
    /// Most seconds of random delay.
    pub jitter_seconds: u64,
}

/// # Errors
/// The path of the binary is none that systemd takes.
pub fn files(jobs: &[Job], place: &Place, settings: &Settings) -> Result<Vec<File>, String> {
    if place.binary.contains(['"', '\'', '\\']) {
        return Err(format!(
            "{}: systemd takes no program with a quote or a backslash in its path",
            place.binary
        ));
    }
    let mut out = Vec::new();
    for job in jobs {
        out.push(File {
            path: format!("{}.service", job.name),
            text: service(job, place, settings),
        });
        out.push(File {
            path: format!("{}.timer", job.name),
            text: timer(job, place, settings),
        });
    }
    Ok(out)
}

/// The value of a setting that is not a command line: only `%` is special in it.
fn plain(text: &str) -> String {
    comment(text).replace('%', "%%")
}

fn service(job: &Job, place: &Place, settings: &Settings) -> String {
    let mut text = made_by(place, "systemd");
    text.push_str(&format!(
        "# Install: copy it and the timer to /etc/systemd/system, then\n#   systemctl daemon-reload && systemctl enable --now {}.timer\n\n",
        job.name
    ));
    text.push_str(&format!(
        "[Unit]\nDescription=opsctl: {} ({})\nWants=network-online.target\nAfter=network-online.target\n",
        plain(&job.title),
        plain(&place.project)
    ));
    if let Some(unit) = &settings.on_failure {
        text.push_str(&format!("OnFailure={}\n", comment(unit)));
    }
    let command: Vec<String> = std::iter::once(quoted(&place.binary, true))
        .chain(job.arguments.iter().map(|a| quoted(a, false)))
        .collect();
    text.push_str(&format!(
        "\n[Service]\nType=oneshot\nWorkingDirectory={}\nExecStart={}\n",
        plain(&place.dir),
        command.join(" ")
    ));
    if let Some(user) = &settings.user {
        text.push_str(&format!("User={}\n", comment(user)));
    }
    if settings.user.is_none() {
        text.push_str("# Where profiles of AWS are looked for: services of the system have no HOME otherwise.\nEnvironment=HOME=%h\n");
    }
    text.push_str("Environment=OPSCTL_SCHEDULE=systemd\n");
    match place.tolerate {
        true => text.push_str(
            "# 2: findings, or a drill that failed or missed its objective. Asked for: that is not a failure of this unit.\nSuccessExitStatus=2\n",
        ),
        false => text.push_str(
            "# Exit code 2 (findings, or a drill that failed or missed its objective) makes the unit fail, so that OnFailure= and\n# monitoring see it.\n",
        ),
    }
    let start = job.longest_seconds + 600;
    match job.kind {
        Kind::Drill => text.push_str(&format!(
            "# The drills' own limits, and some minutes: opsctl should end by itself.\nTimeoutStartSec={start}\n\
             # A drill that is stopped removes its copy first, and that takes as long as the service takes to delete it.\n\
             # SIGTERM goes to opsctl alone: its tunnel and its scratch PostgreSQL are needed until it ends them.\n\
             TimeoutStopSec={}\nKillMode=mixed\n",
            CLEANUP.as_secs() + 300
        )),
        Kind::Audit | Kind::Status => text.push_str(&format!(
            "TimeoutStartSec={start}\nTimeoutStopSec=60\nKillMode=mixed\n"
        )),
    }
    text.push_str("UMask=0077\nNoNewPrivileges=yes\n");
    text
}

fn timer(job: &Job, place: &Place, settings: &Settings) -> String {
    let mut text = made_by(place, "systemd");
    text.push_str(&comments("", &job.why));
    text.push_str(&format!(
        "\n[Unit]\nDescription=opsctl: {} ({}), {}\n\n[Timer]\nOnCalendar={}\n",
        plain(&job.title),
        plain(&place.project),
        job.cadence.words(),
        job.cadence.systemd(job.minute)
    ));
    if settings.jitter_seconds > 0 {
        text.push_str(&format!(
            "# The same delay every time, another one on every machine.\nRandomizedDelaySec={}\nFixedRandomDelay=yes\n",
            settings.jitter_seconds
        ));
    }
    text.push_str(
        "AccuracySec=1min\n# A run that the machine was off for is made up for when it is on again.\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n",
    );
    text
}
