//! The area of money: what was spent, how the month ends, and which budgets it keeps.

use rust_decimal::Decimal;

use super::areas::{amount, blind_text, findings_text, plain};
use super::{Area, AreaId, Inputs, Standing};
use crate::cost::CostEntry;
use crate::model::usd;

/// An environment that has spent more than its budget, or is likely to. Amounts in USD.
pub(super) struct Over<'a> {
    pub environment: &'a str,
    pub budget: Decimal,
    pub spent: Option<Decimal>,
    /// The month's end.
    pub end: Option<Decimal>,
    pub entry: &'a CostEntry,
}

impl Over<'_> {
    /// More is spent already than the month may cost.
    pub fn now(&self) -> bool {
        self.spent.is_some_and(|spent| spent > self.budget)
    }
}

/// Budgets are in USD, so other currencies are not compared.
pub(super) fn over_budget<'a>(inputs: &'a Inputs<'_>) -> Vec<Over<'a>> {
    let entries = inputs.current_costs().unwrap_or_default();
    entries
        .iter()
        .filter(|e| e.currency == "USD")
        .filter_map(|entry| {
            let over = Over {
                environment: entry.environment.as_deref()?,
                budget: amount(&entry.budget)?,
                spent: amount(&entry.month_to_date),
                end: amount(&entry.forecast_month_end),
                entry,
            };
            let ends = over.end.is_some_and(|end| end > over.budget);
            (over.now() || ends).then_some(over)
        })
        .collect()
}

/// The whole, or the only environment.
fn whole(entries: &[CostEntry]) -> Option<&CostEntry> {
    let mut own = entries.iter().filter(|e| e.environment.is_some());
    match (
        entries.iter().find(|e| e.environment.is_none()),
        own.next(),
        own.next(),
    ) {
        (_, Some(only), None) => Some(only),
        (Some(whole), ..) => Some(whole),
        (None, first, _) => first,
    }
}

pub(super) fn money(inputs: &Inputs<'_>) -> Area {
    let mut area = plain(
        inputs,
        AreaId::Money,
        "spent this month",
        "opsctl report cost",
    );
    let entry = inputs.costs.as_ref().and_then(|(all, _)| whole(all));
    let known = entry.and_then(|e| Some((e, amount(&e.month_to_date)?)));
    let Some((entry, spent)) = known else {
        area.standing = match area.findings.standing() {
            Standing::Good => Standing::Unknown,
            other => other,
        };
        area.text = vec![
            "What was spent is not known: `opsctl audit cost` asks, and says before what that costs.".to_owned(),
            format!("Budgets: {}", findings_text(&area.findings).to_lowercase()),
        ];
        area.command = "opsctl audit cost --explain".to_owned();
        blind_text(&mut area);
        return area;
    };
    area.value = Some(usd(spent));
    area.unit = entry.currency.clone();
    if let (None, Some((_, day))) = (inputs.current_costs(), &inputs.costs) {
        area.label = format!("spent in {}, as of {day}", day.strftime("%B %Y"));
        if area.standing == Standing::Good {
            area.standing = Standing::Unknown;
        }
        area.text = vec![
            "What was spent this month is not known: `opsctl audit cost` asks, and says before what that costs. Nothing is said about the budgets of this month.".to_owned(),
            findings_text(&area.findings),
        ];
        blind_text(&mut area);
        return area;
    }
    // All of them together may be within the budgets while one is far over its own.
    for over in over_budget(inputs) {
        if let Some(spent) = over.spent.filter(|_| over.now()) {
            area.text.push(format!(
                "{} has spent {} of its budget of {}: {} over.",
                over.environment,
                usd(spent),
                usd(over.budget),
                usd(spent - over.budget)
            ));
        } else if let Some(end) = over.end.filter(|_| entry.environment.is_none()) {
            area.text.push(format!(
                "{} is likely to end at {}, {} over its budget of {}.",
                over.environment,
                usd(end),
                usd(end - over.budget),
                usd(over.budget)
            ));
        }
        area.standing = Standing::Bad;
    }
    let budget = amount(&entry.budget).filter(|_| entry.currency == "USD");
    match (amount(&entry.forecast_month_end), budget) {
        (Some(end), Some(budget)) => {
            let over = end > budget;
            if over {
                area.standing = Standing::Bad;
            }
            area.text.push(format!(
                "{} likely to end at {}, {} the budget of {}.",
                match entry.environment {
                    Some(_) => "The month is",
                    None => "All of it together is",
                },
                usd(end),
                if over {
                    format!("{} over", usd(end - budget))
                } else {
                    "within".to_owned()
                },
                usd(budget)
            ));
        }
        (Some(end), None) => area.text.push(format!(
            "The month is likely to end at {}; no budget is set.",
            usd(end)
        )),
        (None, _) => area
            .text
            .push("How the month ends is not known.".to_owned()),
    }
    if let Some(mover) = entry.top_movers.first() {
        area.text.push(format!(
            "Biggest mover: {} {}.",
            mover.name,
            signed(&mover.change)
        ));
    }
    area.text.push(findings_text(&area.findings));
    blind_text(&mut area);
    area
}

fn signed(text: &str) -> String {
    match text.parse::<Decimal>() {
        Ok(value) if value > Decimal::ZERO => format!("+{}", usd(value)),
        Ok(value) => usd(value),
        Err(_) => text.to_owned(),
    }
}
