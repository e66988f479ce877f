//! What people are shown of an object, derived from all that is compared.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Object;

/// Every field that differs, with its text before and after; `None`: not there.
///
/// Made from the serialised object, so that no field can be compared and not shown.
pub fn fields(
    before: Option<&Object>,
    after: Option<&Object>,
) -> Vec<(String, Option<String>, Option<String>)> {
    let flat = |object: Option<&Object>| {
        let mut out = BTreeMap::new();
        if let Some(object) = object {
            let mut value = serde_json::to_value(object).unwrap_or_default();
            if let Some(map) = value.as_object_mut() {
                for known in ["object", "name", "key", "region"] {
                    map.remove(known);
                }
            }
            flatten("", &value, &mut out);
        }
        out
    };
    let (before, after) = (flat(before), flat(after));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            (
                key.clone(),
                before.get(key).cloned(),
                after.get(key).cloned(),
            )
        })
        .collect()
}

fn flatten(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    let under = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&under(key), value, out);
            }
        }
        Value::Array(items) if items.iter().all(|i| !i.is_array()) && !items.is_empty() => {
            let scalars: Option<Vec<String>> = items.iter().map(scalar).collect();
            match scalars {
                Some(all) => {
                    out.insert(path.to_owned(), all.join(", "));
                }
                None => {
                    for (i, item) in items.iter().enumerate() {
                        let named = item.get("id").and_then(Value::as_str);
                        let key = named.map_or_else(|| i.to_string(), str::to_owned);
                        flatten(&under(&key), item, out);
                    }
                }
            }
        }
        Value::Array(_) => {}
        other => {
            if let Some(text) = scalar(other) {
                out.insert(path.to_owned(), text);
            }
        }
    }
}

/// The text of a value without parts; a subscriber (`{"email": …}`) is one too.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Object(map) if map.len() == 1 => {
            let (key, value) = map.iter().next()?;
            matches!(key.as_str(), "email" | "sns")
                .then(|| value.as_str().map(str::to_owned))
                .flatten()
        }
        _ => None,
    }
}
