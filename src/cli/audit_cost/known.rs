//! Costs that are known without paying for an answer.

use std::time::Duration;

use jiff::{Timestamp, ToSpan, tz::TimeZone};

use super::*;

/// Answers older than this say little about what things cost.
const OLDEST: Duration = Duration::from_secs(14 * 24 * 3600);

/// What is known of costs, with the day that it is about.
#[derive(Debug)]
pub struct Known {
    pub audit: CostAudit,
    pub as_of: jiff::civil::Date,
}

/// The costs of the environments as far as they are known without asking AWS, which bills every
/// question: from the answers that `audit cost` has kept, the newest day first. A sandbox bills
/// nothing, so it is asked. The findings are those of `audit cost` on the same answers. `None`: nothing
/// is known.
///
/// # Errors
/// Files that cannot be used.
pub async fn known(
    global: &Global,
    session: &Session,
    environments: &[(Target, Resolved)],
    now: Timestamp,
) -> Result<Option<Known>, Failure> {
    let args = CostArgs {
        explain: false,
        max_age: OLDEST,
        from: None,
    };
    let today = now.to_zoned(TimeZone::UTC).date();
    if session.sandbox.is_some() {
        let audit = collect_at(global, session, environments, &args, now).await?;
        return Ok(Some(Known {
            audit,
            as_of: today,
        }));
    }
    let (payers, places) = payers(session, environments)?;
    let cache = cache(global, session, &args);
    let accounts = accounts(session);
    for back in 0..=14 {
        let Ok(day) = today.checked_sub(back.days()) else {
            break;
        };
        let days = Days::of(day);
        let answers: Vec<PayerAnswers> =
            payers.iter().map(|p| kept(&cache, p, &days, now)).collect();
        if !answers.iter().any(|a| a.answer(&Purpose::Daily).is_some()) {
            continue;
        }
        let inputs: Vec<EnvironmentInput<'_>> = environments
            .iter()
            .zip(&places)
            .map(|((target, resolved), payer)| EnvironmentInput {
                resolved,
                account: target.account.clone(),
                payer: *payer,
                users: Users::NotTold,
            })
            .collect();
        let report = cost::audit(&AuditInput {
            today: day,
            environments: &inputs,
            payers: &answers,
            accounts: &accounts,
            narrowed: !global.environments.is_empty(),
        });
        return Ok(Some(Known {
            audit: CostAudit {
                findings: report.findings,
                entries: report.entries,
                gaps: report.gaps,
                notes: report.notes,
            },
            as_of: day,
        }));
    }
    Ok(None)
}

/// What the cache holds of one payer; the rest was not asked.
fn kept(cache: &Cache, payer: &Payer, days: &Days, now: Timestamp) -> PayerAnswers {
    let account = &payer.scope.account;
    PayerAnswers {
        scope: payer.scope.clone(),
        environment: payer.target.environment.clone(),
        steps: steps(&payer.scope, days)
            .into_iter()
            .map(|step| {
                let outcome = match cache.get(account, &step.question, now) {
                    Some(answered) => Outcome::Answered(answered),
                    None => Outcome::NotAsked {
                        reason: "a report never pays for an answer".to_owned(),
                        wanted: false,
                    },
                };
                (step, outcome)
            })
            .collect(),
    }
}
