//! Who is calling, and what IAM says about it.
//!
//! IAM has no client here: its crate is large, and one call of it is needed. That one is written out
//! and signed. Source: IAM API reference, SimulatePrincipalPolicy; API model, iam (query, 2010-05-08).

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use jiff::Timestamp;
use xmlparser::{ElementEnd, Token, Tokenizer};

use super::error::{self, Named};
use super::post::{Post, post};
use super::session::{Region, Session};
use super::{AwsCloud, located};
use crate::cloud::health::{Caller, Case, Credentials, Health, Ruling};
use crate::cloud::{CloudError, Target};
use crate::model::Arn;

const WHO: &str = "sts:GetCallerIdentity";
const SIMULATE: &str = "iam:SimulatePrincipalPolicy";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Tries of one question.
const TRIES: u32 = 4;

#[async_trait]
impl Health for AwsCloud {
    async fn caller(&self, target: &Target, region: &str) -> Result<Caller, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let answer = clients
            .sts()
            .get_caller_identity()
            .send()
            .await
            .named(WHO)
            .map_err(|e| located(e, &session, region))?;
        let account = answer
            .account
            .ok_or_else(|| error::own(WHO, "NoAccount", "the answer names no account"))?;
        let credentials = clients.credentials().await.ok().map(|held| Credentials {
            source: session.credentials_tried(),
            expires: held.expiry().and_then(|at| Timestamp::try_from(at).ok()),
        });
        let clock_ahead_seconds = session.shared.clock.ahead();
        Ok(Caller {
            account,
            arn: answer.arn,
            credentials,
            clock_ahead_seconds,
        })
    }

    async fn simulate(
        &self,
        target: &Target,
        caller: &Caller,
        cases: &[Case],
    ) -> Result<Vec<Ruling>, CloudError> {
        let session = self.session(target);
        let region = target.regions.first().map_or("us-east-1", String::as_str);
        let clients = session.region(region).await;
        let arn = caller.arn.as_deref().unwrap_or_default();
        let mut sources = principals(arn).into_iter();
        let mut source = sources.next().ok_or_else(|| {
            error::own(
                SIMULATE,
                "NoPrincipal",
                format!("IAM cannot be asked about {arn}"),
            )
        })?;
        let mut out = Vec::new();
        for case in cases {
            loop {
                match ask(&session, &clients, &source, case).await {
                    Ok(rulings) => {
                        out.extend(rulings.into_iter().map(|(action, ruling)| {
                            let named = |how: String| match case.with.is_empty() {
                                true => how,
                                false => format!("{how} with {}", case.with),
                            };
                            (action, ruling.map_err(named))
                        }));
                        break;
                    }
                    // The session's ARN does not tell the role's path.
                    Err(e) if e.code == "NoSuchEntity" || e.code == "InvalidInput" => {
                        match sources.next() {
                            Some(next) => source = next,
                            None => return Err(e),
                        }
                    }
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(out)
    }
}

/// What IAM knows the caller by; for a role's session the role, at the paths that it may have.
///
/// Sources: IAM user guide, "IAM identifiers"; "AWS managed applications and IAM Identity Center"
/// (the path of reserved roles).
fn principals(arn: &str) -> Vec<String> {
    let Some(parsed) = Arn::parse(arn) else {
        return Vec::new();
    };
    let (partition, account) = (parsed.partition, parsed.account);
    match (
        parsed.service,
        parsed.resource.split('/').collect::<Vec<_>>().as_slice(),
    ) {
        ("iam", ["user", ..]) => vec![arn.to_owned()],
        ("sts", ["assumed-role", role, ..]) => {
            let at = |path: &str| format!("arn:{partition}:iam::{account}:role/{path}{role}");
            match role.starts_with("AWSReservedSSO_") {
                true => vec![at("aws-reserved/sso.amazonaws.com/"), at("")],
                false => vec![at(""), at("service-role/")],
            }
        }
        _ => Vec::new(),
    }
}

/// The form of the query protocol.
fn form(source: &str, case: &Case) -> String {
    let mut pairs = vec![
        ("Action".to_owned(), "SimulatePrincipalPolicy".to_owned()),
        ("Version".to_owned(), "2010-05-08".to_owned()),
        ("PolicySourceArn".to_owned(), source.to_owned()),
        ("ResourceArns.member.1".to_owned(), case.resource.clone()),
    ];
    for (i, action) in case.actions.iter().enumerate() {
        pairs.push((format!("ActionNames.member.{}", i + 1), action.clone()));
    }
    for (i, (key, values)) in case.context.iter().enumerate() {
        let entry = format!("ContextEntries.member.{}", i + 1);
        pairs.push((format!("{entry}.ContextKeyName"), key.clone()));
        let kind = match values.as_slice() {
            [one] if one == "true" || one == "false" => "boolean",
            [_] => "string",
            _ => "stringList",
        };
        pairs.push((format!("{entry}.ContextKeyType"), kind.to_owned()));
        for (j, value) in values.iter().enumerate() {
            pairs.push((
                format!("{entry}.ContextKeyValues.member.{}", j + 1),
                value.clone(),
            ));
        }
    }
    let parts: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
        .collect();
    parts.join("&")
}

/// Source: RFC 3986, section 2.3: what is not unreserved is escaped.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// IAM's endpoint of the partition and the region that it signs for.
/// Source: AWS general reference, "AWS Identity and Access Management endpoints and quotas".
fn endpoint(region: &Region) -> (String, &'static str) {
    let own = match region.partition() {
        "aws-cn" => ("https://iam.cn-north-1.amazonaws.com.cn/", "cn-north-1"),
        "aws-us-gov" => ("https://iam.us-gov.amazonaws.com/", "us-gov-west-1"),
        _ => ("https://iam.amazonaws.com/", "us-east-1"),
    };
    match region.endpoint() {
        Some(url) => (format!("{}/", url.trim_end_matches('/')), own.1),
        None => (own.0.to_owned(), own.1),
    }
}

async fn ask(
    session: &Session,
    region: &Region,
    source: &str,
    case: &Case,
) -> Result<Vec<Ruling>, CloudError> {
    let body = form(source, case);
    let mut tries = 1;
    loop {
        session.shared.meter.request(SIMULATE, tries > 1);
        match once(region, &body).await {
            Err(e) if tries < TRIES && (error::is_throttle(&e.code) || e.is_transient()) => {
                let pause = Duration::from_millis(500) * (1 << tries);
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                tries += 1;
            }
            other => return other,
        }
    }
}

async fn once(region: &Region, body: &str) -> Result<Vec<Ruling>, CloudError> {
    let broken = |what: String| error::own(SIMULATE, "request", what);
    let (url, signed_for) = endpoint(region);
    let identity = region.credentials().await?.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(signed_for)
        .name("iam")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|e| broken(e.to_string()))?
        .into();
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    let plain = [("content-type", kind)];
    let request = SignableRequest::new(
        "POST",
        &url,
        plain.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    )
    .map_err(|e| broken(e.to_string()))?;
    let (instructions, _) = sign(request, &params)
        .map_err(|e| broken(e.to_string()))?
        .into_parts();
    let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
    headers.extend(
        instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let answer = post(Post {
        url: &url,
        headers: &headers,
        body: body.as_bytes().to_vec(),
        timeout: TIMEOUT,
    })
    .await;
    let (status, text) = answer.map_err(|why| error::own(SIMULATE, "connection", why))?;
    match status {
        200..=299 => rulings(&text),
        501 => Err(error::own(
            SIMULATE,
            error::NOT_IMPLEMENTED,
            "this endpoint has no such operation",
        )),
        _ => {
            let told = elements(&text, &["Code", "Message"]);
            let find = |name: &str| told.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let code = find("Code").unwrap_or_else(|| format!("Http{status}"));
            let message = find("Message").unwrap_or_else(|| "no message".to_owned());
            Err(error::own(SIMULATE, &code, message))
        }
    }
}

/// The texts of elements with these names, in their order.
fn elements(xml: &str, names: &[&str]) -> Vec<(String, String)> {
    let mut open: Vec<String> = Vec::new();
    let mut out = Vec::new();
    for token in Tokenizer::from(xml).map_while(Result::ok) {
        match token {
            Token::ElementStart { local, .. } => open.push(local.as_str().to_owned()),
            Token::ElementEnd {
                end: ElementEnd::Close(..) | ElementEnd::Empty,
                ..
            } => {
                open.pop();
            }
            Token::Text { text } => {
                if let Some(name) = open.last().filter(|n| names.contains(&n.as_str())) {
                    out.push((name.clone(), text.as_str().trim().to_owned()));
                }
            }
            _ => {}
        }
    }
    out
}

fn rulings(xml: &str) -> Result<Vec<Ruling>, CloudError> {
    let mut out = Vec::new();
    let mut action = None;
    for (name, text) in elements(xml, &["EvalActionName", "EvalDecision"]) {
        match name.as_str() {
            "EvalActionName" => action = Some(text),
            _ => {
                let ruling = match text.as_str() {
                    "allowed" => Ok(()),
                    "explicitDeny" => Err("denied explicitly".to_owned()),
                    _ => Err("not allowed by any policy".to_owned()),
                };
                out.extend(action.take().map(|a| (a, ruling)));
            }
        }
    }
    match out.is_empty() {
        true => Err(error::own(
            SIMULATE,
            "NoResults",
            "the answer holds no decision",
        )),
        false => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_asked_about_as_its_role() {
        assert_eq!(
            principals("arn:aws:sts::123456789012:assumed-role/ci/run-1")[0],
            "arn:aws:iam::123456789012:role/ci"
        );
        assert_eq!(
            principals("arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0f1e/anna")[0],
            "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0f1e"
        );
        assert_eq!(
            principals("arn:aws:iam::123456789012:user/ops/anna"),
            ["arn:aws:iam::123456789012:user/ops/anna"]
        );
        assert!(principals("arn:aws:iam::123456789012:root").is_empty());
        assert!(principals("").is_empty());
    }

    #[test]
    fn decisions_are_read_with_their_actions() {
        let xml = "<R><SimulatePrincipalPolicyResult><EvaluationResults>\
            <member><EvalActionName>s3:ListAllMyBuckets</EvalActionName><EvalDecision>allowed</EvalDecision><X/></member>\
            <member><EvalDecisionDetails/><EvalActionName>s3:PutObject</EvalActionName><EvalDecision>implicitDeny</EvalDecision></member>\
            </EvaluationResults></SimulatePrincipalPolicyResult></R>";
        let found = rulings(xml).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].1.is_ok());
        assert_eq!(found[1].0, "s3:PutObject");
        assert!(found[1].1.is_err());
        assert!(rulings("<html>").is_err());
    }

    #[test]
    fn the_form_is_escaped() {
        let case = Case {
            actions: vec!["s3:GetObject".to_owned()],
            resource: "arn:aws:s3:::b/k &=+ü".to_owned(),
            context: vec![(
                "aws:RequestedRegion".to_owned(),
                vec!["eu-west-1".to_owned()],
            )],
            with: String::new(),
            operations: Default::default(),
        };
        let form = form("arn:aws:iam::123456789012:role/ci", &case);
        assert!(
            form.contains("ResourceArns.member.1=arn%3Aaws%3As3%3A%3A%3Ab%2Fk%20%26%3D%2B%C3%BC"),
            "{form}"
        );
        assert!(form.contains("ContextEntries.member.1.ContextKeyValues.member.1=eu-west-1"));
    }
}
