//! AWS behind the [`Cloud`] door: the only code that names an `aws_*` crate.
//!
//! [`observe`] reads a whole environment at once, [`join`] puts listings and tags together, and
//! [`write`] changes tags; every service has a file of its own.

mod alarms;
mod attributes;
mod backup;
mod backups;
mod clock;
mod cloudwatch;
mod copies;
mod costexplorer;
mod databases;
mod dynamodb;
mod elasticache;
mod error;
mod explorer;
mod gaps;
mod health;
mod http;
mod join;
mod lambda;
mod lifecycle;
mod lifecycle_xml;
mod listing;
mod lock;
mod logs;
mod metrics;
mod money;
mod objects;
mod observe;
mod own;
mod pace;
pub mod post;
mod rds;
mod s3;
mod session;
mod sns;
mod sqs;
mod storage;
mod store;
mod tables;
mod tagging;
#[cfg(test)]
mod tests;
mod wire;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::cloud::{
    AlarmEvent, Call, Cloud, CloudError, LifecycleReading, LockError, LockPlace, Meter,
    MetricPoint, ObjectReading, Series, SeriesQuery, SettingsReading, Target, TimeSpan, Want,
};
use crate::cost::question::{Answered, Question};
use crate::inventory::{EnvironmentInventory, Observed};
use crate::model::Tags;
use crate::model::object::{MetricId, ObjectKey};

use error::Named;
use session::{Session, Shared};
use write::Change;

/// How to reach AWS.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For all services, instead of AWS's own endpoints.
    pub endpoint_url: Option<String>,
    /// Most calls about single resources in flight at once.
    pub concurrency: usize,
    /// For one operation with all its retries.
    pub timeout: Duration,
    /// Used instead of every target's own profile.
    pub profile_override: Option<String>,
}

/// The accounts of all environments.
#[derive(Debug)]
pub struct AwsCloud {
    shared: Arc<Shared>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

impl AwsCloud {
    /// Makes no request and reads no file; both happen with the first call to an environment.
    pub fn new(settings: Settings) -> Self {
        AwsCloud {
            shared: Arc::new(Shared::new(settings)),
            sessions: Mutex::default(),
        }
    }

    fn session(&self, target: &Target) -> Arc<Session> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Session::new(target.clone(), Arc::clone(&self.shared)));
        let session = sessions
            .entry(target.environment.clone())
            .or_insert_with(fresh);
        if session.target != *target {
            *session = fresh();
        }
        Arc::clone(session)
    }
}

/// Says where it happened, and what to do without credentials.
fn located(error: CloudError, session: &Session, region: &str) -> CloudError {
    let message = if error.code == error::NO_CREDENTIALS {
        let tried = session.credentials_tried();
        format!("no usable AWS credentials from {tried}: {}", error.message)
    } else if let ("connection" | "timeout", Some(url)) =
        (error.code.as_str(), &session.shared.endpoint_url)
    {
        format!("{} ({region}, {url})", error.message)
    } else {
        format!("{} ({region})", error.message)
    };
    CloudError { message, ..error }
}

#[async_trait]
impl Cloud for AwsCloud {
    async fn caller_account(&self, target: &Target) -> Result<String, CloudError> {
        let operation = "sts:GetCallerIdentity";
        let session = self.session(target);
        let name = target.regions.first().map_or("us-east-1", String::as_str);
        let region = session.region(name).await;
        let answer = region.sts().get_caller_identity().send().await;
        let missing = || error::own(operation, "NoAccount", "the answer names no account");
        answer
            .named(operation)
            .and_then(|answer| answer.account.ok_or_else(missing))
            .map_err(|error| located(error, &session, name))
    }

    async fn observe(&self, target: &Target, want: &Want) -> EnvironmentInventory {
        observe::observe(&self.session(target), want).await
    }

    async fn read_tags(&self, target: &Target, subject: &crate::cloud::Subject) -> Observed<Tags> {
        let session = self.session(target);
        let region = session.region(&subject.region).await;
        match own::read_tags(&region, subject).await {
            Ok(tags) => Observed::Known(tags),
            Err(error) if error::is_not_found(&error) => Observed::Absent,
            Err(error) => Observed::Unknown(located(error, &session, &subject.region).to_string()),
        }
    }

    async fn read_lifecycle(
        &self,
        target: &Target,
        region: &str,
        bucket: &str,
    ) -> LifecycleReading {
        let session = self.session(target);
        let clients = session.region(region).await;
        s3::read_lifecycle(&clients, bucket)
            .await
            .unwrap_or_else(|error| LifecycleReading {
                configuration: Observed::Unknown(located(error, &session, region).to_string()),
                unknown_element: None,
            })
    }

