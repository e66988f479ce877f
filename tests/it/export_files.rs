//! Exports as AWS writes them, from any lines.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::Date;
use opsctl::model::Tags;
use rust_decimal::Decimal;

/// A line that can be kept.
#[derive(Debug, Clone)]
pub struct Owned {
    pub day: Date,
    pub account: String,
    pub service: String,
    pub region: String,
    pub usage_type: String,
    pub record_type: String,
    pub tags: Tags,
    pub resource: String,
    pub amount: Decimal,
    pub currency: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Focus,
    Cur2,
}

pub const FORMS: [Form; 2] = [Form::Focus, Form::Cur2];

/// The columns in an order of their own, with some that nobody asked for.
fn header(form: Form) -> [&'static str; 13] {
    match form {
        Form::Focus => [
            "AvailabilityZone",
            "BilledCost",
            "BillingCurrency",
            "BillingPeriodStart",
            "ChargeCategory",
            "ChargePeriodStart",
            "RegionId",
            "ResourceId",
            "ServiceName",
            "SubAccountId",
            "Tags",
            "x_UsageType",
            "x_Discounts",
        ],
        Form::Cur2 => [
            "bill_invoice_id",
            "line_item_unblended_cost",
            "line_item_currency_code",
            "bill_billing_period_start_date",
            "line_item_line_item_type",
            "line_item_usage_start_date",
            "product_region_code",
            "line_item_resource_id",
            "line_item_product_code",
            "line_item_usage_account_id",
            "resource_tags",
            "line_item_usage_type",
            "product",
        ],
    }
}

/// The tags with the keys that the form gives them.
pub fn tags(form: Form, line: &Owned) -> Tags {
    line.tags
        .iter()
        .map(|(key, value)| match form {
            Form::Focus => (key.clone(), value.clone()),
            Form::Cur2 => (format!("user_{}", key.replace('-', "_")), value.clone()),
        })
        .collect()
}

fn kind(form: Form, line: &Owned) -> &str {
    match (form, line.record_type.as_str()) {
        (Form::Focus, "Fee") => "Purchase",
        (_, other) => other,
    }
}

fn fields(form: Form, line: &Owned) -> [String; 13] {
    let first = line.day.first_of_month();
    let time = |day: Date| match form {
        Form::Focus => format!("{day}T00:00:00Z"),
        Form::Cur2 => format!("{day} 00:00:00.000"),
    };
    let tags = serde_json::to_string(&tags(form, line)).unwrap();
    let product = match form {
        Form::Focus => "{}".to_owned(),
        Form::Cur2 => serde_json::json!({"product_name": line.service}).to_string(),
    };
    let service = match form {
        Form::Focus => line.service.clone(),
        Form::Cur2 => "AmazonCode".to_owned(),
    };
    [
        String::new(),
        line.amount.to_string(),
        line.currency.clone(),
        time(first),
        kind(form, line).to_owned(),
        time(line.day),
        line.region.clone(),
        line.resource.clone(),
        service,
        line.account.clone(),
        tags,
        line.usage_type.clone(),
        product,
    ]
}

pub fn csv(form: Form, lines: &[Owned]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header(form)).unwrap();
    for line in lines {
        writer.write_record(fields(form, line)).unwrap();
    }
    writer.into_inner().unwrap()
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes a file and the folders that it is in.
pub fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[cfg(feature = "parquet")]
pub mod columns {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use rust_decimal::prelude::ToPrimitive;

    use super::*;

