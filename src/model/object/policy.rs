//! Access policies of topics: which services may publish, and what of a policy is ours.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::model::Arn;

/// A service that sends what opsctl sets up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Publisher {
    Budgets,
    /// Cost Anomaly Detection.
    CostAlerts,
    /// Alarms of CloudWatch.
    CloudWatch,
}

impl Publisher {
    pub const ALL: [Publisher; 3] = [
        Publisher::Budgets,
        Publisher::CostAlerts,
        Publisher::CloudWatch,
    ];

    /// Sources: "Creating an Amazon SNS topic for budget notifications", "Creating an Amazon SNS
    /// topic for anomaly notifications", "Using Amazon CloudWatch alarms".
    pub fn principal(self) -> &'static str {
        match self {
            Publisher::Budgets => "budgets.amazonaws.com",
            Publisher::CostAlerts => "costalerts.amazonaws.com",
            Publisher::CloudWatch => "cloudwatch.amazonaws.com",
        }
    }

    /// The id of our statement for it.
    pub fn sid(self) -> &'static str {
        match self {
            Publisher::Budgets => "opsctlBudgets",
            Publisher::CostAlerts => "opsctlCostAlerts",
            Publisher::CloudWatch => "opsctlCloudWatch",
        }
    }
}

/// The id that SNS gives the statement for the account itself.
const OWNER_SID: &str = "__default_statement_ID";

/// What SNS lets the account itself do with a new topic.
fn owner_statement(arn: &str, account: &str) -> Value {
    json!({
        "Sid": OWNER_SID,
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [
            "SNS:GetTopicAttributes",
            "SNS:SetTopicAttributes",
            "SNS:AddPermission",
            "SNS:RemovePermission",
            "SNS:DeleteTopic",
            "SNS:Subscribe",
            "SNS:ListSubscriptionsByTopic",
            "SNS:Publish",
        ],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    })
}

/// Lets a service publish, for this account only.
fn publish_statement(publisher: Publisher, arn: &str, account: &str) -> Value {
    let mut condition = json!({"StringEquals": {"aws:SourceAccount": account}});
    if publisher == Publisher::Budgets {
        let source = format!("arn:aws:budgets::{account}:*");
        condition["ArnLike"] = json!({"aws:SourceArn": source});
    }
    json!({
        "Sid": publisher.sid(),
        "Effect": "Allow",
        "Principal": {"Service": publisher.principal()},
        "Action": "SNS:Publish",
        "Resource": arn,
        "Condition": condition,
    })
}

/// The policy that SNS gives a topic that is made without one.
pub fn default_policy(arn: &str) -> String {
    policy_of(arn, None, &BTreeSet::new())
}

/// A policy with our statements for `publishers`; statements of others in `held` stay as they
/// are, ours for services that are not among `publishers` too: another control may need them.
pub fn policy_of(arn: &str, held: Option<&Value>, publishers: &BTreeSet<Publisher>) -> String {
    let account = Arn::parse(arn).map_or("", |a| a.account);
    let mut document = match held {
        Some(document) if document.is_object() => document.clone(),
        _ => json!({
            "Version": "2012-10-17",
            "Statement": [owner_statement(arn, account)],
        }),
    };
    let mut statements = statements(&document);
    for publisher in publishers {
        let wanted = publish_statement(*publisher, arn, account);
        match statements.iter_mut().find(|s| s["Sid"] == publisher.sid()) {
            Some(held) => *held = wanted,
            None => statements.push(wanted),
        }
    }
    document["Statement"] = Value::Array(statements);
    document.to_string()
}

