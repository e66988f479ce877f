//! Who is calling, and whether AWS can be reached: credentials, account guard, clocks, regions.

use jiff::Timestamp;

use super::Check;
use super::command::Commands;
use crate::audit::pending::shell;
use crate::cloud::CloudError;
use crate::cloud::health::Caller;

/// Credentials that end sooner are worth a word: a plan of a large account takes minutes.
const SOON: i64 = 15 * 60;
/// AWS refuses signatures that are further off. Source: IAM user guide, "Elements of an AWS API
/// request signature".
const REFUSED: f64 = 300.0;
/// From here on a clock is not set by the network.
const OFF: f64 = 30.0;

/// Codes of AWS for a region that the account has not switched on. Source: AWS account management
/// guide, "Enable or disable AWS Regions in your account".
fn is_disabled(code: &str) -> bool {
    matches!(
        code,
        "InvalidClientTokenId" | "UnrecognizedClientException" | "OptInRequired"
    )
}

fn is_skew(code: &str) -> bool {
    matches!(
        code,
        "RequestTimeTooSkewed" | "RequestExpired" | "SignatureDoesNotMatch"
    )
}

const SIGN_IN: &str = "sign in again";

/// How new credentials are come by.
fn sign_in(commands: &Commands) -> Option<String> {
    let profile = commands.profile()?;
    Some(format!("aws sso login --profile {}", shell(profile)))
}

/// What the first call tells; whether the environment may be looked at further.
pub fn caller(
    commands: &Commands,
    answer: &Result<Caller, CloudError>,
    now: Timestamp,
) -> (Vec<Check>, bool) {
    let (target, environment) = (commands.target, commands.environment());
    let credentials = |found: &str| {
        Check::ok(
            environment,
            "credentials",
            found,
            "without them nothing can be looked at",
        )
    };
    let guard = |found: String| {
        Check::ok(
            environment,
            "account-guard",
            found,
            "nothing runs against any other account than the one in opsctl.toml",
        )
    };
    let caller = match answer {
        Ok(caller) => caller,
        Err(e) => return (refused(commands, e, credentials("")), false),
    };
    let mut out = Vec::new();
    if let Some(held) = &caller.credentials {
        let who = caller.arn.as_deref().unwrap_or("an unnamed principal");
        let check = credentials("");
        let left = held.expires.map(|at| at.duration_since(now).as_secs());
        out.push(match left {
            _ if who.ends_with(":root") => check.problem(
                format!("{who}: the root user's own keys"),
                "delete these keys and use a role; this writes a policy for one, and --trust says who may take it",
            )
            .run([commands.opsctl(&["iam", "plan"])]),
            Some(left) if left <= 0 => check
                .problem(format!("{who}: expired"), SIGN_IN)
                .run([sign_in(commands)]),
            Some(left) if left < SOON => check
                .problem(
                    format!("{who}: they end in {} s", left),
                    "use a source that renews them (a profile, a role), or sign in again",
                )
                .run([sign_in(commands)]),
            Some(left) => credentials(&format!("{who}; they end in {} min", left / 60)),
            None if who.contains(":user/") => credentials(&format!(
                "{who}: long-lived keys of a user; a role would end by itself"
            )),
            None => credentials(&format!("{who}; they do not end")),
        });
    }
    let own = caller.account == target.account;
    out.push(match own {
        true => guard(format!("account {}", caller.account)),
        false => guard(String::new()).problem(
            format!(
                "opsctl.toml says {}, these credentials belong to {}",
                target.account, caller.account
            ),
            "use the profile or role of that account, or correct `account` in opsctl.toml",
        ),
    });
    if let Some(ahead) = caller.clock_ahead_seconds {
        out.push(clock(environment, ahead));
    }
    (out, own)
}

fn clock(environment: &str, ahead: f64) -> Check {
    let off = ahead.abs();
    let found = format!(
        "{off:.0} s {}",
        if ahead < 0.0 {
            "ahead of AWS"
        } else {
            "behind AWS"
        }
    );
    let check = Check::ok(
        environment,
        "clock",
        "",
        "AWS refuses requests that are signed more than 5 minutes off",
    );
    match off {
        _ if off <= 1.5 => Check {
            found: "in step with AWS".to_owned(),
            ..check
        },
        _ if off < OFF => Check { found, ..check },
        _ if off < REFUSED => check.problem(
            found,
            "set the clock by the network (chrony, systemd-timesyncd)",
        ),
        _ => check.problem(
            format!("{found}: requests are refused"),
            "set the clock by the network (chrony, systemd-timesyncd)",
        ),
    }
}

fn refused(commands: &Commands, error: &CloudError, credentials: Check) -> Vec<Check> {
    let environment = commands.environment();
    let region = commands.target.regions.first().map_or("", String::as_str);
    let first = match error.code.as_str() {
        "connection" | "timeout" => Check::ok(environment, "endpoint", "", "without a way to AWS nothing can be looked at").problem(
            format!("{region}: {}", error.message),
            "check the network, HTTPS_PROXY and NO_PROXY, and --endpoint-url or AWS_ENDPOINT_URL if they are set",
        ),
        "NoCredentials" => credentials.problem(error.message.clone(), "set them up (aws configure sso), or name `profile` or `role_arn` of the environment in opsctl.toml"),
        "ExpiredToken" | "ExpiredTokenException" => credentials.problem(error.message.clone(), SIGN_IN).run([sign_in(commands)]),
        code if is_skew(code) => Check::ok(environment, "clock", "", "AWS refuses requests that are signed more than 5 minutes off").problem(
            format!("{code}: {}", error.message),
            "set the clock by the network; if it is right, the secret key is not",
        ),
        code => credentials
            .problem(format!("{code}: {}", error.message), "see whether they work by themselves")
            .run([commands.aws("", &["sts", "get-caller-identity"])]),
    };
    let rest = Check::ok(
        environment,
        "everything-else",
        "",
        "nothing is looked at in an account that is not known to be the right one",
    );
    vec![
        first,
        rest.unknown("not looked at", "settle the line above, then run it again"),
    ]
}

/// One more region, asked the question that needs no permission.
pub fn region(
    commands: &Commands,
    region: &str,
    answer: &Result<Caller, CloudError>,
    took_ms: u64,
) -> Check {
    let check = Check::ok(
        commands.environment(),
        "endpoint",
        format!("{region}: answers in {took_ms} ms"),
        "what lies in a region that cannot be reached is not seen",
    );
    match answer {
        Ok(_) => check,
        Err(e) if is_disabled(&e.code) => check
            .problem(
                format!("{region} is not switched on in this account ({})", e.code),
                commands.by_aws("switch it on, or take it out of `regions` in opsctl.toml"),
            )
            // The service is one for all regions.
            .run([commands.aws("", &["account", "enable-region", "--region-name", region])]),
        Err(e) => check.problem(
            format!("{region}: {}: {}", e.code, e.message),
            "check the network, the proxy and the name of the region",
        ),
    }
}
