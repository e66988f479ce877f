//! Tests of what goes over the wire: requests are answered by a function instead of a network.

mod alarms;
mod costexplorer;
mod lifecycle;
mod money;
mod observe;
mod write;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::Settings;
use super::session::{Session, Shared};
use crate::cloud::Target;

pub const ACCOUNT: &str = "123456789012";

/// A request as it left.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The service and region that it is signed for.
    pub service: String,
    pub region: String,
    /// The operation, where the protocol names it outside of the path.
    pub action: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    fn new(request: &HttpRequest) -> Self {
        let header = |name: &str| request.headers().get(name).unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default();
        let body = String::from_utf8_lossy(body).into_owned();
        let scope = header("authorization");
        let scope: Vec<_> = scope.split('/').collect();
        let uri = request.uri();
        let path = uri.split_once("://").map_or(uri, |(_, rest)| rest);
        let path = path.find('/').map_or("/", |at| &path[at..]).to_owned();
        let in_body = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("Action="));
        let action = match header("x-amz-target").rsplit_once('.') {
            Some((_, action)) => action.to_owned(),
            None => in_body
                .or(path.rsplit_once("/operation/").map(|(_, a)| a))
                .unwrap_or_default()
                .to_owned(),
        };
        Request {
            method: request.method().to_owned(),
            path,
            service: scope.get(3).copied().unwrap_or_default().to_owned(),
            region: scope.get(2).copied().unwrap_or_default().to_owned(),
            action,
            headers: request
                .headers()
                .iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            body,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(k, _)| k == name);
        found.map(|(_, v)| v.as_str())
    }
}

/// Status, headers, body.
pub type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    (status, Vec::new(), body.into())
}

/// An error in S3's and the query protocol's form.
pub fn xml_error(status: u16, code: &str) -> Answer {
    answer(
        status,
        format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>about {code}</Message></Error></ErrorResponse>"
        ),
    )
}

pub fn s3_error(status: u16, code: &str) -> Answer {
    answer(
        status,
        format!("<Error><Code>{code}</Code><Message>about {code}</Message></Error>"),
    )
}

pub fn json_error(status: u16, code: &str) -> Answer {
    answer(
        status,
        format!(r#"{{"__type":"{code}","message":"about {code}"}}"#),
    )
}

type Respond = dyn Fn(&Request) -> Answer + Send + Sync;

#[derive(Clone)]
pub struct Replay {
    respond: Arc<Respond>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replay")
    }
}

impl Replay {
    pub fn new(respond: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Replay {
            respond: Arc::new(respond),
            seen: Arc::default(),
        }
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How often an action was asked for.
    pub fn count(&self, action: &str) -> usize {
        self.seen().iter().filter(|r| r.action == action).count()
    }

    /// A session whose network this is.
    pub fn session(&self, regions: &[&str]) -> Arc<Session> {
        let target = Target {
            environment: "dev".to_owned(),
            account: ACCOUNT.to_owned(),
            regions: regions.iter().map(|r| (*r).to_owned()).collect(),
            profile: None,
            role_arn: None,
            external_id: None,
        };
        let mut shared = Shared::new(Settings {
            endpoint_url: Some("http://aws.test".to_owned()),
            concurrency: 8,
            timeout: Duration::from_secs(30),
            profile_override: None,
        });
        shared.http = SharedHttpClient::new(self.clone());
        let keys = Credentials::new("AKIATEST", "secret", None, None, "test");
        let keys = SharedCredentialsProvider::new(keys);
        Arc::new(Session::with_credentials(target, Arc::new(shared), keys))
    }
}

impl HttpConnector for Replay {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = Request::new(&request);
        self.seen.lock().unwrap().push(request.clone());
        let (status, headers, body) = (self.respond)(&request);
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl HttpClient for Replay {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