    /// How amounts are written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Amounts {
        Double,
        /// With ten digits after the point.
        Decimal,
    }

    fn schema(form: Form, amounts: Amounts) -> String {
        let names = header(form);
        let mut out = "message export {\n".to_owned();
        for (at, name) in names.iter().enumerate() {
            out += &match (at, form) {
                (1, _) if amounts == Amounts::Double => format!("OPTIONAL DOUBLE {name};\n"),
                (1, _) => format!("REQUIRED INT64 {name} (DECIMAL(18,10));\n"),
                (3 | 5, Form::Focus) => {
                    format!("OPTIONAL INT64 {name} (TIMESTAMP(MILLIS,true));\n")
                }
                (3 | 5, Form::Cur2) => format!("OPTIONAL INT64 {name} (TIMESTAMP(MICROS,true));\n"),
                (10, _) => format!(
                    "OPTIONAL group {name} (MAP) {{ REPEATED group key_value {{ REQUIRED BINARY key (STRING); OPTIONAL BINARY value (STRING); }} }}\n"
                ),
                (12, Form::Cur2) => format!(
                    "OPTIONAL group {name} (MAP) {{ REPEATED group key_value {{ REQUIRED BINARY key (STRING); OPTIONAL BINARY value (STRING); }} }}\n"
                ),
                _ => format!("OPTIONAL BINARY {name} (STRING);\n"),
            };
        }
        out + "}"
    }

    /// Levels and texts of a column of maps: its keys, or its values.
    fn entries(maps: &[Tags], keys: bool) -> (Vec<i16>, Vec<i16>, Vec<ByteArray>) {
        let (mut defined, mut repeated, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for map in maps {
            if map.is_empty() {
                defined.push(0);
                repeated.push(0);
            }
            for (at, (key, value)) in map.iter().enumerate() {
                defined.push(if keys { 2 } else { 3 });
                repeated.push(i16::from(at > 0));
                texts.push(ByteArray::from(if keys { key } else { value }.as_str()));
            }
        }
        (defined, repeated, texts)
    }

    pub fn parquet(
        form: Form,
        lines: &[Owned],
        compression: Compression,
        amounts: Amounts,
        group: usize,
    ) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(&schema(form, amounts)).unwrap());
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .build();
        let mut bytes = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
        for part in lines.chunks(group) {
            let all: Vec<[String; 13]> = part.iter().map(|line| fields(form, line)).collect();
            let epoch = Date::constant(1970, 1, 1);
            let ticks = |day: Date| {
                let days = i64::from(day.since(epoch).unwrap().get_days());
                let per_second = if form == Form::Focus {
                    1_000
                } else {
                    1_000_000
                };
                days * 86_400 * per_second
            };
            let maps: Vec<Tags> = part.iter().map(|line| tags(form, line)).collect();
            let products: Vec<Tags> = part
                .iter()
                .map(|line| [("product_name".to_owned(), line.service.clone())].into())
                .collect();
            // The leaves in their order: maps are two.
            let mut leaves: Vec<(usize, bool)> = Vec::new();
            for at in 0..13 {
                let map = at == 10 || (at == 12 && form == Form::Cur2);
                leaves.push((at, true));
                if map {
                    leaves.push((at, false));
                }
            }
            let mut rows = writer.next_row_group().unwrap();
            for (at, keys) in leaves {
                let mut column = rows.next_column().unwrap().unwrap();
                let there = vec![1i16; part.len()];
                match at {
                    1 if amounts == Amounts::Double => {
                        let values: Vec<f64> =
                            part.iter().map(|l| l.amount.to_f64().unwrap()).collect();
                        column
                            .typed::<DoubleType>()
                            .write_batch(&values, Some(&there), None)
                            .unwrap();
                    }
                    1 => {
                        let scale = Decimal::from(10_000_000_000i64);
                        let values: Vec<i64> = part
                            .iter()
                            .map(|l| (l.amount * scale).to_i64().unwrap())
                            .collect();
                        column
                            .typed::<Int64Type>()
                            .write_batch(&values, None, None)
                            .unwrap();
                    }
                    3 | 5 => {
                        let values: Vec<i64> = part
                            .iter()
                            .map(|l| {
                                ticks(if at == 3 {
                                    l.day.first_of_month()
                                } else {
                                    l.day
                                })
                            })
                            .collect();
                        column
                            .typed::<Int64Type>()
                            .write_batch(&values, Some(&there), None)
                            .unwrap();
                    }
                    10 | 12 if at == 10 || form == Form::Cur2 => {
                        let maps = if at == 10 { &maps } else { &products };
                        let (defined, repeated, texts) = entries(maps, keys);
                        column
                            .typed::<ByteArrayType>()
                            .write_batch(&texts, Some(&defined), Some(&repeated))
                            .unwrap();
                    }
                    _ => {
                        // Empty texts are written as nulls.
                        let defined: Vec<i16> =
                            all.iter().map(|f| i16::from(!f[at].is_empty())).collect();
                        let values: Vec<ByteArray> = all
                            .iter()
                            .filter(|f| !f[at].is_empty())
                            .map(|f| ByteArray::from(f[at].as_str()))
                            .collect();
                        column
                            .typed::<ByteArrayType>()
                            .write_batch(&values, Some(&defined), None)
                            .unwrap();
                    }
                }
                column.close().unwrap();
            }
            rows.close().unwrap();
        }
        writer.close().unwrap();
        bytes
    }
}
