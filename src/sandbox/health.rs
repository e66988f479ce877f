//! The doctor's questions to the embedded account.

use async_trait::async_trait;

use super::Sandbox;
use crate::cloud::health::{Caller, Case, Health, Ruling};
use crate::cloud::{Cloud, CloudError, Target};

#[async_trait]
impl Health for Sandbox {
    /// There is nobody to sign in as, and no clock but this machine's.
    async fn caller(&self, target: &Target, _: &str) -> Result<Caller, CloudError> {
        Ok(Caller {
            account: self.caller_account(target).await?,
            arn: None,
            credentials: None,
            clock_ahead_seconds: None,
        })
    }

    /// Everything is allowed but what the scenario denies.
    async fn simulate(
        &self,
        target: &Target,
        _: &Caller,
        cases: &[Case],
    ) -> Result<Vec<Ruling>, CloudError> {
        let world = self.world();
        let account = world.accounts.get(&target.environment);
        let denied = account.map_or(&[][..], |a| a.denied.as_slice());
        Ok(cases
            .iter()
            .flat_map(|case| {
                case.actions.iter().map(move |action| {
                    let behind = case.operations.get(action);
                    let refused = behind.into_iter().flatten().find(|o| denied.contains(o));
                    let ruling = match refused {
                        Some(operation) => Err(format!("the scenario denies {operation}")),
                        None => Ok(()),
                    };
                    (action.clone(), ruling)
                })
            })
            .collect())
    }
}
