//! Cents that add up: parts are rounded so that their sum is the rounded whole.

use rust_decimal::{Decimal, RoundingStrategy};

/// An amount in cents, half a cent away from zero.
pub fn cents(amount: Decimal) -> Decimal {
    let mut rounded = amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(2);
    // No "-0.00".
    if rounded.is_zero() {
        rounded.set_sign_positive(true);
    }
    rounded
}

/// As a decimal string with two places.
pub fn text(amount: Decimal) -> String {
    cents(amount).to_string()
}

/// A percentage with one place; `None` where there is no whole, or it is negative.
pub fn percent(part: Decimal, whole: Decimal) -> Option<Decimal> {
    if whole <= Decimal::ZERO {
        return None;
    }
    let ratio = part.checked_div(whole)?.checked_mul(Decimal::ONE_HUNDRED)?;
    let mut rounded = ratio.round_dp_with_strategy(1, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(1);
    if rounded.is_zero() {
        rounded.set_sign_positive(true);
    }
    Some(rounded)
}

/// The parts in cents, adding up to their exact sum in cents: each is rounded down, and the cents
/// that are left go to those that lost most (the largest remainder; the first of equals).
pub fn split(parts: &[Decimal]) -> Vec<Decimal> {
    let cent = Decimal::new(1, 2);
    let total = cents(parts.iter().copied().sum());
    let mut rounded: Vec<Decimal> = parts
        .iter()
        .map(|p| p.round_dp_with_strategy(2, RoundingStrategy::ToNegativeInfinity))
        .collect();
    let mut left = total - rounded.iter().copied().sum::<Decimal>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let lost = |i: usize| {
        let exact = parts.get(i).copied().unwrap_or_default();
        exact - exact.round_dp_with_strategy(2, RoundingStrategy::ToNegativeInfinity)
    };
    order.sort_by_key(|i| (std::cmp::Reverse(lost(*i)), *i));
    for i in order {
        if left < cent {
            break;
        }
        if let Some(amount) = rounded.get_mut(i) {
            *amount += cent;
            left -= cent;
        }
    }
    for amount in &mut rounded {
        *amount = cents(*amount);
    }
    rounded
}
