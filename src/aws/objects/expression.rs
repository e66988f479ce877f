//! Filter expressions of Budgets and Cost Explorer as JSON, with the element names of the API.

use serde_json::{Map, Value, json};

fn leaf(key: Option<&str>, values: &[String], options: Vec<&str>) -> Value {
    let mut map = Map::new();
    map.extend(key.map(|k| ("Key".to_owned(), json!(k))));
    if !values.is_empty() {
        map.insert("Values".to_owned(), json!(values));
    }
    if !options.is_empty() {
        map.insert("MatchOptions".to_owned(), json!(options));
    }
    Value::Object(map)
}

/// Both services have an expression of their own, of the same form.
macro_rules! to_json {
    ($name:ident, $types:path, |$dimension:ident| $dimension_key:expr) => {
        pub fn $name(expression: &$types) -> Value {
            let mut map = Map::new();
            let mut put = |key: &str, value| map.insert(key.to_owned(), value);
            if let Some(all) = &expression.or {
                put("Or", all.iter().map($name).collect());
            }
            if let Some(all) = &expression.and {
                put("And", all.iter().map($name).collect());
            }
            if let Some(one) = &expression.not {
                put("Not", $name(one));
            }
            if let Some($dimension) = &expression.dimensions {
                let options = $dimension.match_options().iter().map(|o| o.as_str());
                let options = options.collect();
                put(
                    "Dimensions",
                    leaf($dimension_key, $dimension.values(), options),
                );
            }
            if let Some(tags) = &expression.tags {
                let options = tags.match_options().iter().map(|o| o.as_str()).collect();
                put("Tags", leaf(tags.key(), tags.values(), options));
            }
            if let Some(found) = &expression.cost_categories {
                let options = found.match_options().iter().map(|o| o.as_str()).collect();
                put("CostCategories", leaf(found.key(), found.values(), options));
            }
            if let Some(found) = &expression.product_attributes {
                let options = found.match_options().iter().map(|o| o.as_str()).collect();
                let json = leaf(Some(found.key()), found.values(), options);
                put("ProductAttributes", json);
            }
            Value::Object(map)
        }
    };
}

to_json!(budgets_json, aws_sdk_budgets::types::Expression, |d| Some(
    d.key().as_str()
));
to_json!(
    costexplorer_json,
    aws_sdk_costexplorer::types::Expression,
    |d| d.key().map(|k| k.as_str())
);

/// Key and values of everything that an expression looks at.
pub fn leaves(expression: &Value) -> Vec<(String, Vec<String>)> {
    match expression {
        Value::Array(all) => all.iter().flat_map(leaves).collect(),
        Value::Object(map) => match (map.get("Key"), map.get("Values")) {
            (None, None) => map.values().flat_map(leaves).collect(),
            (key, values) => {
                let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                let values = values.and_then(Value::as_array);
                vec![(
                    key.map(text).unwrap_or_default(),
                    values.into_iter().flatten().map(text).collect(),
                )]
            }
        },
        _ => Vec::new(),
    }
}