    async fn execute(&self, target: &Target, call: &Call) -> Vec<Result<(), CloudError>> {
        let session = self.session(target);
        let region = call.region();
        let clients = session.region(region).await;
        let results = match call {
            Call::TagResources { resources, set, .. } => {
                write::apply(&clients, resources, Change::Set(set)).await
            }
            Call::UntagResources {
                resources, keys, ..
            } => write::apply(&clients, resources, Change::Remove(keys)).await,
            Call::PutLifecycle {
                bucket,
                configuration,
                ..
            } => {
                vec![s3::put_lifecycle(&clients, bucket, configuration).await]
            }
            Call::DeleteLifecycle { bucket, .. } => {
                vec![s3::delete_lifecycle(&clients, bucket).await]
            }
            Call::ProtectDatabase { .. }
            | Call::CopyBackups { .. }
            | Call::RecoverPointInTime { .. }
            | Call::EnableVersioning { .. } => vec![backups::execute(&clients, call).await],
            other => vec![objects::execute(&session, &clients, other).await],
        };
        let locate = |result: Result<(), _>| result.map_err(|e| located(e, &session, region));
        results.into_iter().map(locate).collect()
    }

    async fn read_object(&self, target: &Target, key: &ObjectKey) -> Observed<ObjectReading> {
        objects::read(&self.session(target), key).await
    }

    async fn read_settings(
        &self,
        target: &Target,
        subject: &crate::cloud::Subject,
        copies: &std::collections::BTreeSet<String>,
    ) -> Observed<SettingsReading> {
        let session = self.session(target);
        let region = session.region(&subject.region).await;
        match backups::read(&session, &region, subject, copies).await {
            Ok(reading) => Observed::Known(reading),
            Err(error) if error::is_not_found(&error) || error.code == "TableNotFoundException" => {
                Observed::Absent
            }
            Err(error) => Observed::Unknown(located(error, &session, &subject.region).to_string()),
        }
    }

    async fn put_metrics(
        &self,
        target: &Target,
        region: &str,
        points: &[MetricPoint],
    ) -> Result<(), CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        metrics::put(&clients, points)
            .await
            .map_err(|error| located(error, &session, region))
    }

    async fn ask_cost(&self, payer: &Target, question: &Question) -> Result<Answered, CloudError> {
        let session = self.session(payer);
        costexplorer::ask(&session, question)
            .await
            .map_err(|error| located(error, &session, "us-east-1"))
    }

    async fn metric_data(
        &self,
        target: &Target,
        region: &str,
        queries: &[SeriesQuery],
        span: &TimeSpan,
    ) -> Vec<Result<Series, CloudError>> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let answers = metrics::data(&clients, queries, span).await;
        let locate = |result: Result<Series, _>| result.map_err(|e| located(e, &session, region));
        answers.into_iter().map(locate).collect()
    }

    async fn list_metrics(
        &self,
        target: &Target,
        region: &str,
        namespace: &str,
        metric: Option<&str>,
    ) -> Result<Vec<MetricId>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        metrics::list(&clients, namespace, metric)
            .await
            .map_err(|error| located(error, &session, region))
    }

    async fn alarm_history(
        &self,
        target: &Target,
        region: &str,
        name: &str,
        since: jiff::Timestamp,
    ) -> Result<Vec<AlarmEvent>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        alarms::history(&clients, name, since)
            .await
            .map_err(|error| located(error, &session, region))
    }

    async fn lock(&self, place: &LockPlace, body: &str) -> Result<String, LockError> {
        let session = self.session(&place.target);
        let clients = session.region(&place.region).await;
        let taken = lock::acquire(&clients, &place.bucket, &place.key, body).await;
        taken.map_err(|error| match error {
            LockError::Failed(e) => LockError::Failed(located(e, &session, &place.region)),
            held => held,
        })
    }

    async fn unlock(&self, place: &LockPlace, body: &str, token: &str) -> Result<(), CloudError> {
        let session = self.session(&place.target);
        let clients = session.region(&place.region).await;
        lock::release(&clients, &place.bucket, &place.key, body, token)
            .await
            .map_err(|error| located(error, &session, &place.region))
    }

    fn objects(&self) -> &dyn crate::cloud::store::ObjectStore {
        self
    }

    fn restore_tests(&self) -> Option<&dyn crate::cloud::restore_tests::RestoreTests> {
        Some(self)
    }

    fn copies(&self) -> Option<&dyn crate::cloud::copies::Copies> {
        Some(self)
    }

    fn databases(&self) -> Option<&dyn crate::cloud::databases::Databases> {
        Some(self)
    }

    fn health(&self) -> &dyn crate::cloud::health::Health {
        self
    }

    fn tables(&self) -> Option<&dyn crate::cloud::tables::Tables> {
        Some(self)
    }

    fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    fn answered(&self, target: &Target) -> std::collections::BTreeMap<String, u64> {
        self.session(target).answered.snapshot().by_operation
    }
}
