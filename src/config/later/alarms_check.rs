//! Mistakes in `policies/alarms.toml` that the types cannot catch: what CloudWatch would refuse, and
//! what could never fire.

use rust_decimal::Decimal;

use super::alarms::{Alarms, BusinessAlarm, Metric, PerResource, Slo};
use crate::config::source::{Diagnostic, Origin, suggest};
use crate::config::values::{Datapoints, Period};
use crate::controls::alarms::{burn, dimensions, packs};
use crate::model::Amount;

/// Limits of CloudWatch. Source: API model, `cloudwatch:PutMetricAlarm`.
const NAME_MAX: usize = 255;
const DIMENSIONS_MAX: usize = 30;
/// Seconds that an alarm may look at, with periods below an hour and from an hour on.
const RANGE_SHORT: u64 = 86_400;
const RANGE_LONG: u64 = 604_800;
const DAY: u64 = 86_400;
/// The end of a name that is too long becomes a digest; what is ours is found by its beginning.
const PREFIX_MAX: usize = 128;
/// Significant digits that come through a double unchanged: CloudWatch keeps thresholds as such.
const DIGITS_MAX: u32 = 15;

struct Checker {
    out: Vec<Diagnostic>,
    prefix: usize,
}

impl Alarms {
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut checker = Checker {
            out: Vec::new(),
            prefix: self.prefix.as_ref().map_or(0, |p| p.chars().count()),
        };
        if let Some(prefix) = &self.prefix {
            if prefix.trim().is_empty() {
                checker.error(
                    prefix.origin,
                    "an empty prefix would make every alarm of the account look like ours",
                );
            }
            let length = prefix.chars().count();
            if length > PREFIX_MAX {
                checker.error(
                    prefix.origin,
                    format!("a prefix of {length} characters: at most {PREFIX_MAX}, names of alarms have 255"),
                );
            }
            if prefix.contains(['"', '\\']) || prefix.contains(char::is_control) {
                checker.error(
                    prefix.origin,
                    "a prefix holds no quotes, backslashes or control characters",
                );
            }
        }
        for (name, alarm) in &self.business {
            checker.name(alarm.origin, "business alarm", name, name, "-no-data");
            checker.business(name, alarm, alarm.origin);
        }
        for (name, slo) in &self.slo {
            let full = format!("slo-{name}");
            checker.name(slo.origin, "SLO", name, &full, "-trickle-long");
            checker.slo(name, slo, slo.origin);
            for speed in burn::SPEEDS {
                for end in ["", "-long", "-short"] {
                    let made = format!("{full}-{}{end}", speed.name);
                    if self.business.contains_key(&made) {
                        checker.error(
                            slo.origin,
                            format!("SLO `{name}` and the business alarm `{made}` would make alarms of the same name"),
                        );
                    }
                }
            }
        }
        for (name, alarm) in &self.business {
            if let Some(twin) = self.business.get(&format!("{name}-no-data"))
                && alarm.no_data_after.is_some()
            {
                checker.error(
                    twin.origin,
                    format!("business alarm `{name}-no-data` has the name that `no_data_after` gives to the twin of `{name}`"),
                );
            }
        }
        for (name, alarm) in &self.per_resource {
            checker.name(alarm.origin, "per_resource alarm", name, name, "-");
            checker.per_resource(name, alarm, alarm.origin);
        }
        for (id, tune) in &self.tune {
            let Some(known) = packs::find(id) else {
                let ids = || packs::all().map(|a| a.id);
                let help = suggest(id, ids()).map_or_else(
                    || format!("one of: {}", ids().collect::<Vec<_>>().join(", ")),
                    |s| format!("did you mean `{s}`?"),
                );
                checker.out.push(
                    Diagnostic::error(tune.origin, format!("no pack has an alarm `{id}`"))
                        .with_help(help),
                );
                continue;
            };
            let what = format!("tune.{id}");
            if let Some(threshold) = tune.threshold {
                checker.exact(&what, threshold, tune.origin);
                checker.not_negative(&what, threshold, tune.origin);
                if known.unit.starts_with('%') {
                    checker.percent(&what, threshold, tune.origin);
                }
            }
            let period = tune.period.map_or(known.period.into(), seconds);
            let n = tune.datapoints.map_or(known.datapoints.1, |d| d.0.1);
            checker.range(&what, period, n, tune.origin, true);
        }
        checker.out
    }
}

