//! Earlier runs of a report: those of this machine, and those in the evidence bucket.

use jiff::Timestamp;

use crate::cli::evidence;
use crate::cli::session::Session;
use crate::cli::{Failure, Global};
use crate::history::bucket::BucketHistory;
use crate::history::{History, Line, Source, in_order};

/// The histories of one report. That one of them cannot be read or written is worth a warning, and
/// no more: the report is about today.
pub struct Past<'a> {
    local: History,
    bucket: Option<BucketHistory<'a>>,
}

impl<'a> Past<'a> {
    pub async fn open(global: &Global, session: &'a Session, report: &str) -> Past<'a> {
        let source = match (&session.sandbox, &global.endpoint_url) {
            (Some(name), _) => Source::Sandbox(name),
            (None, Some(url)) => Source::Endpoint(url),
            (None, None) => Source::Aws,
        };
        let cloud = session.cloud.as_ref();
        let bucket = match evidence::place(global.sandbox.as_deref(), &session.loaded, cloud).await
        {
            Ok(found) => found.map(|e| BucketHistory {
                store: cloud.objects(),
                place: e.place,
                prefix: format!("{}history/{report}/", e.prefix),
            }),
            Err(Failure { message, .. }) => {
                global.say(&format!(
                    "warning: {message}: trends are of this machine only"
                ));
                None
            }
        };
        Past {
            local: History::new(&session.state, &source, report),
            bucket,
        }
    }

    /// The lines of both, oldest first.
    pub async fn read<L: Line>(&self, global: &Global, now: Timestamp) -> Vec<L> {
        let mut all = Vec::new();
        match self.local.read() {
            Ok(found) => {
                if found.unreadable > 0 {
                    global.say(&format!(
                        "warning: {} of the history {} cannot be read and will be dropped",
                        crate::render::text::plural(found.unreadable, "line", "lines"),
                        self.local.path().display()
                    ));
                }
                all.extend(found.lines);
            }
            Err(e) => global.say(&format!(
                "warning: the history {} cannot be read: {e}",
                self.local.path().display()
            )),
        }
        if let Some(bucket) = &self.bucket {
            match bucket.read(now).await {
                Ok(found) => all.extend(found.lines),
                Err(e) => global.say(&format!(
                    "warning: the history in {} cannot be read: {e}",
                    bucket.url()
                )),
            }
        }
        // A line of tomorrow is of a clock that was wrong; it is no run before this one.
        all.retain(|line: &L| line.at() <= now);
        in_order(all)
    }

    /// Remembers this run, and on this machine what was read of others.
    pub async fn add<L: Line>(&self, global: &Global, read: &[L], line: L) {
        let mut new = read.to_vec();
        new.push(line.clone());
        if let Err(e) = self.local.add(&new) {
            global.say(&format!(
                "warning: this run is not in the history {}: {e}",
                self.local.path().display()
            ));
        }
        if let Some(bucket) = &self.bucket
            && let Err(e) = bucket.add(&line).await
        {
            global.say(&format!(
                "warning: this run is not in the history in {}: {e}",
                bucket.url()
            ));
        }
    }
}
