//! Running asynchronous commands, interrupts, and progress.

use std::future::Future;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{Global, Outcome, exit};

/// Runs a command on the asynchronous runtime.
pub fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| super::Failure::new(format!("the runtime could not start: {e}")))?
        .block_on(command)
}

/// What an interrupt asked for.
#[derive(Clone)]
pub struct Interrupt {
    pub cancel: CancellationToken,
    code: Arc<AtomicI32>,
}

impl Interrupt {
    /// Listens to SIGINT and SIGTERM. The first asks to stop cleanly; a second SIGINT ends the
    /// process at once. A second SIGTERM does not: CI runners and supervisors send SIGINT and then
    /// SIGTERM, or SIGTERM again, while the cleanup is under way, and SIGKILL when they have lost
    /// patience.
    pub fn listen() -> Interrupt {
        let interrupt = Interrupt {
            cancel: CancellationToken::new(),
            code: Arc::new(AtomicI32::new(0)),
        };
        let listener = interrupt.clone();
        tokio::spawn(async move {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut int), Ok(mut term)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                tracing::warn!(
                    "signals cannot be caught: an interrupt will end the process at once"
                );
                return;
            };
            loop {
                let code = tokio::select! {
                    // Where both have come before this could run, the second SIGINT is not one.
                    biased;
                    _ = int.recv() => exit::INTERRUPTED,
                    _ = term.recv() => exit::TERMINATED,
                };
                match listener.cancel.is_cancelled() {
                    true if code == exit::INTERRUPTED => std::process::exit(code),
                    true => continue,
                    false => {}
                }
                listener.code.store(code, Ordering::Relaxed);
                listener.cancel.cancel();
            }
        });
        interrupt
    }

    /// The exit code of the interrupt, if there was one.
    pub fn code(&self) -> Option<i32> {
        match self.code.load(Ordering::Relaxed) {
            0 => None,
            code => Some(code),
        }
    }
}

/// Puts a question on stderr and reads a line: only `yes` is one. An interrupt is a no.
///
/// A thread of its own: one that waits for a line cannot be cancelled, and must not keep the
/// runtime from ending.
pub async fn says_yes(question: String, interrupt: &Interrupt) -> bool {
    let (send, ask) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = write!(std::io::stderr(), "{question}");
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let _ = send.send(read.is_ok() && answer.trim() == "yes");
    });
    tokio::select! {
        answer = ask => answer.unwrap_or(false),
        () = interrupt.cancel.cancelled() => false,
    }
}

const SPINNER: &str = "{spinner} {msg} {elapsed:.dim}";
const BAR: &str = "{msg} {bar:30} {pos}/{len} {per_sec:.dim} {elapsed:.dim}";

fn coloured(global: &Global) -> bool {
    global.colour_on(std::io::stderr().is_terminal())
}

/// A template as it is written with colour; the bar itself asks neither for --color nor NO_COLOR.
fn template(text: &str, coloured: bool) -> String {
    match coloured {
        true => text.to_owned(),
        false => text.replace(":.dim", ""),
    }
}

/// A line on a terminal's stderr that shows what is going on; nothing elsewhere.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub fn spinner(global: &Global, text: &str) -> Progress {
        Progress::with(
            global,
            ProgressBar::new_spinner(),
            &template(SPINNER, coloured(global)),
            text,
        )
    }

    pub fn bar(global: &Global, total: u64, text: &str) -> Progress {
        let bar = ProgressBar::new(total);
        Progress::with(global, bar, &template(BAR, coloured(global)), text)
    }

    fn with(global: &Global, bar: ProgressBar, template: &str, text: &str) -> Progress {
        if global.quiet || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(text.to_owned());
        Progress { bar }
    }

    pub fn say(&self, text: String) {
        self.bar.set_message(text);
    }

    pub fn step(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_the_spinner_has_none() {
        for text in [SPINNER, BAR] {
            assert!(template(text, true).contains(":.dim"));
            let plain = template(text, false);
            assert!(!plain.contains(":."), "{plain}");
            assert!(plain.contains("{msg}") && plain.contains("{elapsed}"));
        }
    }
}
