//! A full listing of one type in one region, whatever the service.

use std::ops::ControlFlow;

use crate::cloud::CloudError;
use crate::inventory::{Attributes, DatabaseFact, SnapshotFact};
use crate::model::{ResourceType, Tags};

use super::error;

/// One resource of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub arn: String,
    pub name: String,
    /// `None` where the listing does not tell tags.
    pub tags: Option<Tags>,
    /// What the service's own calls name it by, where that is neither ARN nor name.
    pub locator: Option<String>,
    /// What the listing tells that alarm thresholds are derived from.
    pub attributes: Option<Box<Attributes>>,
    /// How a database is backed up.
    pub backup: Option<Box<DatabaseFact>>,
}

impl Listed {
    pub fn new(arn: impl Into<String>, name: impl Into<String>) -> Self {
        Listed {
            arn: arn.into(),
            name: name.into(),
            tags: None,
            locator: None,
            attributes: None,
            backup: None,
        }
    }

    pub fn with(mut self, attributes: Attributes) -> Self {
        self.attributes = Some(Box::new(attributes));
        self
    }
}

/// What a listing brought, as far as it came.
#[derive(Debug)]
pub struct Listing {
    pub kind: ResourceType,
    pub operation: &'static str,
    pub region: String,
    pub items: Vec<Listed>,
    /// Snapshots of all types that were asked for, and whether their tags came with them.
    pub snapshots: Vec<(SnapshotFact, bool)>,
    pub error: Option<CloudError>,
}

impl Listing {
    pub fn new(kind: ResourceType, operation: &'static str, region: &str) -> Self {
        Listing {
            kind,
            operation,
            region: region.to_owned(),
            items: Vec::new(),
            snapshots: Vec::new(),
            error: None,
        }
    }

    pub fn ended(mut self, outcome: Result<(), CloudError>) -> Self {
        self.error = outcome.err();
        self
    }
}

/// Follows the pages of one listing.
///
/// The end is an absent or an empty token, depending on the service. A token that comes back
/// unchanged would loop for ever.
#[derive(Debug)]
pub struct Pager<'a> {
    operation: &'a str,
    token: Option<String>,
}

impl<'a> Pager<'a> {
    pub fn new(operation: &'a str) -> Self {
        Pager {
            operation,
            token: None,
        }
    }

    /// The token to send; none with the first page.
    pub fn token(&self) -> Option<String> {
        self.token.clone()
    }

    /// Takes the token that came back, or the error; breaks at the end.
    pub fn turn(
        &mut self,
        answer: Result<Option<String>, CloudError>,
    ) -> ControlFlow<Result<(), CloudError>> {
        match answer.map(|token| token.filter(|t| !t.is_empty())) {
            Err(error) => ControlFlow::Break(Err(error)),
            Ok(None) => ControlFlow::Break(Ok(())),
            Ok(next) if next == self.token => {
                let message = "the service returned the same page token twice";
                ControlFlow::Break(Err(error::own(self.operation, "Pagination", message)))
            }
            Ok(next) => {
                self.token = next;
                ControlFlow::Continue(())
            }
        }
    }
}

/// Runs the block for each page; it gets a token and returns the next one. `Result<(), CloudError>`.
///
/// A macro, as the future of a generic function over async closures cannot be shown to be `Send`.
macro_rules! pages {
    ($operation:expr, |$token:ident| $page:block) => {{
        let mut pager = $crate::aws::listing::Pager::new($operation);
        loop {
            let $token = pager.token();
            let answer: Result<Option<String>, CloudError> = async $page.await;
            if let std::ops::ControlFlow::Break(outcome) = pager.turn(answer) {
                break outcome;
            }
        }
    }};
}
pub(super) use pages;

/// Tags from any of the SDK's pairs; a tag without a key does not exist.
pub fn tags<'a>(pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Tags {
    pairs
        .filter_map(|(key, value)| Some((key?.to_owned(), value.unwrap_or_default().to_owned())))
        .collect()
}
