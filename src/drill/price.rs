//! What a copy costs: list prices of us-east-1, on demand, one zone, USD.
//!
//! Source: RDS for PostgreSQL and Aurora price lists, 2026. Other regions are within about 30
//! percent; the figure guards against a mistake, it is no bill.

use rust_decimal::Decimal;

/// USD for a GiB of gp3 storage and month. Source: RDS price list.
const STORAGE: Decimal = Decimal::from_parts(115, 0, 0, false, 3);
/// Of Aurora's storage. Source: Aurora price list.
const AURORA_STORAGE: Decimal = Decimal::from_parts(100, 0, 0, false, 3);
/// USD for an Aurora capacity unit and hour. Source: Aurora price list.
const CAPACITY_UNIT: Decimal = Decimal::from_parts(120, 0, 0, false, 3);
const HOURS_IN_A_MONTH: u32 = 730;

/// USD for an hour of the size `large`, by family.
const LARGE: [(&str, u32); 24] = [
    ("t3", 145),
    ("t4g", 129),
    ("m5", 178),
    ("m5d", 210),
    ("m6g", 159),
    ("m6gd", 188),
    ("m6i", 178),
    ("m6id", 223),
    ("m7g", 168),
    ("m7i", 187),
    ("m8g", 185),
    ("r5", 250),
    ("r5b", 292),
    ("r5d", 288),
    ("r6g", 225),
    ("r6gd", 265),
    ("r6i", 250),
    ("r6id", 314),
    ("r7g", 239),
    ("r7i", 263),
    ("r8g", 263),
    ("x2g", 377),
    ("x2iedn", 500),
    ("c6gd", 154),
];
/// Of a family that is not in the list: more than any of those that people use.
const UNKNOWN_LARGE: u32 = 400;

/// Sizes in parts of a `large`, by a hundred.
fn size(name: &str) -> u32 {
    match name {
        "micro" => 12,
        "small" => 25,
        "medium" => 50,
        "large" => 100,
        "xlarge" => 200,
        other => other
            .strip_suffix("xlarge")
            .and_then(|n| n.parse::<u32>().ok())
            .map_or(800, |n| n.saturating_mul(200)),
    }
}

/// USD for an hour of an instance class, and whether the class is in the list. For `db.serverless`
/// the most that its capacity allows.
pub fn hourly(class: &str, most_units: Option<Decimal>) -> (Decimal, bool) {
    if class == "db.serverless" {
        return match most_units {
            Some(units) => (units * CAPACITY_UNIT, true),
            None => (Decimal::from(16) * CAPACITY_UNIT, false),
        };
    }
    let mut parts = class.trim_start_matches("db.").split('.');
    let family = parts.next().unwrap_or_default();
    let size = size(parts.next().unwrap_or_default());
    let known = LARGE.iter().find(|(name, _)| *name == family);
    let large = known.map_or(UNKNOWN_LARGE, |(_, price)| *price);
    let price = Decimal::new(i64::from(large), 3) * Decimal::new(i64::from(size), 2);
    (price, known.is_some())
}

/// USD for an hour of so many GiB.
pub fn storage(gib: u64, aurora: bool) -> Decimal {
    let month = if aurora { AURORA_STORAGE } else { STORAGE };
    Decimal::from(gib) * month / Decimal::from(HOURS_IN_A_MONTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_scale_by_their_size() {
        let price = |class: &str| hourly(class, None).0.normalize().to_string();
        assert_eq!(price("db.t4g.medium"), "0.0645");
        assert_eq!(price("db.r6g.large"), "0.225");
        assert_eq!(price("db.r6g.16xlarge"), "7.2");
        assert_eq!(hourly("db.z9.large", None), (Decimal::new(400, 3), false));
        let units = hourly("db.serverless", Some(Decimal::from(4)));
        assert_eq!(units, (Decimal::new(48, 2), true));
    }
}
