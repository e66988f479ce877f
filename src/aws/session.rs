//! One environment's credentials and its clients, one per service and region, made on first use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::config::retry::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use super::clock::Clock;
use super::pace::{Api, Pace};
use super::wire::Wire;
use crate::cloud::{CloudError, Meter, Target};

/// Tries of one call, the first included. The SDK's default of 3 gives up too early in bulk reads.
const ATTEMPTS: u32 = 8;
/// The SDK's own default since `v2026_01_12`; setting other timeouts drops it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The default chain ends at the instance metadata service, which does not answer elsewhere.
const IMDS_ATTEMPTS: u32 = 2;
const SESSION_NAME: &str = "opsctl";
/// Retries that all calls of a region may have in hand. The SDK's 500 tokens, at up to 14 a retry, are
/// gone after one throttled burst of bulk reads, and then every further hiccup is a failure.
const RETRY_TOKENS: usize = 20_000;

/// What all sessions have in common.
#[derive(Debug)]
pub struct Shared {
    pub endpoint_url: Option<String>,
    pub profile_override: Option<String>,
    pub timeout: Duration,
    pub concurrency: usize,
    pub http: SharedHttpClient,
    pub meter: Arc<Meter>,
    pub clock: Arc<Clock>,
    /// Bounds calls about single resources, of which there may be thousands.
    pub slots: Semaphore,
    paces: Mutex<HashMap<(String, String), Arc<Pace>>>,
}

impl Shared {
    pub fn new(settings: super::Settings) -> Self {
        let concurrency = settings.concurrency.max(1);
        Shared {
            endpoint_url: settings.endpoint_url,
            profile_override: settings.profile_override,
            timeout: settings.timeout,
            concurrency,
            http: SharedHttpClient::new(super::http::Pool::default()),
            meter: Arc::new(Meter::default()),
            clock: Arc::default(),
            slots: Semaphore::new(concurrency),
            paces: Mutex::default(),
        }
    }

    /// Two environments may share an account, and then they share its rate limits.
    fn pace(&self, account: &str, region: &str) -> Arc<Pace> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account.to_owned(), region.to_owned());
        Arc::clone(paces.entry(key).or_insert_with(|| Arc::new(Pace::new())))
    }
}

/// The credentials of one environment and its regions' clients.
#[derive(Debug)]
pub struct Session {
    pub target: Target,
    pub shared: Arc<Shared>,
    /// What was answered without an error.
    pub answered: Arc<Meter>,
    /// Held while Cost Explorer is asked.
    pub costs: tokio::sync::Mutex<()>,
    config: OnceCell<SdkConfig>,
    given: Option<SharedCredentialsProvider>,
    regions: Mutex<HashMap<String, Arc<Region>>>,
}

impl Session {
    pub fn new(target: Target, shared: Arc<Shared>) -> Self {
        Session {
            target,
            shared,
            answered: Arc::default(),
            costs: tokio::sync::Mutex::default(),
            config: OnceCell::new(),
            given: None,
            regions: Mutex::default(),
        }
    }

    /// With these credentials instead of looking for some.
    #[cfg(test)]
    pub fn with_credentials(
        target: Target,
        shared: Arc<Shared>,
        given: SharedCredentialsProvider,
    ) -> Self {
        Session {
            given: Some(given),
            ..Session::new(target, shared)
        }
    }

    /// The profile in force, if any.
    pub fn profile(&self) -> Option<&str> {
        let overriding = self.shared.profile_override.as_deref();
        overriding.or(self.target.profile.as_deref())
    }

    /// Where the credentials were looked for, in words.
    pub fn credentials_tried(&self) -> String {
        let source = match self.profile() {
            Some(profile) => format!("profile `{profile}`"),
            None => "the default chain (environment variables, shared config files, SSO, web identity, container, instance metadata)".to_owned(),
        };
        match &self.target.role_arn {
            Some(role) => format!("{source}, then role {role}"),
            None => source,
        }
    }

    /// The clients of a region. `global` services are reached through us-east-1.
    pub async fn region(&self, name: &str) -> Arc<Region> {
        let name = if name == "global" { "us-east-1" } else { name };
        let base = self.config.get_or_init(|| self.load(name)).await;
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let region = regions.entry(name.to_owned()).or_insert_with(|| {
            let config = base.to_builder().region(SdkRegion::new(name.to_owned()));
            Arc::new(Region {
                name: name.to_owned(),
                account: self.target.account.clone(),
                pace: self.shared.pace(&self.target.account, name),
                shared: Arc::clone(&self.shared),
                answered: Arc::clone(&self.answered),
                config: config.build(),
                retries: RetryPartition::custom("opsctl")
                    .token_bucket(TokenBucket::builder().capacity(RETRY_TOKENS).build())
                    .build(),
                clients: Clients::default(),
            })
        });
        Arc::clone(region)
    }