/// Whole seconds, rounded up.
fn seconds(period: Period) -> u64 {
    period.0.as_secs() + u64::from(period.0.subsec_nanos() > 0)
}

/// Whether CloudWatch knows such a statistic: a plain one, a percentile, or a trimmed one.
/// Source: CloudWatch user guide, "CloudWatch statistics definitions".
pub fn is_statistic(text: &str) -> bool {
    if ["SampleCount", "Average", "Sum", "Minimum", "Maximum", "IQM"].contains(&text) {
        return true;
    }
    if let Some(number) = ["p", "tm", "wm", "tc", "ts"]
        .iter()
        .find_map(|start| text.strip_prefix(start))
        && number.as_bytes().first().is_some_and(u8::is_ascii_digit)
    {
        return Decimal::from_str_exact(number)
            .is_ok_and(|n| n <= Decimal::ONE_HUNDRED && n.scale() <= 10);
    }
    let inner = ["PR", "TM", "WM", "TC", "TS"]
        .iter()
        .find_map(|start| text.strip_prefix(start))
        .and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    let bound = |text: &str| {
        let text = text.strip_suffix('%').unwrap_or(text);
        text.is_empty() || Decimal::from_str_exact(text).is_ok()
    };
    inner
        .and_then(|inner| inner.split_once(':'))
        .is_some_and(|(a, b)| bound(a) && bound(b) && !(a.is_empty() && b.is_empty()))
}

impl Checker {
    fn error(&mut self, origin: Origin, text: impl Into<String>) {
        self.out.push(Diagnostic::error(origin, text));
    }

    fn name(&mut self, origin: Origin, what: &str, name: &str, full: &str, longest: &str) {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(fine) {
            self.error(
                origin,
                format!("{what} `{name}`: a name is made of letters, digits and - _ ."),
            );
        }
        let length = self.prefix + full.chars().count() + longest.len();
        if length > NAME_MAX {
            self.error(
                origin,
                format!("{what} `{name}`: with the prefix its alarms get names of {length} characters, CloudWatch allows {NAME_MAX}"),
            );
        }
    }

    fn metric(&mut self, what: &str, metric: &Metric, origin: Origin) {
        if metric.namespace.is_empty() || metric.namespace.chars().count() > 255 {
            self.error(
                origin,
                format!("{what}: a namespace has 1 to 255 characters"),
            );
        }
        if metric.namespace.starts_with(':') {
            self.error(
                origin,
                format!("{what}: a namespace does not begin with a colon"),
            );
        }
        if metric.metric.is_empty() || metric.metric.chars().count() > 255 {
            self.error(
                origin,
                format!("{what}: a metric name has 1 to 255 characters"),
            );
        }
        if metric.dimensions.len() > DIMENSIONS_MAX {
            self.error(
                origin,
                format!("{what}: a metric has at most {DIMENSIONS_MAX} dimensions"),
            );
        }
        if let Some((key, _)) = metric
            .dimensions
            .iter()
            .find(|(k, v)| k.is_empty() || v.is_empty())
        {
            self.error(origin, format!("{what}: the dimension `{key}` is empty"));
        }
        self.statistic(what, metric.statistic.as_deref(), origin);
    }

    fn statistic(&mut self, what: &str, statistic: Option<&str>, origin: Origin) {
        if let Some(text) = statistic
            && !is_statistic(text)
        {
            let known = ["SampleCount", "Average", "Sum", "Minimum", "Maximum", "p99"];
            let help = suggest(text, known).map_or_else(
                || {
                    "SampleCount, Average, Sum, Minimum, Maximum, or like \"p99\", \"tm95\""
                        .to_owned()
                },
                |s| format!("did you mean `{s}`?"),
            );
            self.out.push(
                Diagnostic::error(origin, format!("{what}: `{text}` is not a statistic"))
                    .with_help(help),
            );
        }
    }

