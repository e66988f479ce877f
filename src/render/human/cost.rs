//! What the month costs.

use crate::cost::CostEntry;
use crate::render::Style;
use crate::render::table;

/// The costs of each environment and of the whole.
pub fn cost(entries: &[CostEntry], _style: &Style) -> String {
    let say = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "–".to_owned());
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|e| {
            vec![
                e.environment.clone().unwrap_or_else(|| "all".to_owned()),
                say(&e.month_to_date),
                say(&e.forecast_month_end),
                say(&e.budget),
                e.currency.clone(),
            ]
        })
        .collect();
    let head = ["costs", "month to date", "forecast", "budget", ""];
    table(&head, &rows, false)
}
