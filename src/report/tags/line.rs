//! What is remembered of one run, and what that tells of this one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Inputs, Offender, Trend, TrendRun, Weighed, WeighedShare};
use crate::audit::compliance::percent;
use crate::history::Line;
use crate::history::keys::{Key, Keys, MOST, Memory, Opened};
use crate::model::Control;

/// Runs in the trend of a report.
const MOST_RUNS: usize = 60;

/// One line of the history. Names are short: there is one for each run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagLine {
    /// Changes with the form.
    pub v: u32,
    pub at: Timestamp,
    pub run: String,
    /// Compliant and checked.
    pub all: (u64, u64),
    /// Of the spend, what is compliant, and all of it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<(String, String)>,
    pub findings: u64,
    pub env: BTreeMap<String, EnvironmentLine>,
    pub key: BTreeMap<String, (u64, u64)>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentLine {
    pub account: String,
    pub regions: BTreeSet<String>,
    pub n: (u64, u64),
    /// Something could not be seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// The services of which something could not be seen, as ARNs name them; [`ALL`] of any. Absent
    /// in lines of earlier versions, which do not say.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unseen: BTreeSet<String>,
    /// The day of the first run of all.
    pub since: String,
    /// A digest of the policy.
    #[serde(default)]
    pub policy: String,
    /// The findings that were there; only in the newest line of an environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Keys>,
}

/// A call that tells of resources of every service.
const ALL: &str = "*";

/// Behind the day of a finding that may be older, since earlier runs could not look there.
const OR_EARLIER: char = '+';

impl EnvironmentLine {
    /// Whether findings on a service may have been there, unseen.
    fn hid(&self, service: &str) -> bool {
        self.blind
            && (self.unseen.is_empty()
                || self.unseen.contains(ALL)
                || self.unseen.contains(service))
    }
}

/// The form of the lines that this version writes and reads.
const FORM: u32 = 1;

impl Line for TagLine {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn run(&self) -> &str {
        &self.run
    }

    fn shorten(&mut self, newer: &[Self]) {
        for (name, environment) in &mut self.env {
            let again = |line: &TagLine| {
                line.env
                    .get(name)
                    .is_some_and(|e| e.open.is_some() && same_place(e, environment))
            };
            if newer.iter().any(again) {
                environment.open = None;
            }
        }
    }
}

fn same_place(a: &EnvironmentLine, b: &EnvironmentLine) -> bool {
    a.account == b.account && a.regions == b.regions
}

/// The digest of a finding, by which it is the same again in the next run.
pub(super) fn key(id: &str, address: &str) -> Key {
    Key::of(&[id, address])
}

/// The run before, of each environment.
pub(super) struct Earlier<'a> {
    environments: Vec<Option<Before<'a>>>,
    /// Of each environment, as this run sees it.
    places: Vec<EnvironmentLine>,
    today: String,
}

struct Before<'a> {
    line: &'a TagLine,
    environment: &'a EnvironmentLine,
    open: Opened<'a>,
}

/// What the history says of one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Age {
    pub first_seen: Option<String>,
    pub new: Option<bool>,
    /// It may be any older: the first run of all has seen it, or the first that could look there.
    pub since_first_run: bool,
}

impl<'a> Earlier<'a> {
    pub fn of(inputs: &Inputs<'a>, today: Date) -> Earlier<'a> {
        let places: Vec<EnvironmentLine> = inputs
            .environments
            .iter()
            .map(|e| EnvironmentLine {
                account: e.target.account.clone(),
                regions: e.target.regions.iter().cloned().collect(),
                blind: e.inventory.gaps.iter().any(|g| g.control == Control::Tags),
                unseen: unseen(e),
                policy: policy(e),
                ..EnvironmentLine::default()
            })
            .collect();
        let environments = inputs
            .environments
            .iter()
            .zip(&places)
            .map(|(e, place)| {
                inputs
                    .history
                    .iter()
                    .rev()
                    .filter(|l| l.v == FORM)
                    .find_map(|line| {
                        let environment = line.env.get(&e.target.environment)?;
                        let open = environment.open.as_ref()?;
                        same_place(environment, place).then(|| Before {
                            line,
                            environment,
                            open: open.open(),
                        })
                    })
            })
            .collect();
        Earlier {
            environments,
            places,
            today: today.to_string(),
        }
    }

    fn before(&self, environment: usize) -> Option<&Before<'a>> {
        self.environments.get(environment)?.as_ref()
    }

