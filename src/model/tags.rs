use std::collections::BTreeMap;
use std::fmt;

/// Tag keys and values; both are case-sensitive in nearly all of AWS.
pub type Tags = BTreeMap<String, String>;

/// A resource that bears this tag (any value: the reason) is taken out of every control.
pub const IGNORE_TAG: &str = "opsctl:ignore";

/// Why a resource is to be ignored, if it says so.
pub fn ignore_reason(tags: &Tags) -> Option<&str> {
    tags.get(IGNORE_TAG).map(String::as_str)
}

/// Another tool that a resource belongs to, read from the marks it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `CloudFormation`, `Terraform`, …
    pub tool: &'static str,
    /// The stack, or the tag that says so.
    pub detail: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.tool, self.detail)
    }
}

/// The tool that owns a resource.
///
/// CloudFormation sets `aws:cloudformation:stack-name` itself; Terraform, OpenTofu and Pulumi have
/// no mark of their own, but default tags such as `ManagedBy = terraform` are their convention.
pub fn owner_of(tags: &Tags) -> Option<Owner> {
    if let Some(stack) = tags.get("aws:cloudformation:stack-name") {
        return Some(Owner {
            tool: "CloudFormation",
            detail: format!("stack {stack}"),
        });
    }
    tags.iter().find_map(|(key, value)| {
        let folded: String = key
            .chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect();
        let says = value.to_lowercase();
        let tool = match folded.as_str() {
            "managedby" | "provisionedby" | "createdby" | "provisioner" | "iac" | "tool" => {
                match says.as_str() {
                    "terraform" | "terragrunt" => "Terraform",
                    "opentofu" | "tofu" => "OpenTofu",
                    "pulumi" => "Pulumi",
                    "cdk" | "aws-cdk" | "cloudformation" => "CloudFormation",
                    _ => return None,
                }
            }
            "terraform" | "terraformmanaged" | "managedbyterraform"
                if !matches!(says.as_str(), "false" | "no" | "0") =>
            {
                "Terraform"
            }
            "pulumiproject" | "pulumistack" => "Pulumi",
            _ => return None,
        };
        Some(Owner {
            tool,
            detail: format!("tag {key} = {value}"),
        })
    })
}

/// Why a tag would be refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    #[error("a tag key needs 1 to 128 characters, this has {0}")]
    KeyLength(usize),
    #[error("a tag value has at most 256 characters, this has {0}")]
    ValueLength(usize),
    #[error("`{0}` is reserved: keys beginning with `aws:` belong to AWS, `rds:` to RDS")]
    Reserved(String),
    #[error("`{0}` is not allowed in tags: letters, digits, spaces and _ . : / = + - @ are")]
    Character(char),
    #[error("begins or ends with a space, which several services refuse")]
    OuterSpace,
}

fn check_characters(text: &str) -> Result<(), TagError> {
    if text.trim() != text {
        return Err(TagError::OuterSpace);
    }
    match text
        .chars()
        .find(|c| !(c.is_alphanumeric() || *c == ' ' || "_.:/=+-@".contains(*c)))
    {
        Some(bad) => Err(TagError::Character(bad)),
        None => Ok(()),
    }
}

/// Checks a tag key as the strictest of the services that opsctl writes to would.
///
/// Source: "Tag Editor: Service quotas" (lengths, characters, `aws:`), RDS guide (`rds:`).
pub fn check_tag_key(key: &str) -> Result<(), TagError> {
    let length = key.chars().count();
    if !(1..=128).contains(&length) {
        return Err(TagError::KeyLength(length));
    }
    let lower = key.to_lowercase();
    if lower.starts_with("aws:") || lower.starts_with("rds:") {
        return Err(TagError::Reserved(key.to_owned()));
    }
    check_characters(key)
}

/// Checks a tag value; see [`check_tag_key`].
pub fn check_tag_value(value: &str) -> Result<(), TagError> {
    let length = value.chars().count();
    if length > 256 {
        return Err(TagError::ValueLength(length));
    }
    check_characters(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    }

    #[test]
    fn owners_are_read_from_their_marks() {
        let tool = |pairs: &[(&str, &str)]| owner_of(&tags(pairs)).map(|o| o.tool);
        assert_eq!(
            tool(&[("aws:cloudformation:stack-name", "web")]),
            Some("CloudFormation")
        );
        assert_eq!(tool(&[("managed-by", "Terraform")]), Some("Terraform"));
        assert_eq!(tool(&[("terraform", "true")]), Some("Terraform"));
        assert_eq!(tool(&[("terraform", "false")]), None);
        assert_eq!(tool(&[("ManagedBy", "ops team")]), None);
    }

    #[test]
    fn keys_and_values_are_checked_as_aws_would() {
        assert_eq!(check_tag_key("team"), Ok(()));
        assert_eq!(check_tag_key(""), Err(TagError::KeyLength(0)));
        assert_eq!(check_tag_key(&"é".repeat(128)), Ok(()));
        assert_eq!(
            check_tag_key(&"é".repeat(129)),
            Err(TagError::KeyLength(129))
        );
        assert!(matches!(check_tag_key("AWS:x"), Err(TagError::Reserved(_))));
        assert_eq!(check_tag_key("a\tb"), Err(TagError::Character('\t')));
        assert_eq!(check_tag_value("a;b"), Err(TagError::Character(';')));
        assert_eq!(check_tag_value(" a"), Err(TagError::OuterSpace));
        assert_eq!(check_tag_value(""), Ok(()));
    }
}
