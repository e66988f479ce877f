//! A crontab: of a user, or for `/etc/cron.d`.

use super::quote::{comment, crontab, shell};
use super::{EXIT_CODES, File, Job, Place, comments, made_by};

/// Longer commands are cut by the cron of Debian and others.
const MOST: usize = 998;

#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Makes it a file for `/etc/cron.d`, run as this user.
    pub user: Option<String>,
    pub mailto: Option<String>,
}

/// # Errors
/// A command is longer than cron takes.
pub fn file(jobs: &[Job], place: &Place, settings: &Settings) -> Result<File, String> {
    let mut text = String::new();
    let (begin, end) = (
        format!("# BEGIN opsctl {}", place.name),
        format!("# END opsctl {}", place.name),
    );
    if settings.user.is_none() {
        text.push_str(&format!("{begin}\n"));
    }
    text.push_str(&made_by(place, "cron"));
    let path = match &settings.user {
        // The cron of Debian skips names with a dot there.
        Some(_) => {
            text.push_str(&format!(
                "# Install: copy it to /etc/cron.d/{}, owned by root, mode 644.\n",
                place.name
            ));
            place.name.clone()
        }
        None => {
            let path = format!("{}.cron", place.name);
            text.push_str(&format!(
                "# Install, again after each change: (crontab -l | sed '/^{begin}$/,/^{end}$/d'; cat {path}) | crontab -\n"
            ));
            path
        }
    };
    text.push_str(
        "# Times are those of this machine. What falls into a time when it is off is not made up for.\n\
         # Mail is sent only when something needs attention: there is no output otherwise.\n",
    );
    text.push_str(EXIT_CODES);
    text.push_str("# 75: the run before has not ended yet.\n\nSHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
    match &settings.mailto {
        Some(to) => text.push_str(&format!("MAILTO={}\n", comment(to))),
        None => text.push_str("# MAILTO=ops@example.com\n"),
    }
    for job in jobs {
        text.push_str(&format!(
            "\n# {}: {}\n",
            comment(&job.title),
            job.cadence.words()
        ));
        text.push_str(&comments("", &job.why));
        let command = crontab(&command(job, place));
        if command.len() > MOST {
            return Err(format!(
                "the command of {} has {} characters, and cron takes {MOST}: `opsctl schedule systemd` has no such limit",
                job.name,
                command.len()
            ));
        }
        let user = settings
            .user
            .as_ref()
            .map_or_else(String::new, |u| format!("{u} "));
        text.push_str(&format!("{} {user}{command}\n", job.cron()));
    }
    if settings.user.is_none() {
        text.push_str(&format!("\n{end}\n"));
    }
    Ok(File { path, text })
}

/// One run at a time; what it says is shown only if its exit code asks for attention.
fn command(job: &Job, place: &Place) -> String {
    let lock = shell(&format!(".opsctl/{}.lock", job.name));
    let run = job.command(&place.binary, &[]);
    let name = shell(&job.name);
    let told = match place.tolerate {
        true => format!("{{ c=$?; [ $c = 2 ] || {{ echo {name}: exit $c; cat \"$log\"; }}; }}"),
        false => format!("{{ echo {name}: exit $?; cat \"$log\"; }}"),
    };
    format!(
        "cd {} && mkdir -p .opsctl && log=$(mktemp) && {{ OPSCTL_SCHEDULE=cron flock -n -E 75 {lock} {run} >\"$log\" 2>&1 || {told}; rm -f \"$log\"; }}",
        shell(&place.dir)
    )
}
