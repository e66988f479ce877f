//! The change of something that opsctl owns as a whole: the same for every control that makes such.

use rust_decimal::Decimal;

use super::{Input, address, reference, tags as tag_control};
use crate::inventory::{Observed, Resource};
use crate::model::object::{MANAGED_TAG, Object, ObjectKind, fields};
use crate::model::{Control, Risk, Tags};
use crate::plan::{ActionKind, Change, FieldChange, Operation, Reason};

/// What a control decides about one object; all else of the change follows from it.
pub(crate) struct ObjectChange<'a> {
    pub control: Control,
    pub before: Option<Object>,
    pub after: Option<Object>,
    pub reason: Reason,
    /// The line that asks for one field, where it is another than `reason`.
    pub of_field: &'a dyn Fn(&str) -> Option<Reason>,
    pub risk: Risk,
    /// USD a month.
    pub delta: Decimal,
    pub basis: Option<String>,
    /// What [`MANAGED_TAG`] says on what is ours; apply compares it right before the write.
    pub managed: &'a str,
}

/// What happens to an object that turns from one state into the other.
pub(crate) fn action(before: &Option<Object>, after: &Option<Object>) -> ActionKind {
    match (before, after) {
        (None, _) => ActionKind::Create,
        (_, None) => ActionKind::Delete,
        _ => ActionKind::Update,
    }
}

/// The tags of something new: who made it, and what the tag policy has a value for.
fn made_with(input: &Input, resource: &Resource, managed: &str) -> Tags {
    let managed = (MANAGED_TAG.to_owned(), managed.to_owned());
    let mut resource = resource.clone();
    resource.tags = Observed::Known(Tags::from([managed.clone()]));
    let mut tags = tag_control::initial(input, &resource);
    tags.extend([managed]);
    tags
}

impl ObjectChange<'_> {
    pub fn on(self, input: &Input, resource: &Resource) -> Change {
        let object = self.after.as_ref().or(self.before.as_ref());
        let tags = match (&self.before, object.map(Object::kind)) {
            // It is a key, not a thing that could bear tags.
            (_, Some(ObjectKind::CostAllocationTag)) => Tags::new(),
            (None, _) => made_with(input, resource, self.managed),
            (Some(_), _) => Tags::from([(MANAGED_TAG.to_owned(), self.managed.to_owned())]),
        };
        let json = |o: &Option<Object>| serde_json::to_value(o).unwrap_or_default();
        let shown = fields(self.before.as_ref(), self.after.as_ref());
        let fields = shown.into_iter().map(|(field, before, after)| FieldChange {
            reason: (self.of_field)(&field).unwrap_or_else(|| self.reason.clone()),
            field,
            before,
            after,
        });
        Change {
            address: address(input, resource, self.control.as_str()),
            control: self.control,
            action: action(&self.before, &self.after),
            resource: reference(resource),
            before: json(&self.before),
            after: json(&self.after),
            fields: fields.collect(),
            reason: self.reason.clone(),
            risk: self.risk,
            monthly_cost_delta_usd: Some(format!("{:.2}", self.delta)),
            cost_basis: self.basis,
            operation: Operation::Object {
                before: self.before.map(Box::new),
                after: self.after.map(Box::new),
                tags,
            },
        }
    }
}
