//! The policy document: statements out of the table, and what AWS lets one hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::facts::Facts;
use super::scope::{Conditions, Scope, limits};
use super::table::{Grant, rows};
use super::{Part, Role};

/// Characters without white space that a managed policy may have.
/// Source: IAM user guide, "IAM and AWS STS quotas".
pub const MANAGED_LIMIT: usize = 6_144;
/// The same for all inline policies of one role together.
pub const INLINE_LIMIT: usize = 10_240;
/// Managed policies that a role may have, unless the quota was raised.
pub const PER_ROLE: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    pub sid: String,
    pub effect: &'static str,
    pub action: Vec<String>,
    pub resource: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Conditions,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    pub version: &'static str,
    pub statement: Vec<Statement>,
}

/// Why an action is in a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Because {
    pub action: String,
    pub sid: String,
    /// Operations of opsctl that need it.
    pub operations: BTreeSet<String>,
    /// Where no call of that name is made.
    pub why: BTreeSet<String>,
}

/// What audits, metrics and reports look at, and apply does not.
const ONLY_LOOKED_AT: [Part; 5] = [
    Part::AlarmTopics,
    Part::Cost,
    Part::Evidence,
    Part::Metrics,
    Part::Notify,
];

/// The grants that a role needs, each with its operation.
pub fn grants(
    role: Role,
    parts: &BTreeSet<Part>,
) -> impl Iterator<Item = (&'static str, &'static Grant)> {
    rows().flat_map(move |row| {
        row.uses
            .iter()
            .filter(move |u| role.covers(u.role) && parts.contains(&u.part))
            .filter(move |u| role == u.role || !ONLY_LOOKED_AT.contains(&u.part))
            .flat_map(|u| u.grants)
            .map(|grant| (row.operation, grant))
    })
}

fn sid(scope: Scope) -> String {
    format!("{scope:?}")
}

/// The whole policy of a role, however large it is.
pub fn policy(role: Role, facts: &Facts) -> Policy {
    let mut by_scope: BTreeMap<Scope, BTreeSet<&str>> = BTreeMap::new();
    for (_, grant) in grants(role, &facts.parts) {
        by_scope
            .entry(grant.scope)
            .or_default()
            .insert(grant.action);
    }
    // What is granted on everything of a kind need not be granted again on some of it.
    for (wide, narrow) in [
        (Scope::AllTopics, Scope::ConfiguredTopics),
        (Scope::EvidenceRecords, Scope::EvidenceHistory),
    ] {
        if let Some(held) = by_scope.get(&wide).cloned()
            && let Some(actions) = by_scope.get_mut(&narrow)
        {
            actions.retain(|a| !held.contains(a));
        }
    }
    let statements = by_scope.into_iter().filter_map(|(scope, actions)| {
        let (resource, condition) = limits(scope, facts);
        (!resource.is_empty() && !actions.is_empty()).then(|| Statement {
            sid: sid(scope),
            effect: "Allow",
            action: actions.into_iter().map(str::to_owned).collect(),
            resource,
            condition,
        })
    });
    Policy {
        version: "2012-10-17",
        statement: statements.collect(),
    }
}

/// Why each action of the policy is there.
pub fn because(role: Role, facts: &Facts) -> Vec<Because> {
    let mut all: BTreeMap<(&str, Scope), Because> = BTreeMap::new();
    let held: BTreeSet<(String, String)> = policy(role, facts)
        .statement
        .into_iter()
        .flat_map(|s| {
            let sid = s.sid;
            s.action.into_iter().map(move |a| (a, sid.clone()))
        })
        .collect();
    for (operation, grant) in grants(role, &facts.parts) {
        if !held.contains(&(grant.action.to_owned(), sid(grant.scope))) {
            continue;
        }
        let entry = all
            .entry((grant.action, grant.scope))
            .or_insert_with(|| Because {
                action: grant.action.to_owned(),
                sid: sid(grant.scope),
                operations: BTreeSet::new(),
                why: BTreeSet::new(),
            });
        entry.operations.insert(operation.to_owned());
        if !grant.why.is_empty() {
            entry.why.insert(grant.why.to_owned());
        }
    }
    all.into_values().collect()
}

impl Policy {
    /// Characters as AWS counts them: without white space.
    /// Source: IAM user guide, "IAM and AWS STS quotas".
    pub fn size(&self) -> usize {
        let text = serde_json::to_string(self).unwrap_or_default();
        text.chars().filter(|c| !c.is_whitespace()).count()
    }

    /// The same permissions in documents of at most `limit` characters, in the same order.
    ///
    /// # Errors
    /// The name of a statement that cannot be made small enough.
    pub fn split(&self, limit: usize) -> Result<Vec<Policy>, String> {
        let mut out: Vec<Policy> = Vec::new();
        for statement in self.statement.iter().flat_map(|s| pieces(s, limit)) {
            if alone(&statement).size() > limit {
                return Err(statement.sid);
            }
            if let Some(last) = out.last_mut() {
                last.statement.push(statement);
                if last.size() <= limit {
                    continue;
                }
                if let Some(statement) = last.statement.pop() {
                    out.push(alone(&statement));
                }
            } else {
                out.push(alone(&statement));
            }
        }
        Ok(out)
    }
}

fn alone(statement: &Statement) -> Policy {
    Policy {
        version: "2012-10-17",
        statement: vec![statement.clone()],
    }
}

/// A statement, halved by its resources and then by its actions as often as is needed.
fn pieces(statement: &Statement, limit: usize) -> Vec<Statement> {
    if alone(statement).size() <= limit {
        return vec![statement.clone()];
    }
    let halves: Vec<Statement> = if statement.resource.len() > 1 {
        let (a, b) = statement.resource.split_at(statement.resource.len() / 2);
        [a, b]
            .map(|part| Statement {
                resource: part.to_vec(),
                ..statement.clone()
            })
            .to_vec()
    } else if statement.action.len() > 1 {
        let (a, b) = statement.action.split_at(statement.action.len() / 2);
        [a, b]
            .map(|part| Statement {
                action: part.to_vec(),
                ..statement.clone()
            })
            .to_vec()
    } else {
        return vec![statement.clone()];
    };
    let mut out = Vec::new();
    for (i, half) in halves.into_iter().enumerate() {
        let sid = format!("{}{}", half.sid, ["A", "B"][i]);
        out.extend(pieces(&Statement { sid, ..half }, limit));
    }
    out
}