    /// Since when a finding has been there.
    pub fn age(&self, environment: usize, key: Key, service: &str) -> Age {
        let Some(before) = self.before(environment) else {
            return Age {
                first_seen: Some(self.today.clone()),
                new: None,
                since_first_run: true,
            };
        };
        match before.open.recall(key) {
            Memory::Seen(text) => {
                let day = text.trim_end_matches(OR_EARLIER);
                Age {
                    first_seen: Some(day.to_owned()),
                    new: Some(false),
                    since_first_run: day == before.environment.since || day != text,
                }
            }
            // The run before could not look there.
            Memory::NotSeen if before.environment.hid(service) => Age {
                first_seen: Some(self.today.clone()),
                new: None,
                since_first_run: true,
            },
            Memory::NotSeen => Age {
                first_seen: Some(self.today.clone()),
                new: Some(true),
                since_first_run: false,
            },
            Memory::Unknown => Age {
                first_seen: None,
                new: None,
                since_first_run: false,
            },
        }
    }

    /// This run among those before it, and what has changed since the last one.
    pub fn trend(&self, inputs: &Inputs<'_>, offenders: &[Offender], this: &TagLine) -> Trend {
        let place = |line: &TagLine| -> BTreeMap<String, (String, BTreeSet<String>)> {
            let places = line.env.iter();
            places
                .map(|(name, e)| (name.clone(), (e.account.clone(), e.regions.clone())))
                .collect()
        };
        let here = place(this);
        // Of some addresses only, it is no point of the line.
        let this_too = inputs.only.is_none().then_some(this);
        let mut runs: Vec<TrendRun> = inputs
            .history
            .iter()
            .filter(|line| line.v == FORM && line.run != this.run && place(line) == here)
            .chain(this_too)
            .map(run)
            .collect();
        let much = runs.len().saturating_sub(MOST_RUNS);
        runs.drain(..much);
        let mut trend = Trend {
            runs,
            ..Trend::default()
        };
        let mut now: Vec<BTreeMap<Key, &str>> = vec![BTreeMap::new(); inputs.environments.len()];
        for offender in offenders {
            let index = inputs
                .environments
                .iter()
                .position(|e| e.target.environment == offender.environment);
            let Some(keys) = index.and_then(|i| now.get_mut(i)) else {
                continue;
            };
            keys.extend(
                offender
                    .findings
                    .iter()
                    .map(|p| (key(&p.id, &offender.address), offender.service.as_str())),
            );
        }
        let (mut new, mut fixed, mut since) = (0, 0, None::<Timestamp>);
        for (index, environment) in inputs.environments.iter().enumerate() {
            let name = &environment.target.environment;
            let Some(before) = self.before(index) else {
                trend
                    .not_compared
                    .push(format!("{name}: this is its first run"));
                continue;
            };
            let (hidden, first): (Vec<_>, Vec<_>) = now[index]
                .iter()
                .filter(|(key, _)| before.open.recall(**key) == Memory::NotSeen)
                .partition(|(_, service)| before.environment.hid(service));
            new += first.len() as u64;
            if !hidden.is_empty() {
                trend.not_compared.push(format!(
                    "{name}: {} where the run before could not look, so whether they are new is not known",
                    crate::render::text::plural(hidden.len() as u64, "finding", "findings")
                ));
            }
            if self.places[index].blind {
                trend.not_compared.push(format!(
                    "{name}: not everything was seen, so nothing of it counts as fixed"
                ));
            } else if inputs.only.is_none() {
                let gone = before
                    .open
                    .iter()
                    .filter(|(k, _)| !now[index].contains_key(k));
                fixed += gone.count() as u64;
            }
            trend.sampled |= before.open.is_sample();
            trend.policy_changed |= before.environment.policy != self.places[index].policy;
            since = since.max(Some(before.line.at));
        }
        if let Some(since) = since {
            trend.since = Some(format!("{since:.0}"));
            trend.new = Some(new);
            trend.fixed = inputs.only.is_none().then_some(fixed);
        } else {
            // Said once, not for each.
            trend.not_compared.clear();
        }
        trend
    }
}

