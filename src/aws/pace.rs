//! Request rates that AWS allows, per account and region.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// An API with a rate limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    GetResources,
    WriteTags,
    DescribeAlarms,
    PutMetricAlarm,
    PutCompositeAlarm,
    /// And its relatives: SetAlarmState, DescribeAlarmHistory.
    DeleteAlarms,
    ListMetrics,
    GetMetricData,
    Search,
    ReadBudgets,
    WriteBudgets,
    Subscribe,
    /// Per payer, with anomaly detection and cost allocation tags; see `costexplorer`.
    CostExplorer,
    // Tag reads and writes of single resources.
    RdsTags,
    LambdaTags,
    DynamoDbTags,
    SnsTags,
    AlarmTags,
    LogGroupTags,
    CacheTags,
}

impl Api {
    const ALL: [Api; 20] = [
        Api::GetResources,
        Api::WriteTags,
        Api::DescribeAlarms,
        Api::PutMetricAlarm,
        Api::PutCompositeAlarm,
        Api::DeleteAlarms,
        Api::ListMetrics,
        Api::GetMetricData,
        Api::Search,
        Api::ReadBudgets,
        Api::WriteBudgets,
        Api::Subscribe,
        Api::CostExplorer,
        Api::RdsTags,
        Api::LambdaTags,
        Api::DynamoDbTags,
        Api::SnsTags,
        Api::AlarmTags,
        Api::LogGroupTags,
        Api::CacheTags,
    ];

    /// Calls per second.
    ///
    /// Source: "Tag Editor: Service quotas", "CloudWatch service quotas", "Quotas for Resource
    /// Explorer", Lambda quotas (control plane requests), DynamoDB API reference
    /// (`ListTagsOfResource`), SNS quotas; the other tag rates, those of budgets and of Cost Explorer
    /// are not published: cautious guesses.
    const fn rate(self) -> NonZeroU32 {
        let rate = match self {
            Api::GetResources => 15,
            Api::WriteTags => 5,
            Api::DescribeAlarms => 9,
            Api::PutMetricAlarm | Api::PutCompositeAlarm | Api::DeleteAlarms => 3,
            Api::ListMetrics => 25,
            Api::GetMetricData => 50,
            Api::Search => 5,
            Api::ReadBudgets => 10,
            Api::WriteBudgets => 5,
            Api::Subscribe => 50,
            Api::CostExplorer => 1,
            Api::LambdaTags => 15,
            Api::RdsTags
            | Api::DynamoDbTags
            | Api::SnsTags
            | Api::AlarmTags
            | Api::LogGroupTags
            | Api::CacheTags => 10,
        };
        match NonZeroU32::new(rate) {
            Some(rate) => rate,
            None => NonZeroU32::MIN,
        }
    }
}

/// The limiters of one account in one region.
#[derive(Debug)]
pub struct Pace(Vec<DefaultDirectRateLimiter>);

impl Pace {
    pub fn new() -> Self {
        Pace(
            Api::ALL
                .iter()
                .map(|api| {
                    // AWS's buckets are not documented: a burst of a whole second on top of the
                    // rate would be twice the rate in the first second.
                    let burst = NonZeroU32::new(api.rate().get() / 4).unwrap_or(NonZeroU32::MIN);
                    RateLimiter::direct(Quota::per_second(api.rate()).allow_burst(burst))
                })
                .collect(),
        )
    }

    /// Returns when the next call may leave.
    pub async fn wait(&self, api: Api) {
        if let Some(limiter) = self.0.get(api as usize) {
            limiter.until_ready().await;
        }
    }
}