    /// Reads the environment and the shared config files, once; no request is made yet.
    async fn load(&self, region: &str) -> SdkConfig {
        let region = SdkRegion::new(region.to_owned());
        let behavior = BehaviorVersion::v2026_01_12();
        let provider_config = ProviderConfig::without_region()
            .with_region(Some(region.clone()))
            .with_behavior_version(Some(behavior))
            .with_http_client(self.shared.http.clone());
        let mut loader = aws_config::defaults(behavior)
            .region(region.clone())
            .http_client(self.shared.http.clone())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(self.shared.timeout)
                    .build(),
            );
        if let Some(url) = &self.shared.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let (None, Some(profile)) = (&self.given, self.profile()) {
            loader = loader.profile_name(profile);
        }
        let credentials = match &self.given {
            Some(given) => given.clone(),
            None => self.credentials(region, provider_config).await,
        };
        let config = loader
            .credentials_provider(credentials.clone())
            .load()
            .await;
        let Some(role) = &self.target.role_arn else {
            return config;
        };
        let mut provider = AssumeRoleProvider::builder(role)
            .session_name(SESSION_NAME)
            .configure(&config);
        if let Some(id) = &self.target.external_id {
            provider = provider.external_id(id);
        }
        let assumed =
            SharedCredentialsProvider::new(provider.build_from_provider(credentials).await);
        config.into_builder().credentials_provider(assumed).build()
    }

    async fn credentials(
        &self,
        region: SdkRegion,
        provider_config: ProviderConfig,
    ) -> SharedCredentialsProvider {
        match self.profile() {
            // A profile that was asked for wins over keys in the environment, as in the AWS CLI;
            // in the SDK's default chain it would lose.
            Some(profile) => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&provider_config)
                    .profile_name(profile)
                    .build(),
            ),
            None => {
                let imds = aws_config::imds::Client::builder()
                    .configure(&provider_config)
                    .max_attempts(IMDS_ATTEMPTS)
                    .build();
                SharedCredentialsProvider::new(
                    DefaultCredentialsChain::builder()
                        .region(region)
                        .configure(provider_config)
                        .imds_client(imds)
                        .build()
                        .await,
                )
            }
        }
    }
}

/// One region of one environment.
#[derive(Debug)]
pub struct Region {
    pub name: String,
    pub account: String,
    pub shared: Arc<Shared>,
    answered: Arc<Meter>,
    config: SdkConfig,
    pace: Arc<Pace>,
    retries: RetryPartition,
    clients: Clients,
}

macro_rules! clients {
    ($($name:ident: $sdk:ident,)*) => {
        #[derive(Debug, Default)]
        struct Clients {
            $($name: OnceLock<$sdk::Client>,)*
            s3: OnceLock<aws_sdk_s3::Client>,
        }

        impl Region {
            $(pub fn $name(&self) -> &$sdk::Client {
                self.clients.$name.get_or_init(|| {
                    let config = $sdk::config::Builder::from(&self.config)
                        .retry_partition(self.retries.clone())
                        .interceptor(self.wire());
                    $sdk::Client::from_conf(config.build())
                })
            })*
        }
    };
}

clients! {
    backup: aws_sdk_backup,
    budgets: aws_sdk_budgets,
    cloudwatch: aws_sdk_cloudwatch,
    costexplorer: aws_sdk_costexplorer,
    dynamodb: aws_sdk_dynamodb,
    elasticache: aws_sdk_elasticache,
    explorer: aws_sdk_resourceexplorer2,
    lambda: aws_sdk_lambda,
    logs: aws_sdk_cloudwatchlogs,
    rds: aws_sdk_rds,
    sns: aws_sdk_sns,
    sqs: aws_sdk_sqs,
    sts: aws_sdk_sts,
    tagging: aws_sdk_resourcegroupstagging,
}

impl Region {
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        self.clients.s3.get_or_init(|| {
            let config = aws_sdk_s3::config::Builder::from(&self.config)
                // Buckets as host names only resolve at AWS.
                .force_path_style(self.has_s3_endpoint())
                .retry_partition(self.retries.clone())
                .interceptor(self.wire());
            aws_sdk_s3::Client::from_conf(config.build())
        })
    }

    fn has_s3_endpoint(&self) -> bool {
        let ignored = std::env::var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .is_ok_and(|v| v.eq_ignore_ascii_case("true"));
        self.config.endpoint_url().is_some()
            || (!ignored && std::env::var_os("AWS_ENDPOINT_URL_S3").is_some())
    }

    /// The endpoint that stands for all services, where one was given.
    pub fn endpoint(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// The credentials in force; a role is assumed where that is due.
    ///
    /// # Errors
    /// Where there are none.
    pub async fn credentials(&self) -> Result<Credentials, CloudError> {
        let missing = |why: String| CloudError {
            operation: "credentials".to_owned(),
            code: super::error::NO_CREDENTIALS.to_owned(),
            message: why,
            maybe_done: false,
        };
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or_else(|| missing("no provider is configured".to_owned()))?;
        provider
            .provide_credentials()
            .await
            .map_err(|e| missing(e.to_string()))
    }

    fn wire(&self) -> SharedInterceptor {
        SharedInterceptor::new(Wire {
            meter: Arc::clone(&self.shared.meter),
            answered: Arc::clone(&self.answered),
            clock: Arc::clone(&self.shared.clock),
        })
    }

    pub async fn pace(&self, api: Api) {
        self.pace.wait(api).await;
    }

    /// A slot for a call about a single resource; `None` never happens, the semaphore stays open.
    pub async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.shared.slots.acquire().await.ok()
    }

    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &'static str {
        crate::model::partition(&self.name)
    }

    /// An ARN of this region and account.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let (partition, region, account) = (self.partition(), &self.name, &self.account);
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}
