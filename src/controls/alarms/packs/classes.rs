//! Memory of instance classes.
//!
//! Source: RDS user guide, "Hardware specifications for DB instance classes"; ElastiCache user guide,
//! "Supported node types" (what a node leaves to the engine).

use rust_decimal::Decimal;

use super::GIB;

/// GiB of an RDS class, by family and size.
pub fn rds_memory(class: &str) -> Option<u64> {
    let (family, size) = class.strip_prefix("db.")?.split_once('.')?;
    let gib = match family {
        "t3" | "t4g" => match size {
            "micro" => 1,
            "small" => 2,
            "medium" => 4,
            "large" => 8,
            "xlarge" => 16,
            "2xlarge" => 32,
            _ => return None,
        },
        "m5" | "m5d" | "m6g" | "m6gd" | "m6i" | "m6id" | "m7g" | "m7i" | "m8g" => 8 * factor(size)?,
        "r5" | "r5b" | "r5d" | "r6g" | "r6gd" | "r6i" | "r6id" | "r7g" | "r7i" | "r8g" => {
            16 * factor(size)?
        }
        "x2g" => 32 * factor(size)?,
        _ => return None,
    };
    Some(gib * GIB)
}

/// Bytes of an ElastiCache node.
pub fn cache_memory(class: &str) -> Option<u64> {
    let (family, size) = class.strip_prefix("cache.")?.split_once('.')?;
    // Hundredths of a GiB.
    let hundredths: u64 = match (family, size) {
        ("t2", "micro") => 56,
        ("t2", "small") => 155,
        ("t2", "medium") => 322,
        ("t3" | "t4g", "micro") => 50,
        ("t3" | "t4g", "small") => 137,
        ("t3" | "t4g", "medium") => 309,
        ("m5", "large") | ("m6g" | "m7g", "large") => 638,
        ("m5", "xlarge") | ("m6g" | "m7g", "xlarge") => 1_294,
        ("m5", "2xlarge") | ("m6g" | "m7g", "2xlarge") => 2_604,
        ("m5", "4xlarge") | ("m6g" | "m7g", "4xlarge") => 5_226,
        ("m6g" | "m7g", "8xlarge") => 10_368,
        ("m6g" | "m7g", "12xlarge") | ("m5", "12xlarge") => 15_712,
        ("m6g" | "m7g", "16xlarge") => 20_963,
        ("r5", "large") | ("r6g" | "r7g", "large") => 1_307,
        ("r5", "xlarge") | ("r6g" | "r7g", "xlarge") => 2_632,
        ("r5", "2xlarge") | ("r6g" | "r7g", "2xlarge") => 5_282,
        ("r5", "4xlarge") | ("r6g" | "r7g", "4xlarge") => 10_581,
        ("r6g" | "r7g", "8xlarge") => 20_975,
        ("r6g" | "r7g", "12xlarge") | ("r5", "12xlarge") => 31_777,
        ("r6g" | "r7g", "16xlarge") => 41_990,
        _ => return None,
    };
    Some(hundredths * GIB / 100)
}

/// How many times `large` a size is.
fn factor(size: &str) -> Option<u64> {
    match size {
        "large" => Some(1),
        "xlarge" => Some(2),
        _ => {
            let times: u64 = size.strip_suffix("xlarge")?.parse().ok()?;
            [2, 4, 8, 12, 16, 24, 32, 48]
                .contains(&times)
                .then_some(2 * times)
        }
    }
}

/// Whether EBS performance of the class comes with a balance that can run out: below the sizes that
/// hold their maximum all the time. Source: EC2 user guide, "Amazon EBS-optimized instance types".
pub fn bursts(class: &str) -> bool {
    class
        .strip_prefix("db.")
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(family, size)| {
            family.starts_with('t')
                || (rds_memory(class).is_some()
                    && !family.starts_with('x')
                    && ["large", "xlarge", "2xlarge"].contains(&size))
        })
}

/// `max_connections` of the default parameter group, and its formula.
///
/// Source: RDS user guide, "Maximum number of database connections".
pub fn max_connections(engine: &str, memory: u64) -> Option<(u64, &'static str)> {
    match engine {
        "postgres" | "aurora-postgresql" => Some((
            (memory / 9_531_392).min(5_000),
            "LEAST(memory / 9531392, 5000)",
        )),
        "mysql" | "mariadb" => Some(((memory / 12_582_880).min(16_000), "memory / 12582880")),
        _ => None,
    }
}

/// `16 GiB`
pub fn gib(bytes: u64) -> String {
    let gib = Decimal::from(bytes) / Decimal::from(GIB);
    format!("{} GiB", gib.round_dp(2).normalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_the_tables() {
        for (class, gib) in [
            ("db.t4g.micro", 1),
            ("db.t3.medium", 4),
            ("db.m6g.large", 8),
            ("db.m7g.4xlarge", 64),
            ("db.r6g.large", 16),
            ("db.r7g.16xlarge", 512),
            ("db.x2g.2xlarge", 128),
        ] {
            assert_eq!(rds_memory(class), Some(gib * GIB), "{class}");
        }
        for class in [
            "db.serverless",
            "db.r6g.3xlarge",
            "cache.t4g.small",
            "",
            "db.z9.large",
        ] {
            assert_eq!(rds_memory(class), None, "{class}");
        }
        assert_eq!(cache_memory("cache.r7g.large"), Some(1_307 * GIB / 100));
        assert_eq!(cache_memory("cache.r7g.3xlarge"), None);
    }

    #[test]
    fn connections_follow_the_default_parameter_groups() {
        assert_eq!(max_connections("postgres", GIB).unwrap().0, 112);
        assert_eq!(max_connections("postgres", 512 * GIB).unwrap().0, 5_000);
        assert_eq!(max_connections("mysql", GIB).unwrap().0, 85);
        assert_eq!(max_connections("aurora-mysql", GIB), None);
    }
}