fn run(line: &TagLine) -> TrendRun {
    let number = rust_decimal::Decimal::from;
    let spend = line
        .spend
        .as_ref()
        .and_then(|(part, whole)| percent(part.parse().ok()?, whole.parse().ok()?));
    TrendRun {
        at: format!("{:.0}", line.at),
        compliant: line.all.0,
        checked: line.all.1,
        percent: percent(number(line.all.0), number(line.all.1)),
        spend_percent: spend,
        complete: line.env.values().all(|e| !e.blind),
    }
}

/// Of which services something could not be seen.
fn unseen(environment: &crate::plan::build::PlanEnvironment) -> BTreeSet<String> {
    let gaps = environment.inventory.gaps.iter();
    gaps.filter(|g| g.control == Control::Tags)
        .map(|gap| {
            let service = gap.operation.split(':').next().unwrap_or_default();
            match super::weigh::is_service(service) {
                true => service.to_owned(),
                false => ALL.to_owned(),
            }
        })
        .collect()
}

/// A digest of what the policy says, not of where it says it.
fn policy(environment: &crate::plan::build::PlanEnvironment) -> String {
    let tree = environment.resolved.node.table();
    let text = tree.and_then(|t| t.get("tags")).map(|e| e.node.to_toml());
    hex::encode(&Sha256::digest(text.unwrap_or_default())[..4])
}

impl TagLine {
    /// What is to be remembered of this run.
    pub(super) fn of(
        inputs: &Inputs<'_>,
        compliance: &Weighed,
        offenders: &[Offender],
        earlier: &Earlier<'_>,
        today: Date,
    ) -> TagLine {
        let today = today.to_string();
        let mut open: BTreeMap<&str, Vec<(Key, String)>> = BTreeMap::new();
        for offender in offenders {
            let index = inputs
                .environments
                .iter()
                .position(|e| e.target.environment == offender.environment);
            let keys = open.entry(&offender.environment).or_default();
            keys.extend(offender.findings.iter().map(|p| {
                let key = key(&p.id, &offender.address);
                let mut since = p.first_seen.clone().unwrap_or_else(|| today.clone());
                let age = index.map(|i| (i, earlier.age(i, key, &offender.service)));
                if let Some((i, age)) = age
                    && let Some(before) = earlier.before(i)
                    && age.since_first_run
                    && since != before.environment.since
                {
                    since.push(OR_EARLIER);
                }
                (key, since)
            }));
        }
        let most = MOST / inputs.environments.len().max(1);
        let mut env = BTreeMap::new();
        for (index, environment) in inputs.environments.iter().enumerate() {
            let name = &environment.target.environment;
            let mut line = earlier.places[index].clone();
            let mut keys = open.remove(name.as_str()).unwrap_or_default();
            line.since = today.clone();
            if let Some(before) = earlier.before(index) {
                line.since = before.environment.since.clone();
                if line.blind {
                    // What was not seen may still be there, and is not new when it is seen again.
                    keys.extend(before.open.iter().map(|(key, day)| (key, day.to_owned())));
                }
            }
            line.open = Some(Keys::new(
                keys.iter().map(|(key, day)| (*key, day.as_str())),
                most,
            ));
            let share = compliance.by_environment.get(name);
            line.n = share.map_or((0, 0), |s| (s.compliant, s.checked));
            env.insert(name.clone(), line);
        }
        let counts = |share: &WeighedShare| (share.compliant, share.checked);
        let overall = &compliance.overall;
        TagLine {
            v: FORM,
            at: inputs.now,
            run: inputs.run.clone(),
            all: counts(overall),
            spend: overall.spend_compliant.clone().zip(overall.spend.clone()),
            findings: offenders.iter().map(|o| o.findings.len() as u64).sum(),
            env,
            key: compliance
                .by_key
                .iter()
                .map(|(key, share)| (key.clone(), counts(share)))
                .collect(),
        }
    }
}
