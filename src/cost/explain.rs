//! What an audit would ask and pay.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cents::text;
use super::days::Days;
use super::question::Answered;
use super::steps::{Need, Outcome, PRICE_USD, PayerScope, Step, need, operation, steps};

/// `audit cost --explain`: nothing is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    pub payers: Vec<ExplainedPayer>,
    /// Requests that are made for sure, if every answer has one page.
    pub requests_at_least: u64,
    /// Questions with those that hang on the answers of others; each further page is a request more.
    pub questions_at_most: u64,
    /// Decimal strings, in USD.
    pub cost_usd_at_least: String,
    pub cost_usd_one_page_each: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedPayer {
    /// Whose credentials ask.
    pub environment: String,
    pub account: String,
    pub max_questions: u64,
    pub questions: Vec<ExplainedQuestion>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedQuestion {
    pub what: String,
    pub operation: String,
    pub state: QuestionState,
    /// Of a question that hangs on others, is not needed or does not fit.
    pub why: Option<String>,
    /// When the kept answer was given.
    pub asked_at: Option<String>,
    /// Pages of the kept answer: what asking again would cost.
    pub pages: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuestionState {
    Ask,
    /// Answered from the cache, for nothing.
    Kept,
    Perhaps,
    NotNeeded,
    NoRoom,
}

/// Why a question is not asked that would have been.
pub fn no_room(max: usize) -> String {
    format!("beyond the {max} questions of max_questions in [cost]")
}

/// Goes through the steps of one payer; `kept` tells the answers that are young enough.
pub fn payer(
    scope: &PayerScope,
    environment: &str,
    days: &Days,
    max: usize,
    kept: &dyn Fn(&Step) -> Option<Answered>,
) -> ExplainedPayer {
    let mut so_far: Vec<(Step, Outcome)> = Vec::new();
    let mut questions = Vec::new();
    let mut room = max;
    for step in steps(scope, days) {
        let mut explained = ExplainedQuestion {
            what: step.what.clone(),
            operation: operation(&step.question).to_owned(),
            state: QuestionState::Ask,
            why: None,
            asked_at: None,
            pages: None,
        };
        let later = Outcome::NotAsked {
            reason: String::new(),
            wanted: true,
        };
        let needed = need(&step, &so_far);
        let outcome = match needed {
            Need::No(why) => {
                explained.state = QuestionState::NotNeeded;
                explained.why = Some(why.clone());
                Outcome::NotAsked {
                    reason: why,
                    wanted: false,
                }
            }
            _ if room == 0 => {
                explained.state = QuestionState::NoRoom;
                explained.why = Some(no_room(max));
                later
            }
            needed => {
                room -= 1;
                let perhaps = match needed {
                    Need::Perhaps(why) => Some(why),
                    _ => None,
                };
                match kept(&step) {
                    Some(answered) => {
                        explained.state = QuestionState::Kept;
                        explained.asked_at = Some(format!("{:.0}", answered.asked_at));
                        explained.pages = Some(answered.pages);
                        Outcome::Answered(answered)
                    }
                    None => {
                        if perhaps.is_some() {
                            explained.state = QuestionState::Perhaps;
                            explained.why = perhaps;
                        }
                        later
                    }
                }
            }
        };
        questions.push(explained);
        so_far.push((step, outcome));
    }
    ExplainedPayer {
        environment: environment.to_owned(),
        account: scope.account.clone(),
        max_questions: max as u64,
        questions,
    }
}

impl Explanation {
    pub fn of(payers: Vec<ExplainedPayer>) -> Explanation {
        let count = |state: QuestionState| {
            let all = payers.iter().flat_map(|p| &p.questions);
            all.filter(|q| q.state == state).count() as u64
        };
        let (ask, perhaps) = (count(QuestionState::Ask), count(QuestionState::Perhaps));
        let price = |n: u64| text(Decimal::from(n) * PRICE_USD);
        Explanation {
            requests_at_least: ask,
            questions_at_most: ask + perhaps,
            cost_usd_at_least: price(ask),
            cost_usd_one_page_each: price(ask + perhaps),
            payers,
        }
    }
}
