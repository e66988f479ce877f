//! One POST over HTTPS, to what is not an AWS service or has no client here.

use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

/// As much of an answer as is read.
const MOST: usize = 256 << 10;

/// A request; its parts may be secret, so it is not shown.
pub struct Post<'a> {
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    pub body: Vec<u8>,
    /// For all of it.
    pub timeout: Duration,
}

/// Sends it once and returns the status with the beginning of the answer. Redirects are not followed.
///
/// # Errors
/// Why nothing came back, without the address.
pub async fn post(post: Post<'_>) -> Result<(u16, String), String> {
    let mut request = HttpRequest::new(SdkBody::from(post.body));
    request
        .set_method("POST")
        .map_err(|_| "not a method".to_owned())?;
    request
        .set_uri(post.url)
        .map_err(|_| "it is not a URL".to_owned())?;
    for (name, value) in post.headers {
        request
            .headers_mut()
            .try_insert(name.clone(), value.clone())
            .map_err(|_| format!("the header {name} cannot be sent"))?;
    }
    let connector = Connector::builder()
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build();
    let sent = async {
        let answer = connector.call(request).await.map_err(|e| because(&e))?;
        let status = answer.status().as_u16();
        let mut body = ByteStream::new(answer.into_body());
        let mut text = Vec::new();
        while text.len() < MOST {
            match body.try_next().await {
                Ok(Some(piece)) => text.extend_from_slice(&piece),
                Ok(None) => break,
                // The status has come, and says what there is to say.
                Err(_) => break,
            }
        }
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    };
    match tokio::time::timeout(post.timeout, sent).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", post.timeout.as_secs())),
    }
}

/// An error with what caused it, each said once.
fn because(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !told.contains(&text) {
            told.push(text);
        }
        next = error.source();
    }
    told.join(": ")
}