    /// A share is made of counts: an average or a percentile of them is none.
    fn counts(&mut self, what: &str, statistic: Option<&str>, origin: Origin) {
        if let Some(text) = statistic.filter(|s| is_statistic(s))
            && !["Sum", "SampleCount"].contains(&text)
        {
            self.out.push(
                Diagnostic::error(
                    origin,
                    format!("{what}: `{text}` is no count, and a share is made of two counts"),
                )
                .with_help("Sum, or SampleCount"),
            );
        }
    }

    /// The two metrics of a share.
    fn share(&mut self, what: &str, (part, whole): (&Metric, &Metric), origin: Origin) {
        self.counts(what, part.statistic.as_deref(), origin);
        self.counts(what, whole.statistic.as_deref(), origin);
        let same = |m: &Metric| {
            let statistic = m.statistic.clone().unwrap_or_else(|| "Sum".to_owned());
            (
                m.namespace.clone(),
                m.metric.clone(),
                m.dimensions.clone(),
                statistic,
            )
        };
        if same(part) == same(whole) {
            self.error(
                origin,
                format!(
                    "{what}: both of its metrics are {} {}, so their share never changes",
                    whole.namespace, whole.metric
                ),
            );
        }
    }

    fn exact(&mut self, what: &str, amount: Amount, origin: Origin) {
        let digits = amount.0.normalize().mantissa().unsigned_abs();
        if digits.checked_ilog10().is_some_and(|n| n >= DIGITS_MAX) {
            self.error(
                origin,
                format!(
                    "{what}: CloudWatch keeps {DIGITS_MAX} digits of a threshold, {} has more",
                    amount.0
                ),
            );
        }
    }

    fn not_negative(&mut self, what: &str, amount: Amount, origin: Origin) {
        if amount.0.is_sign_negative() && !amount.0.is_zero() {
            self.error(
                origin,
                format!("{what}: a threshold below 0 means nothing here"),
            );
        }
    }

    fn percent(&mut self, what: &str, amount: Amount, origin: Origin) {
        if amount.0 < Decimal::ZERO || amount.0 >= Decimal::ONE_HUNDRED {
            self.error(
                origin,
                format!("{what}: {} is not a percentage from 0 to below 100: above it the alarm could never fire", amount.0),
            );
        }
    }

    /// Period and number of points, as CloudWatch takes them. Source: API model,
    /// `cloudwatch:PutMetricAlarm`, Period and EvaluationPeriods.
    fn range(&mut self, what: &str, period: u64, n: u32, origin: Origin, aws: bool) {
        let fine = matches!(period, 10 | 20 | 30) || (period > 0 && period.is_multiple_of(60));
        if !fine {
            self.out.push(
                Diagnostic::error(
                    origin,
                    format!("{what}: CloudWatch takes no period of {period} s"),
                )
                .with_help("10, 20 or 30 seconds, or whole minutes"),
            );
            return;
        }
        if aws && period < 60 {
            self.error(
                origin,
                format!("{what}: metrics of AWS services have no points within a minute, so a period of {period} s sees none"),
            );
        }
        let (limit, said) = if period >= 3600 {
            (RANGE_LONG, "7 days")
        } else {
            (
                RANGE_SHORT,
                "1 day, or 7 days with periods of an hour and more",
            )
        };
        let range = period.saturating_mul(n.into());
        if range > limit {
            self.error(
                origin,
                format!(
                    "{what}: {n} points of {period} s look at {range} s, CloudWatch allows {said}"
                ),
            );
        }
    }

