//! What the formats for machines have in common: where a finding is, and what could not be seen.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{escape, plural};
use crate::audit::{Audit, Outcome, fingerprint};
use crate::model::Control;
use crate::plan::Reason;

/// Where findings are shown that name no file of the project.
const WORKSPACE: &str = "opsctl.toml";

/// Places as those see them who look at the whole repository.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The project folder, from the root of its repository: `infra/aws`, or empty.
    folder: String,
}

impl Places {
    pub fn new(folder: &str) -> Places {
        let folder = folder.replace('\\', "/");
        let folder = folder.trim_start_matches("./").trim_end_matches('/');
        Places {
            folder: match folder {
                "." => String::new(),
                folder => folder.to_owned(),
            },
        }
    }

    /// The file, relative to the root of the repository, and the line that asks for it.
    pub(super) fn of(&self, reason: &Reason) -> (String, u32) {
        let file = reason.file.strip_prefix("./").unwrap_or(&reason.file);
        // What ships with opsctl is in no repository; the stage that asks for it is in this file.
        if file.is_empty() || file.starts_with("builtin:") {
            return self.workspace();
        }
        (self.file(file), reason.line.max(1))
    }

    /// The place of what no policy is to blame for.
    pub(super) fn workspace(&self) -> (String, u32) {
        (self.file(WORKSPACE), 1)
    }

    fn file(&self, file: &str) -> String {
        let file = file.replace('\\', "/");
        let absolute = file.starts_with('/') || file.chars().nth(1) == Some(':');
        escape(&match self.folder.as_str() {
            _ if absolute => file,
            "" => file,
            folder => format!("{folder}/{file}"),
        })
    }
}

/// Something of which an audit can say nothing.
pub(super) struct Unseen {
    pub why: Why,
    pub control: Control,
    pub environment: String,
    /// `environment/region/…`; empty for what is not in one place.
    pub address: String,
    pub message: String,
    pub help: String,
    pub fingerprint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// It could not be seen.
    Gap,
    /// It could not be seen, and `opsctl.toml` accepts that.
    Accepted,
    /// This version does not have the control.
    NotAudited,
}

impl Why {
    pub fn id(self) -> &'static str {
        match self {
            Why::Gap => "opsctl.not-observed",
            Why::Accepted => "opsctl.accepted-unobserved",
            Why::NotAudited => "opsctl.not-audited",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Why::Gap => "Not observed",
            Why::Accepted => "Not observed, and accepted",
            Why::NotAudited => "Not audited",
        }
    }

    /// Whether it makes this audit incomplete.
    pub fn counts(self, audit: &Audit) -> bool {
        self == Why::Gap && audit.summary.outcome == Outcome::Incomplete
    }
}

/// All of it, one for each gap. Who reads only findings would take what is not here for mended.
pub(super) fn unseen(audit: &Audit) -> Vec<Unseen> {
    let mut out = Vec::new();
    let mut nth: BTreeMap<Vec<&str>, u32> = BTreeMap::new();
    for gap in &audit.unobserved {
        let resource = gap.resource.as_deref().unwrap_or_default();
        let key = vec![
            gap.environment.as_str(),
            &gap.region,
            gap.control.as_str(),
            &gap.operation,
            resource,
        ];
        let parts = key.join("\n");
        let nth = nth.entry(key).or_default();
        *nth += 1;
        let what = match resource {
            "" => String::new(),
            resource => format!(" of {resource}"),
        };
        let place = format!("{}/{}", gap.environment, gap.region);
        out.push(Unseen {
            why: Why::Gap,
            control: gap.control,
            environment: gap.environment.clone(),
            message: escape(&format!(
                "not observed: {}{what} in {place} ({}): {}",
                gap.operation, gap.control, gap.error
            )),
            address: place,
            help: "opsctl doctor says which permission is missing".to_owned(),
            fingerprint: fingerprint(Why::Gap.id(), &parts, *nth),
        });
    }
    for spot in audit.accepted() {
        let places: BTreeSet<(&str, Control)> = spot
            .covers
            .iter()
            .map(|c| (c.environment.as_str(), c.control))
            .collect();
        for (environment, control) in places {
            let parts = [spot.operation.as_str(), environment, control.as_str()].join("\n");
            out.push(Unseen {
                why: Why::Accepted,
                control,
                environment: environment.to_owned(),
                address: environment.to_owned(),
                message: escape(&format!(
                    "not observed in {environment} ({control}), accepted in opsctl.toml until {} as {}: {}, {}: {}",
                    spot.until,
                    spot.name,
                    spot.operation,
                    plural(spot.gaps, "gap", "gaps"),
                    spot.reason
                )),
                help: String::new(),
                fingerprint: fingerprint(Why::Accepted.id(), &parts, 1),
            });
        }
    }
    for control in audit.not_audited() {
        out.push(Unseen {
            why: Why::NotAudited,
            control,
            environment: String::new(),
            address: String::new(),
            message: format!(
                "{control}: not audited by this version; nothing is said about it, and nothing of it counts as compliant"
            ),
            help: String::new(),
            fingerprint: fingerprint(Why::NotAudited.id(), control.as_str(), 1),
        });
    }
    out
}

/// `address: message`, safe to show.
pub(super) fn sentence(finding: &crate::plan::Finding) -> String {
    format!(
        "{}: {}",
        escape(finding.address.as_str()),
        escape(&finding.message)
    )
}

/// A sentence, whether or not it came with its full stop.
pub(super) fn closed(text: &str) -> String {
    match text.trim_end().chars().next_back() {
        None | Some('.' | '!' | '?' | ':' | ';' | '…') => text.to_owned(),
        Some(_) => format!("{text}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(file: &str) -> Reason {
        Reason {
            policy: "tags".to_owned(),
            rule: String::new(),
            file: file.to_owned(),
            line: 7,
        }
    }

    #[test]
    fn places_begin_at_the_root_of_the_repository() {
        let at = |folder: &str, file: &str| Places::new(folder).of(&reason(file));
        let policy = |path: &str| (path.to_owned(), 7);
        assert_eq!(at("", "policies/tags.toml"), policy("policies/tags.toml"));
        assert_eq!(
            at(".", "./policies/tags.toml"),
            policy("policies/tags.toml")
        );
        assert_eq!(
            at("infra/aws/", "policies/tags.toml"),
            policy("infra/aws/policies/tags.toml")
        );
        assert_eq!(
            at("infra", "builtin:policies/tags.toml"),
            ("infra/opsctl.toml".to_owned(), 1)
        );
        assert_eq!(at("", ""), ("opsctl.toml".to_owned(), 1));
        assert_eq!(at("infra", "/etc/tags.toml"), policy("/etc/tags.toml"));
    }

    #[test]
    fn a_sentence_has_one_full_stop() {
        assert_eq!(closed("it hears nothing"), "it hears nothing.");
        assert_eq!(closed("it hears nothing."), "it hears nothing.");
        assert_eq!(closed(""), "");
    }
}
