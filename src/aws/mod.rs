use crate::cloud::*;
use crate::inventory::*;
use crate::model::Tags;
pub struct Settings {
    pub endpoint_url: Option<String>,
    pub concurrency: usize,
    pub timeout: std::time::Duration,
    pub profile_override: Option<String>,
}
pub struct AwsCloud(Meter);
impl AwsCloud {
    pub fn new(_: Settings) -> Self {
        AwsCloud(Meter::default())
    }
}
#[async_trait::async_trait]
impl Cloud for AwsCloud {
    async fn caller_account(&self, _: &Target) -> Result<String, CloudError> {
        Ok(String::new())
    }
    async fn observe(&self, _: &Target, _: Want) -> EnvironmentInventory {
        Default::default()
    }
    async fn read_tags(&self, _: &Target, _: &Subject) -> Observed<Tags> {
        Observed::Absent
    }
    async fn read_lifecycle(&self, _: &Target, _: &str, _: &str) -> LifecycleReading {
        LifecycleReading {
            configuration: Observed::Absent,
            unknown_element: None,
        }
    }
    async fn execute(&self, _: &Target, _: &Call) -> Vec<Result<(), CloudError>> {
        vec![]
    }
    fn meter(&self) -> &Meter {
        &self.0
    }
}