    fn region(&mut self, what: &str, region: Option<&crate::config::values::Sourced<String>>) {
        let Some(region) = region else { return };
        let form = regex_lite::Regex::new("^[a-z]{2}(-[a-z]+)+-[0-9]$");
        if !form.is_ok_and(|form| form.is_match(region)) {
            self.out.push(
                Diagnostic::error(
                    region.origin,
                    format!("{what}: `{}` is not a region", region.value),
                )
                .with_help("a region looks like \"eu-west-1\""),
            );
        }
    }

    fn business(&mut self, name: &str, alarm: &BusinessAlarm, origin: Origin) {
        let what = format!("business alarm `{name}`");
        let metrics = [&alarm.failed, &alarm.total, &alarm.metric];
        for metric in metrics.into_iter().flatten() {
            self.metric(&what, metric, origin);
        }
        self.region(&what, alarm.region.as_ref());
        let thresholds: Vec<&str> = [
            ("above_percent", alarm.above_percent.is_some()),
            ("above", alarm.above.is_some()),
            ("below", alarm.below.is_some()),
            ("anomaly", alarm.anomaly),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect();
        match (&alarm.failed, &alarm.total, &alarm.metric) {
            (Some(_), Some(_), None) => match thresholds.as_slice() {
                ["above_percent"] => {}
                [] => self.error(
                    origin,
                    format!("{what} has no threshold: a failure rate needs above_percent"),
                ),
                _ => self.error(
                    origin,
                    format!("{what}: a failure rate takes above_percent and no other threshold, here is {}", thresholds.join(" and ")),
                ),
            },
            (None, None, Some(_)) => match thresholds.as_slice() {
                ["above"] | ["below"] | ["anomaly"] => {}
                [] => self.error(
                    origin,
                    format!("{what} has no threshold: above_percent, above, below or anomaly = true"),
                ),
                ["above_percent"] => self.error(
                    origin,
                    format!("{what}: above_percent is the share of `failed` in `total`; a single metric takes above, below or anomaly"),
                ),
                _ => self.error(
                    origin,
                    format!("{what}: thresholds that exclude each other: {}", thresholds.join(" and ")),
                ),
            },
            _ => self.error(
                origin,
                format!("{what} needs `failed` and `total`, or `metric`"),
            ),
        }
        if let Some(percent) = alarm.above_percent {
            self.percent(&what, percent, origin);
        }
        for amount in [alarm.above_percent, alarm.above, alarm.below]
            .into_iter()
            .flatten()
        {
            self.exact(&what, amount, origin);
        }
        if let (Some(failed), Some(total)) = (&alarm.failed, &alarm.total) {
            self.share(&what, (failed, total), origin);
        }
        if alarm.minimum_total.is_some() && alarm.total.is_none() {
            self.error(
                origin,
                format!("{what}: minimum_total is for a failure rate"),
            );
        }
        let aws = metrics
            .into_iter()
            .flatten()
            .any(|m| m.namespace.starts_with("AWS/"));
        let period = alarm.period.map_or(60, seconds);
        let (m, n) = alarm.datapoints.map_or((3, 5), |d: Datapoints| d.0);
        self.range(&what, period, n, origin, aws);
        if alarm.failed.is_some() && m == n {
            self.out.push(
                Diagnostic::warning(
                    origin,
                    format!("{what}: with {m} of {n} points the newest one, which may not be complete yet, can hold the alarm back"),
                )
                .with_help("fewer points than are looked at, like \"3 of 5\": failures that are not published yet count as none"),
            );
        }
        if let Some(after) = alarm.no_data_after {
            let after = seconds(after);
            let each = period.max(60);
            if after < 3 * each {
                self.error(
                    origin,
                    format!("{what}: no_data_after is at least three periods ({} s): a point that comes late would be an alarm", 3 * each),
                );
            } else if after > RANGE_LONG || (each < 3600 && after > DAY) {
                self.error(
                    origin,
                    format!("{what}: no_data_after is at most a day, or 7 days with a period of an hour and more"),
                );
            }
        }
    }

    fn slo(&mut self, name: &str, slo: &Slo, origin: Origin) {
        let what = format!("SLO `{name}`");
        self.metric(&what, &slo.good, origin);
        self.metric(&what, &slo.total, origin);
        self.share(&what, (&slo.good, &slo.total), origin);
        self.region(&what, slo.region.as_ref());
        let objective = slo.objective_percent.0;
        if objective <= Decimal::ZERO || objective >= Decimal::ONE_HUNDRED {
            self.error(
                slo.objective_percent.origin,
                format!("{what}: an objective is above 0 and below 100 percent"),
            );
            return;
        }
        let window = seconds(slo.window);
        if !(7 * DAY..=90 * DAY).contains(&window) {
            self.error(origin, format!("{what}: a window is 7 to 90 days"));
            return;
        }
        for speed in burn::SPEEDS {
            let threshold = burn::threshold_percent(&speed, window, objective);
            if threshold >= Decimal::ONE_HUNDRED {
                let factor = burn::factor(&speed, window).normalize();
                self.out.push(
                    Diagnostic::error(
                        slo.objective_percent.origin,
                        format!(
                            "{what}: its {} burn alarm could never fire: {factor} times the error budget of {} % is {} % of all requests",
                            speed.name,
                            (Decimal::ONE_HUNDRED - objective).normalize(),
                            threshold.normalize(),
                        ),
                    )
                    .with_help("a higher objective, or a shorter window"),
                );
                return;
            }
        }
    }

    fn per_resource(&mut self, name: &str, alarm: &PerResource, origin: Origin) {
        let what = format!("per_resource alarm `{name}`");
        if !dimensions::KINDS.iter().any(|k| k.kind == alarm.kind.value) {
            let known = || dimensions::KINDS.iter().map(|k| k.kind);
            let help = suggest(&alarm.kind, known()).map_or_else(
                || format!("one of: {}", known().collect::<Vec<_>>().join(", ")),
                |s| format!("did you mean `{s}`?"),
            );
            self.out.push(
                Diagnostic::error(
                    alarm.kind.origin,
                    format!("{what}: metrics of a `{}` are not known", alarm.kind.value),
                )
                .with_help(help),
            );
        }
        self.statistic(&what, alarm.statistic.as_deref(), origin);
        let parts: Vec<&str> = alarm.metric.split('/').map(str::trim).collect();
        if parts.len() > 2 || parts.iter().any(|p| p.is_empty()) {
            self.error(
                alarm.metric.origin,
                format!(
                    "{what}: `{}` is neither a metric nor two with ` / ` between them",
                    alarm.metric.value
                ),
            );
        }
        let share = parts.len() == 2;
        if share {
            self.counts(&what, alarm.statistic.as_deref(), origin);
            if parts.first() == parts.last() {
                self.error(
                    alarm.metric.origin,
                    format!("{what}: the share of a metric in itself never changes"),
                );
            }
        }
        for amount in [alarm.above_percent, alarm.above, alarm.below]
            .into_iter()
            .flatten()
        {
            self.exact(&what, amount, origin);
        }
        let thresholds = [alarm.above_percent, alarm.above, alarm.below];
        match thresholds.iter().flatten().count() {
            1 if share != alarm.above_percent.is_some() => self.error(
                origin,
                format!("{what}: above_percent is for two metrics with ` / ` between them, above and below for one"),
            ),
            1 => {}
            0 => self.error(origin, format!("{what} has no threshold: above_percent, above or below")),
            _ => self.error(origin, format!("{what}: thresholds that exclude each other")),
        }
        if let Some(percent) = alarm.above_percent {
            self.percent(&what, percent, origin);
        }
        if alarm.minimum_total.is_some() && !share {
            self.error(
                origin,
                format!("{what}: minimum_total is for a share of two metrics"),
            );
        }
        let n = alarm.datapoints.map_or(5, |d| d.0.1);
        self.range(&what, alarm.period.map_or(60, seconds), n, origin, true);
    }
}