/// The statements of a policy; a single one may stand without a list.
pub fn statements(document: &Value) -> Vec<Value> {
    match &document["Statement"] {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// Label and words for a statement on the topic `name` in `region`, where it is exactly one that
/// SNS or opsctl writes.
pub fn words(statement: &Value, region: &str, name: &str) -> Option<(&'static str, String)> {
    let arn = Arn::parse(statement["Resource"].as_str()?)?;
    let account = arn.account;
    let itself = format!("arn:aws:sns:{region}:{account}:{name}");
    if *statement == owner_statement(&itself, account) {
        let text = format!("the account {account} may use it");
        return Some(("policy account", text));
    }
    let publisher = Publisher::ALL
        .into_iter()
        .find(|p| *statement == publish_statement(*p, &itself, account))?;
    let label = match publisher {
        Publisher::Budgets => "policy budgets",
        Publisher::CostAlerts => "policy anomalies",
        Publisher::CloudWatch => "policy alarms",
    };
    let who = publisher.principal();
    Some((
        label,
        format!("{who} may publish for the account {account}"),
    ))
}

/// Whether a service gets through a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Allowed,
    /// No statement allows it, or one denies it.
    Blocked,
    /// It hangs on a condition that is not understood here.
    Unclear,
}

fn list(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `*` and `?` as in policies.
fn like(pattern: &str, text: &str) -> bool {
    fn at(p: &[u8], t: &[u8]) -> bool {
        match (p.first(), t.first()) {
            (None, None) => true,
            (Some(b'*'), _) => at(&p[1..], t) || (!t.is_empty() && at(p, &t[1..])),
            (Some(b'?'), Some(_)) => at(&p[1..], &t[1..]),
            (Some(a), Some(b)) if a == b => at(&p[1..], &t[1..]),
            _ => false,
        }
    }
    at(pattern.as_bytes(), text.as_bytes())
}

/// Whether a statement is about a service that publishes to the topic.
fn concerns(statement: &Value, publisher: Publisher, arn: &str) -> bool {
    let principal = &statement["Principal"];
    let everyone = principal == "*" || list(&principal["AWS"]).contains(&"*");
    let named = list(&principal["Service"]).contains(&publisher.principal());
    let action = list(&statement["Action"])
        .iter()
        .any(|a| like(&a.to_ascii_lowercase(), "sns:publish"));
    let resource = list(&statement["Resource"]).iter().any(|r| like(r, arn));
    (everyone || named) && action && resource
}

/// Whether the conditions of a statement hold when the service publishes for this account.
fn conditions(statement: &Value, publisher: Publisher, account: &str) -> Access {
    let mut access = Access::Allowed;
    let none = serde_json::Map::new();
    let operators = statement["Condition"].as_object().unwrap_or(&none);
    for (operator, keys) in operators {
        for (key, values) in keys.as_object().unwrap_or(&none) {
            let values = list(values);
            let operator = operator.to_ascii_lowercase();
            let equal = ["stringequals", "stringlike", "arnequals", "arnlike"];
            let holds = match key.to_ascii_lowercase().as_str() {
                "aws:sourceaccount" if equal.contains(&operator.as_str()) => {
                    values.iter().any(|v| like(v, account))
                }
                // Only alarms come with the owner of their source.
                "aws:sourceowner" if equal.contains(&operator.as_str()) => {
                    publisher == Publisher::CloudWatch && values.iter().any(|v| like(v, account))
                }
                "aws:sourcearn" if equal.contains(&operator.as_str()) => {
                    let service = match publisher {
                        Publisher::Budgets => "budgets",
                        Publisher::CostAlerts => "ce",
                        Publisher::CloudWatch => "cloudwatch",
                    };
                    let ours = |v: &&str| {
                        Arn::parse(v).map_or(**v == *"*", |a| {
                            like(a.service, service) && like(a.account, account)
                        })
                    };
                    values.iter().any(ours)
                }
                _ => {
                    access = Access::Unclear;
                    continue;
                }
            };
            if !holds {
                return Access::Blocked;
            }
        }
    }
    access
}

/// Whether the service may publish to the topic for the topic's own account.
pub fn access(document: &Value, publisher: Publisher, arn: &str) -> Access {
    let account = Arn::parse(arn).map_or("", |a| a.account);
    let mut best = Access::Blocked;
    for statement in statements(document) {
        if !concerns(&statement, publisher, arn) {
            continue;
        }
        let held = conditions(&statement, publisher, account);
        match (statement["Effect"].as_str(), held) {
            (Some("Deny"), Access::Allowed) => return Access::Blocked,
            (Some("Allow"), Access::Allowed) => best = Access::Allowed,
            (Some("Allow"), Access::Unclear) if best == Access::Blocked => best = Access::Unclear,
            _ => {}
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sns:eu-west-1:123456789012:ops";

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_new_topic_lets_alarms_through_and_budgets_not() {
        let policy = parsed(&default_policy(ARN));
        assert_eq!(access(&policy, Publisher::CloudWatch, ARN), Access::Allowed);
        assert_eq!(access(&policy, Publisher::Budgets, ARN), Access::Blocked);
        assert_eq!(access(&policy, Publisher::CostAlerts, ARN), Access::Blocked);
    }

    #[test]
    fn our_statements_let_their_service_through_and_no_other() {
        for publisher in Publisher::ALL {
            let only = BTreeSet::from([publisher]);
            let policy = parsed(&policy_of(ARN, Some(&json!({"Statement": []})), &only));
            for other in Publisher::ALL {
                let expected = if other == publisher {
                    Access::Allowed
                } else {
                    Access::Blocked
                };
                assert_eq!(access(&policy, other, ARN), expected, "{other:?}");
            }
            let ours = &statements(&policy)[0];
            assert!(words(ours, "eu-west-1", "ops").is_some());
            assert_eq!(words(ours, "eu-west-1", "other"), None);
        }
    }

    #[test]
    fn statements_of_others_stay_and_drifted_ones_of_ours_are_replaced() {
        let foreign = json!({"Sid": "theirs", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:root"}, "Action": "SNS:Publish", "Resource": ARN});
        let held = json!({
            "Version": "2008-10-17",
            "Id": "x",
            "Statement": [foreign, {"Sid": "opsctlBudgets", "Effect": "Deny"}],
        });
        let all = BTreeSet::from(Publisher::ALL);
        let policy = parsed(&policy_of(ARN, Some(&held), &all));
        assert_eq!(policy["Id"], "x");
        assert_eq!(statements(&policy).len(), 4);
        assert_eq!(statements(&policy)[0], foreign);
        let again = policy_of(ARN, Some(&policy), &all);
        assert_eq!(parsed(&again), policy);
    }

    #[test]
    fn foreign_policies_are_read_as_far_as_they_are_understood() {
        let one = |statement: Value| json!({"Statement": statement});
        let allow = |condition: Value| {
            one(json!({
                "Effect": "Allow",
                "Principal": {"Service": ["budgets.amazonaws.com"]},
                "Action": "sns:Pub*",
                "Resource": "*",
                "Condition": condition,
            }))
        };
        let budgets = |document: &Value| access(document, Publisher::Budgets, ARN);
        assert_eq!(budgets(&allow(json!({}))), Access::Allowed);
        assert_eq!(
            budgets(&allow(
                json!({"StringEquals": {"aws:SourceAccount": "999999999999"}})
            )),
            Access::Blocked
        );
        assert_eq!(
            budgets(&allow(
                json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}})
            )),
            Access::Unclear
        );
        let mut denied = json!({"Statement": statements(&allow(json!({})))});
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"});
        denied["Statement"]
            .as_array_mut()
            .unwrap()
            .push(deny.clone());
        assert_eq!(budgets(&denied), Access::Blocked);
        // Refusing plain HTTP is common, and concerns no service.
        let mut https = json!({"Statement": statements(&allow(json!({})))});
        let mut only = deny;
        only["Condition"] = json!({"Bool": {"aws:SecureTransport": "false"}});
        https["Statement"].as_array_mut().unwrap().push(only);
        assert_eq!(budgets(&https), Access::Allowed);
        assert_eq!(budgets(&Value::Null), Access::Blocked);
        assert_eq!(budgets(&json!("no policy")), Access::Blocked);
    }
}
