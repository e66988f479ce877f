//! What `opsctl audit tags` reports.

use super::Entry;

pub(super) const FINDINGS: &[Entry] = &[
    Entry {
        id: "tags.alias",
        title: "Old spelling of a tag key",
        means: "The tag stands under an old or wrong-case key that the policy lists in tags.aliases, for example Env instead of environment.",
        matters: "To AWS the two are different tags: cost reports, backup selections and permissions that use the right key do not see the resource, or count it twice.",
        fix: "Run the apply command that the finding names: it sets the right key to the same value, verifies it, and removes the old one only then.",
    },
    Entry {
        id: "tags.alias-conflict",
        title: "Old spellings of a missing key disagree",
        means: "The right key is not there, and several old spellings of it have different values.",
        matters: "No value can be migrated, because opsctl cannot know which of them is right.",
        fix: "Set the right key to the right value; the next apply removes the spellings that agree with it, and reports the others.",
    },
    Entry {
        id: "tags.default-not-allowed",
        title: "The policy's own value is not allowed",
        means: "The tag is missing, and the value that an inference or a default gives is refused by tags.values or by AWS.",
        matters: "The tag is not filled anywhere where this value would be used.",
        fix: "Correct the default or the inference in the policy, or allow its value under tags.values.",
    },
    Entry {
        id: "tags.exemption-expired",
        title: "An exemption has ended",
        means: "The resource matches an exemption whose end date is past, so that it is checked again.",
        matters: "Exemptions end so that somebody looks at them again; this is that moment.",
        fix: "Remove the exemption from the policy, or renew it with a new end date and a reason.",
    },
    Entry {
        id: "tags.invalid-value",
        title: "Tag value not allowed",
        means: "A tag has a value that tags.values in the policy does not allow.",
        matters: "Spend and ownership fall into a group that nobody looks at, and whatever selects by the allowed values passes the resource by.",
        fix: "Correct the value on the resource, or allow it in the policy. opsctl never overwrites a value that somebody set.",
    },
    Entry {
        id: "tags.missing",
        title: "Required tag missing",
        means: "A tag that the policy asks for is not on the resource. Where the policy has a value for it (from an inference or a default), apply fills it in; where it has none, somebody has to say what the value is.",
        matters: "What a resource costs and who answers for it is told by its tags; backup selections and permissions may hang on them too. Untagged spend cannot be assigned to anybody later.",
        fix: "Run the apply command that the finding names, or set the tag on the resource. To have it filled next time, add the key to tags.defaults or tags.infer in the policy.",
    },
    Entry {
        id: "tags.no-room",
        title: "No room for the missing tags",
        means: "The resource has so many tags that those of the policy would pass the limit of 50.",
        matters: "The missing tags are not written, neither all nor some of them.",
        fix: "Remove tags from the resource that nobody needs.",
    },
    Entry {
        id: "tags.owned-elsewhere",
        title: "Tags of a resource that another tool owns",
        means: "CloudFormation, Terraform or the like owns the resource, its tags are not as the policy says, and the policy says to leave such resources alone.",
        matters: "If opsctl changed them, their owner would change them back, or report drift.",
        fix: "Set the tags where the resource is defined, or write owned_elsewhere = \"write\" in the policy.",
    },
    Entry {
        id: "tags.twin-conflict",
        title: "A key and its old spelling disagree",
        means: "The resource has both the right key and an old spelling of it, with different values.",
        matters: "Whoever reads one key gets another answer than whoever reads the other, and opsctl cannot know which is right.",
        fix: "Decide which value is right, put it under the right key, and remove the old spelling.",
    },
    Entry {
        id: "tags.wrong-case",
        title: "A key in another case that the policy does not list",
        means: "The resource has a key that differs from one of the policy only in upper and lower case, and that is not listed in tags.aliases.",
        matters: "To AWS they are two tags, so that reports by the right key miss what stands under the other.",
        fix: "Add the spelling to tags.aliases in the policy to have it migrated, or remove it by hand.",
    },
];
