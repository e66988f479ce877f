//! The end of the month: AWS's forecast, or an estimate of our own where AWS has none.

use rust_decimal::Decimal;

/// Complete days that an estimate is made from: two of each day of the week.
const DAYS: usize = 14;

/// With fewer there is no estimate.
const DAYS_AT_LEAST: usize = 3;

/// What the rest of the month will cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    pub mean: Decimal,
    pub low: Decimal,
    pub high: Decimal,
    /// Days that it was made from.
    pub days: usize,
}

/// The rest of the month from the newest complete days, oldest first: their mean, and as interval
/// what it would be if every day cost as the cheapest or the dearest tenth of them.
///
/// The dearest day is left out of the mean where there are enough others, if it alone is more than
/// all the others together: a yearly fee or an upfront payment is no daily spend.
pub fn estimate(days: &[Decimal], remaining: i32) -> Option<Rest> {
    let newest = days.get(days.len().saturating_sub(DAYS)..)?;
    let mut sorted = newest.to_vec();
    sorted.sort();
    if let [others @ .., dearest] = sorted.as_slice()
        && others.len() > DAYS_AT_LEAST
        && *dearest > others.iter().copied().sum::<Decimal>()
    {
        sorted = others.to_vec();
    }
    if sorted.len() < DAYS_AT_LEAST {
        return None;
    }
    let remaining = Decimal::from(remaining);
    let count = Decimal::from(sorted.len());
    let mean = sorted.iter().copied().sum::<Decimal>().checked_div(count)?;
    let tenth = sorted.len() / 10;
    let low = sorted.get(tenth).copied()?;
    let high = sorted.get(sorted.len() - 1 - tenth).copied()?;
    Some(Rest {
        mean: mean.checked_mul(remaining)?,
        low: low.checked_mul(remaining)?,
        high: high.checked_mul(remaining)?,
        days: sorted.len(),
    })
}
