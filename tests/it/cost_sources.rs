//! The sources of costs: the sandbox's ledger and exports give the same answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use opsctl::cloud::{Cloud, Target};
use opsctl::cost::export::{self, Export, Format};
use opsctl::cost::question::{Answer, Filter, Granularity, Group, Question, Row};
use opsctl::cost::tally::{Extent, Line, OTHER, Tally};
use opsctl::model::Tags;
use opsctl::sandbox::{Sandbox, ledger, scenario};
use rust_decimal::Decimal;
use tempfile::TempDir;

use crate::export_files::{FORMS, Form, Owned, csv, gz, put};
use crate::support;

const TODAY: Date = date(2026, 11, 22);

/// Days on which arithmetic with days goes wrong.
const DAYS: [&str; 7] = [
    "2026-11-01",
    "2026-11-02",
    "2026-11-22",
    "2026-12-31",
    "2028-02-29",
    "2027-03-01",
    "2026-11-30",
];

fn noon(day: &str) -> Timestamp {
    format!("{day}T12:00:00Z").parse().unwrap()
}

fn opened(name: &str) -> scenario::Opened {
    let Ok(opened) = scenario::open(name, None) else {
        panic!("{name} cannot be opened");
    };
    opened
}

fn usage(start: Date, end: Date, group_by: &[Group]) -> Question {
    Question::Usage {
        start,
        end,
        granularity: Granularity::Monthly,
        group_by: group_by.to_vec(),
        filter: Filter::default(),
    }
}

fn forecast(today: Date) -> Question {
    Question::Forecast {
        start: today,
        end: today.last_of_month().tomorrow().unwrap(),
        interval: 80,
        filter: Filter::default(),
    }
}

/// What every environment answers.
fn ask_all(name: &str, day: &str, question: &Question) -> BTreeMap<String, Answer> {
    let opened = opened(name);
    let cloud = Sandbox::in_memory(opened.world).at(noon(day));
    support::block_on(async {
        let mut found = BTreeMap::new();
        for (target, _) in support::targets(&opened.loaded) {
            let answered = cloud.ask_cost(&target, question).await.expect("an answer");
            found.insert(target.environment, answered.answer);
        }
        found
    })
}

fn rows(answer: &Answer) -> &[Row] {
    match answer {
        Answer::Usage { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

fn total(answer: &Answer) -> Decimal {
    rows(answer).iter().map(|r| r.amount).sum()
}

fn mean(answer: &Answer) -> Decimal {
    match answer {
        Answer::Forecast {
            mean, low, high, ..
        } => {
            assert!(low <= mean && mean <= high, "{answer:?}");
            *mean
        }
        other => panic!("{other:?}"),
    }
}

fn budget(name: &str, environment: &str) -> Decimal {
    let workspace = opened(name).loaded.workspace.unwrap();
    let budget = &workspace.environments[environment].monthly_budget_usd;
    budget.as_ref().unwrap().value.0
}

// ------------------------------------------------------------------ the ledger

#[test]
fn every_scenario_has_costs_on_every_day_of_the_year_and_tells_its_story() {
    for day in DAYS {
        let today: Date = day.parse().unwrap();
        let first = today.first_of_month();
        for (name, _) in scenario::SCENARIOS {
            let month = usage(first, today.tomorrow().unwrap(), &[]);
            let spent = ask_all(name, day, &month);
            let ahead = ask_all(name, day, &forecast(today));
            let whole = usage(ledger::first_day(today), first, &[]);
            let before = ask_all(name, day, &whole);
            for (environment, answer) in &spent {
                assert!(total(answer) > Decimal::ZERO, "{day} {name} {environment}");
                assert!(rows(answer).iter().all(|r| r.estimated));
                assert_eq!(rows(&before[environment]).len(), 13, "{name} {environment}");
                for row in rows(&before[environment]) {
                    assert!(row.amount > Decimal::ZERO, "{name} {environment} {row:?}");
                    assert!(!row.estimated);
                }
                let budget = budget(name, environment);
                let end = total(answer) + mean(&ahead[environment]);
                match (name, environment.as_str()) {
                    ("findash", "prod") => assert!(end > budget, "{day} {end}"),
                    ("medtrack", "prod") => assert!(total(answer) > budget, "{day} {end}"),
                    ("dartsyn", "staging") => {}
                    _ => assert!(end < budget, "{day} {name} {environment}: {end}"),
                }
            }
        }
    }
}

#[test]
fn the_same_day_gives_the_same_lines_and_yesterdays_stay() {
    let world = opened("findash").world;
    let all: BTreeSet<String> = world.accounts.keys().cloned().collect();
    let read = |today: Date, until: Date| {
        let mut out = Vec::new();
        let start = date(2026, 9, 1);
        ledger::lines(&world, &all, start, until, today, |line| {
            out.push(format!("{line:?}"));
        });
        out
    };
    let tomorrow = TODAY.tomorrow().unwrap();
    assert_eq!(read(TODAY, tomorrow), read(TODAY, tomorrow));
    // What was before the leap does not change as the days go by.
    let october = date(2026, 10, 31);
    assert_eq!(read(TODAY, october), read(tomorrow, october));
    assert!(read(TODAY, tomorrow).len() > 1000);
}

#[test]
fn groups_add_up_and_the_untagged_are_told() {
    for (name, _) in scenario::SCENARIOS {
        let (start, end) = (date(2026, 10, 1), date(2026, 11, 23));
        let whole = ask_all(name, "2026-11-22", &usage(start, end, &[]));
        for groups in [
            vec![Group::Service],
            vec![Group::Region, Group::UsageType],
            vec![Group::Tag("team".to_owned()), Group::RecordType],
        ] {
            let parts = ask_all(name, "2026-11-22", &usage(start, end, &groups));
            for (environment, answer) in &whole {
                assert_eq!(
                    total(answer),
                    total(&parts[environment]),
                    "{name} {groups:?}"
                );
            }
            if let Some(Group::Tag(_)) = groups.first() {
                let untagged = parts
                    .values()
                    .flat_map(rows)
                    .filter(|r| r.keys[0].is_empty());
                assert!(untagged.count() > 0, "{name}");
            }
        }
    }
}

#[test]
fn there_is_something_to_find() {
    let names = |name: &str, start: Date, end: Date, group: Group| -> BTreeSet<String> {
        let found = ask_all(name, "2026-11-22", &usage(start, end, &[group]));
        let rows = found["prod"].clone();
        rows_of(&rows)
    };
    fn rows_of(answer: &Answer) -> BTreeSet<String> {
        rows(answer).iter().map(|r| r.keys[0].clone()).collect()
    }
    let (october, november) = (date(2026, 10, 1), date(2026, 11, 1));
    let end = date(2026, 11, 23);
    let new = |name: &str, group: Group| -> Vec<String> {
        let before = names(name, october, november, group.clone());
        let now = names(name, november, end, group);
        now.difference(&before).cloned().collect()
    };
    assert_eq!(
        new("findash", Group::Service),
        ["Amazon OpenSearch Service"]
    );
    assert_eq!(new("acme", Group::Region), ["ap-southeast-1"]);
    for (name, _) in scenario::SCENARIOS {
        let days = Question::Anomalies {
            start: november,
            end: TODAY,
        };
        let found = ask_all(name, "2026-11-22", &days);
        let anomalies = found.values().filter_map(|a| match a {
            Answer::Anomalies { anomalies } => Some(anomalies.clone()),
            _ => None,
        });
        let anomalies: Vec<_> = anomalies.flatten().collect();
        assert!(!anomalies.is_empty(), "{name}");
        assert!(anomalies.iter().all(|a| a.impact > Decimal::ZERO), "{name}");
    }
}

#[test]
fn answers_are_paged_billed_and_refused_like_aws_does() {
    let opened = opened("acme");
    let targets = support::targets(&opened.loaded);
    let (target, _) = &targets[0];
    let cloud = Sandbox::in_memory(opened.world.clone()).at(noon("2026-11-22"));
    support::block_on(async {
        let daily = Question::Usage {
            start: date(2025, 11, 1),
            end: date(2026, 11, 23),
            granularity: Granularity::Daily,
            group_by: vec![Group::Service, Group::UsageType],
            filter: Filter::default(),
        };
        let answered = cloud.ask_cost(target, &daily).await.unwrap();
        let pages = rows(&answered.answer).len().div_ceil(500);
        assert!(pages > 10);
        assert_eq!(answered.pages as usize, pages);
        let used = cloud.meter().snapshot();
        assert_eq!(used.by_operation["ce:GetCostAndUsage"] as usize, pages);
        let billed: Decimal = used.cost_usd.parse().unwrap();
        assert_eq!(billed, Decimal::new(pages as i64, 2));
        let too_much = usage(
            date(2026, 11, 1),
            TODAY,
            &[Group::Service, Group::Region, Group::Account],
        );
        for bad in [
            too_much,
            usage(TODAY, TODAY, &[]),
            usage(date(2020, 1, 1), TODAY, &[]),
        ] {
            let error = cloud.ask_cost(target, &bad).await.unwrap_err();
            assert_eq!(error.code, "ValidationException", "{bad:?}");
        }
    });
    let mut world = opened.world;
    let account = world.accounts.get_mut("prod").unwrap();
    account.denied.push("ce:GetCostForecast".to_owned());
    let cloud = Sandbox::in_memory(world).at(noon("2026-11-22"));
    support::block_on(async {
        let error = cloud.ask_cost(target, &forecast(TODAY)).await.unwrap_err();
        assert_eq!(error.code, "AccessDenied");
        assert_eq!(cloud.meter().snapshot().cost_usd, "0.00");
    });
}

// ------------------------------------------------------------------ exports

/// The lines of a scenario, from before what is asked about.
fn lines(name: &str) -> Vec<Owned> {
    let world = opened(name).world;
    let all: BTreeSet<String> = world.accounts.keys().cloned().collect();
    let mut out = Vec::new();
    let from = date(2026, 8, 20);
    let end = TODAY.tomorrow().unwrap();
    ledger::lines(&world, &all, from, end, TODAY, |line| {
        out.push(Owned {
            day: line.day,
            account: line.account.to_owned(),
            service: line.service.to_owned(),
            region: line.region.to_owned(),
            usage_type: line.usage_type.to_owned(),
            record_type: line.record_type.to_owned(),
            tags: line.tags.clone(),
            resource: format!("arn:aws:x:::{}", line.usage_type),
            amount: line.amount,
            currency: line.currency.to_owned(),
        });
    });
    out
}

fn questions(accounts: &[String]) -> Vec<Question> {
    let (start, end) = (date(2026, 9, 1), TODAY.tomorrow().unwrap());
    let mut out = vec![usage(start, end, &[])];
    for groups in [
        vec![Group::Account, Group::Service],
        vec![Group::Region, Group::UsageType],
        vec![Group::RecordType],
        vec![Group::Tag("team".to_owned())],
        vec![Group::Tag("data-class".to_owned()), Group::Service],
    ] {
        for granularity in [Granularity::Daily, Granularity::Monthly] {
            out.push(Question::Usage {
                start,
                end,
                granularity,
                group_by: groups.clone(),
                filter: Filter::default(),
            });
        }
    }
    out.push(Question::Usage {
        start,
        end,
        granularity: Granularity::Monthly,
        group_by: vec![Group::Service],
        filter: Filter {
            accounts: accounts.iter().take(1).cloned().collect(),
            without_record_types: ["Credit".to_owned(), "Tax".to_owned()].into(),
        },
    });
    out
}

/// What the ledger answers, asked like AWS: as the payer of all.
fn told_by_the_ledger(name: &str, questions: &[Question]) -> Vec<Answer> {
    let opened = opened(name);
    let mut world = opened.world;
    let (environment, account) = world.accounts.iter_mut().next().unwrap();
    account.payer = true;
    // An export holds the values of tags that Cost Explorer knows only once their key is active.
    account.money.cost_tags = ["team", "data-class"].map(|k| (k.to_owned(), true)).into();
    let payer = Target {
        environment: environment.clone(),
        account: account.id.clone(),
        regions: vec!["us-east-1".to_owned()],
        profile: None,
        role_arn: None,
        external_id: None,
    };
    let cloud = Sandbox::in_memory(world).at(noon("2026-11-22"));
    support::block_on(async {
        let mut out = Vec::new();
        for question in questions {
            out.push(cloud.ask_cost(&payer, question).await.unwrap().answer);
        }
        out
    })
}

fn read(root: &Path, questions: &[Question]) -> Export {
    export::read(root, questions, TODAY).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(root: &Path) -> String {
    let questions = questions(&[]);
    match export::read(root, &questions, TODAY) {
        Err(e) => e.to_string(),
        Ok(export) => panic!("it was read: {:?}", export.notes),
    }
}

/// One file in a folder of its own.
fn file(name: &str, bytes: &[u8]) -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().unwrap();
    put(dir.path(), name, bytes);
    let path = dir.path().join(name);
    (dir, path)
}

#[test]
fn exports_answer_like_the_ledger_to_the_last_digit() {
    for name in ["findash", "medtrack"] {
        let lines = lines(name);
        let accounts: BTreeSet<String> = lines.iter().map(|l| l.account.clone()).collect();
        let accounts: Vec<String> = accounts.into_iter().collect();
        let mut questions = questions(&accounts);
        // Billing does not know this key there yet; an export by any other name would.
        let unknown = Group::Tag(if name == "findash" { "team" } else { "project" }.to_owned());
        questions.retain(
            |q| !matches!(q, Question::Usage { group_by, .. } if group_by.contains(&unknown)),
        );
        let expected = told_by_the_ledger(name, &questions);
        assert!(expected.iter().all(|a| !rows(a).is_empty()));
        let check = |file_name: &str, form: Form, bytes: &[u8]| {
            let (_dir, path) = file(file_name, bytes);
            let export = read(&path, &questions);
            assert_eq!(export.rows as usize, lines.len());
            let format = match form {
                Form::Focus => Format::Focus,
                Form::Cur2 => Format::Cur2,
            };
            assert_eq!(export.format, format);
            for ((question, expected), answer) in
                questions.iter().zip(&expected).zip(&export.answers)
            {
                assert_eq!(answer, expected, "{name} {file_name} {question:?}");
            }
        };
        for form in FORMS {
            let text = csv(form, &lines);
            check("export.csv", form, &text);
            check("export-00001.csv.gz", form, &gz(&text));
            #[cfg(feature = "parquet")]
            {
                use crate::export_files::columns::{Amounts, parquet as write};
                use parquet::basic::{Compression, GzipLevel, ZstdLevel};
                for (compression, amounts) in [
                    (Compression::SNAPPY, Amounts::Double),
                    (Compression::GZIP(GzipLevel::default()), Amounts::Decimal),
                    (Compression::ZSTD(ZstdLevel::default()), Amounts::Double),
                    (Compression::UNCOMPRESSED, Amounts::Decimal),
                ] {
                    let bytes = write(form, &lines, compression, amounts, 5000);
                    check("export-00001.snappy.parquet", form, &bytes);
                }
            }
        }
    }
}

/// A short export of `count` lines of 1.50 USD each.
fn some(day: Date, count: usize) -> Vec<Owned> {
    let line = Owned {
        day,
        account: "123456789012".to_owned(),
        service: "Amazon S3".to_owned(),
        region: "eu-west-1".to_owned(),
        usage_type: "EU-TimedStorage-ByteHrs".to_owned(),
        record_type: "Usage".to_owned(),
        tags: Tags::from([("team".to_owned(), "a".to_owned())]),
        resource: "arn:aws:s3:::logs".to_owned(),
        amount: Decimal::new(150, 2),
        currency: "USD".to_owned(),
    };
    vec![line; count]
}

fn sum_of(root: &Path) -> (String, Export) {
    let question = usage(date(2026, 9, 1), date(2026, 12, 1), &[]);
    let export = read(root, &[question]);
    (total(&export.answers[0]).normalize().to_string(), export)
}

#[test]
fn the_newest_complete_delivery_of_each_period_counts_once() {
    let (october, november) = (date(2026, 10, 5), date(2026, 11, 5));
    let part = |day, count| gz(&csv(Form::Focus, &some(day, count)));
    let manifest = |files: &[&str]| {
        let files: Vec<String> = files
            .iter()
            .map(|f| format!("s3://b/bill/data/{f}"))
            .collect();
        serde_json::json!({"dataFiles": files})
            .to_string()
            .into_bytes()
    };
    let dir = TempDir::new().unwrap();
    let root = dir.path();
    // "Create new": an execution each; the last one of November is not finished.
    for (execution, count) in [
        ("2026-10-20T08:00:00.000Z-a", 9),
        ("2026-11-02T08:00:00.000Z-b", 2),
    ] {
        let folder = format!("bill/data/BILLING_PERIOD=2026-10/{execution}");
        put(
            root,
            &format!("{folder}/bill-00001.csv.gz"),
            &part(october, count),
        );
        put(
            root,
            &format!("{folder}/bill-00002.csv.gz"),
            &part(october, count),
        );
        let metadata =
            format!("bill/metadata/BILLING_PERIOD=2026-10/{execution}/bill-Manifest.json");
        put(
            root,
            &metadata,
            &manifest(&["bill-00001.csv.gz", "bill-00002.csv.gz"]),
        );
    }
    for (execution, count, complete) in [
        ("2026-11-10T08:00:00.000Z-c", 4, true),
        ("2026-11-21T08:00:00.000Z-d", 100, false),
    ] {
        let folder = format!("bill/data/BILLING_PERIOD=2026-11/{execution}");
        put(
            root,
            &format!("{folder}/bill-00001.csv.gz"),
            &part(november, count),
        );
        if complete {
            let metadata =
                format!("bill/metadata/BILLING_PERIOD=2026-11/{execution}/bill-Manifest.json");
            put(root, &metadata, &manifest(&["bill-00001.csv.gz"]));
        }
    }
    // 2 x 2 of October and 4 of November, 1.50 each.
    let (sum, export) = sum_of(root);
    assert_eq!(sum, "12");
    assert_eq!(export.files, 3);
    let notes = export.notes.join("\n");
    assert!(
        notes.contains("2026-10-20T08:00:00.000Z-a was replaced"),
        "{notes}"
    );
    assert!(
        notes.contains("2026-11-21T08:00:00.000Z-d is not finished"),
        "{notes}"
    );

    // Overwritten in place: a part that the manifest does not name is from an earlier delivery.
    let dir = TempDir::new().unwrap();
    let root = dir.path();
    for (number, count) in [(1, 3), (2, 50)] {
        let name = format!("data/BILLING_PERIOD=2026-11/bill-0000{number}.csv.gz");
        put(root, &name, &part(november, count));
    }
    let metadata = "metadata/BILLING_PERIOD=2026-11/bill-Manifest.json";
    put(root, metadata, &manifest(&["bill-00001.csv.gz"]));
    let (sum, export) = sum_of(root);
    assert_eq!(sum, "4.5");
    assert!(
        export
            .notes
            .join("\n")
            .contains("bill-00002.csv.gz left out")
    );
    put(
        root,
        metadata,
        &manifest(&["bill-00001.csv.gz", "bill-00003.csv.gz"]),
    );
    let error = refused(root);
    assert!(
        error.contains("bill-00003.csv.gz, which is not there"),
        "{error}"
    );

    // Two exports in one folder are the same costs twice.
    put(
        root,
        "other/data/BILLING_PERIOD=2026-11/o-00001.csv.gz",
        &part(november, 1),
    );
    assert!(refused(root).contains("more than one export"));
}

#[test]
fn loose_files_of_one_period_replace_each_other_and_their_parts_add_up() {
    let dir = TempDir::new().unwrap();
    let root = dir.path();
    let part = |day, count| csv(Form::Cur2, &some(day, count));
    put(root, "old-00001.csv", &part(date(2026, 11, 1), 10));
    put(root, "new-00001.csv", &part(date(2026, 11, 1), 1));
    put(root, "new-00002.csv", &part(date(2026, 11, 2), 1));
    put(root, "october.csv", &part(date(2026, 10, 2), 1));
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    let old = std::fs::File::options()
        .append(true)
        .open(root.join("old-00001.csv"));
    old.unwrap().set_modified(past).unwrap();
    let (sum, export) = sum_of(root);
    assert_eq!(sum, "4.5");
    let notes = export.notes.join("\n");
    assert!(
        notes.contains("old was replaced; new was written later"),
        "{notes}"
    );
}

#[test]
fn a_month_in_two_loose_files_is_never_counted_twice() {
    let dir = TempDir::new().unwrap();
    let mut both = some(date(2026, 10, 2), 2);
    both.extend(some(date(2026, 11, 2), 2));
    put(dir.path(), "both.csv", &csv(Form::Focus, &both));
    put(
        dir.path(),
        "november.csv",
        &csv(Form::Focus, &some(date(2026, 11, 2), 2)),
    );
    let said = refused(dir.path());
    assert!(
        said.contains("lines of 2026-11 in november.csv and in both"),
        "{said}"
    );
}

#[test]
fn odd_but_right_files_are_read() {
    let mut lines = some(date(2026, 11, 5), 1);
    lines[0].service = "Amazon \"S3\", Glacier\nand more, größer".to_owned();
    lines[0].tags.insert("note".to_owned(), "x".repeat(300_000));
    lines[0]
        .tags
        .insert("team".to_owned(), "a, \"b\"".to_owned());
    let mut text = b"\xef\xbb\xbf".to_vec();
    text.extend(csv(Form::Focus, &lines));
    let (_dir, path) = file("bom.csv", &text);
    let group = [Group::Service, Group::Tag("team".to_owned())];
    let question = usage(date(2026, 11, 1), date(2026, 12, 1), &group);
    let export = read(&path, &[question, Question::CostAllocationTags]);
    let row = &rows(&export.answers[0])[0];
    assert_eq!(row.keys, [lines[0].service.as_str(), "a, \"b\""]);
    let keys = [("note".to_owned(), true), ("team".to_owned(), true)];
    assert_eq!(
        export.answers[1],
        Answer::CostAllocationTags { keys: keys.into() }
    );

    // Amounts in every form; an adjustment downwards is a refund.
    let text = "BilledCost,BillingCurrency,ChargePeriodStart,ChargeCategory,ServiceName,SubAccountId\n\
        1E-7,USD,2026-11-05T00:00:00Z,Usage,A,1\n\
        -0.0000001,USD,2026-11-05T00:00:00Z,Credit,A,1\n\
        -2.5,USD,2026-11-05,Adjustment,A,1\n\
        3,USD,2026-11-05 00:00:00,Purchase,A,1\n";
    let (_dir, path) = file("small.csv", text.as_bytes());
    let kinds = usage(date(2026, 11, 1), date(2026, 12, 1), &[Group::RecordType]);
    let export = read(&path, &[kinds]);
    let told: Vec<(String, String)> = rows(&export.answers[0])
        .iter()
        .map(|r| (r.keys[0].clone(), r.amount.to_string()))
        .collect();
    let pair = |kind: &str, amount: &str| (kind.to_owned(), amount.to_owned());
    assert_eq!(
        told,
        [
            pair("Credit", "-0.0000001"),
            pair("Fee", "3"),
            pair("Refund", "-2.5"),
            pair("Usage", "0.0000001"),
        ]
    );
}

#[test]
fn what_an_export_does_not_hold_is_not_zero() {
    let (_dir, path) = file("x.csv", &csv(Form::Focus, &some(date(2026, 11, 5), 3)));
    let before = usage(date(2026, 10, 1), date(2026, 11, 1), &[]);
    let export = read(
        &path,
        &[
            before,
            forecast(TODAY),
            Question::Anomalies {
                start: TODAY,
                end: TODAY,
            },
        ],
    );
    for answer in &export.answers {
        assert!(matches!(answer, Answer::NoData { .. }), "{answer:?}");
    }
}

#[test]
fn broken_files_say_where() {
    let whole = csv(Form::Focus, &some(date(2026, 11, 5), 500));
    let text = String::from_utf8(whole.clone()).unwrap();
    let packed = gz(&whole);
    let third = text.lines().nth(3).unwrap();
    let wrong = |from: &str, to: &str| text.replacen(third, &third.replace(from, to), 3);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "cut.csv.gz",
            packed[..packed.len() / 2].to_vec(),
            "ends in the middle",
        ),
        (
            "end.csv.gz",
            packed[..packed.len() - 4].to_vec(),
            "ends in the middle",
        ),
        ("not.csv.gz", b"no gzip at all".to_vec(), "row 1"),
        (
            "absurd.csv",
            wrong("1.50", "70000000000000000000000000000").into_bytes(),
            "is no amount",
        ),
        ("cut.csv", whole[..whole.len() - 60].to_vec(), "columns"),
        (
            "amount.csv",
            wrong("1.50", "one").into_bytes(),
            "row 1, column BilledCost: `one` is no amount",
        ),
        (
            "day.csv",
            wrong("2026-11-05T", "soon").into_bytes(),
            "column ChargePeriodStart",
        ),
        (
            "tags.csv",
            wrong("{\"\"", "[\"\"").into_bytes(),
            "column Tags",
        ),
        (
            "currency.csv",
            wrong("USD", "").into_bytes(),
            "without a currency",
        ),
        ("empty.csv", Vec::new(), "empty"),
        (
            "other.csv",
            b"a,b\n1,2\n".to_vec(),
            "neither a FOCUS nor a CUR 2.0",
        ),
        (
            "lacks.csv",
            text.replacen("BilledCost", "Cost", 1).into_bytes(),
            "lacks the columns BilledCost",
        ),
        (
            "old.csv",
            b"identity/LineItemId,lineItem/UnblendedCost\n1,2\n".to_vec(),
            "legacy",
        ),
    ];
    for (name, bytes, expected) in cases {
        let (_dir, path) = file(name, &bytes);
        let error = refused(&path);
        assert!(
            error.contains(name) && error.contains(expected),
            "{name}: {error}"
        );
    }
    let mut two = some(date(2026, 11, 5), 2);
    two[1].currency = "EUR".to_owned();
    let (_dir, path) = file("two.csv", &csv(Form::Focus, &two));
    assert!(refused(&path).contains("USD and in EUR"));
    let dir = TempDir::new().unwrap();
    assert!(refused(dir.path()).contains("there is no .csv"));
    assert!(refused(&dir.path().join("gone")).contains("gone"));
}

#[cfg(feature = "parquet")]
#[test]
fn a_damaged_parquet_file_is_an_error_and_never_a_smaller_bill() {
    use crate::export_files::columns::{Amounts, parquet as write};
    use parquet::basic::Compression;
    let lines = some(date(2026, 11, 5), 3000);
    let whole = write(
        Form::Focus,
        &lines,
        Compression::SNAPPY,
        Amounts::Double,
        1000,
    );
    let (_dir, path) = file("whole.parquet", &whole);
    assert_eq!(sum_of(&path).0, "4500");
    for keep in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        let (_dir, path) = file("cut.parquet", &whole[..keep]);
        assert!(refused(&path).contains("cut.parquet"));
    }
    // Every bit that is turned is either noticed or in what is not read.
    for at in (4..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let (_dir, path) = file("bit.parquet", &bytes);
        let question = usage(date(2026, 11, 1), date(2026, 12, 1), &[]);
        // Nothing else than a result or an error: no panic comes through.
        let _ = export::read(&path, &[question], TODAY);
    }
}

// ------------------------------------------------------------------ the tally

#[test]
fn many_resources_are_bounded_and_their_sum_is_right() {
    let question = usage(date(2026, 11, 1), date(2026, 12, 1), &[Group::Resource]);
    let mut tally = Tally::new(&[question], TODAY)
        .unwrap()
        .with_most_resources(10);
    let none = Tags::new();
    let mut sum = Decimal::ZERO;
    for n in 0..1000i64 {
        let resource = format!("r{n}");
        let amount = Decimal::from(if n % 100 == 0 { 1000 + n } else { 1 });
        sum += amount;
        tally.add(&Line {
            day: date(2026, 11, 5),
            account: "1",
            service: "s",
            region: "r",
            usage_type: "u",
            record_type: "Usage",
            tags: &none,
            resource: &resource,
            amount,
            currency: "USD",
        });
    }
    assert!(tally.resources_merged());
    let answers = tally.answers(Extent::AsSeen).unwrap();
    assert_eq!(total(&answers[0]), sum);
    let found = rows(&answers[0]);
    assert!(found.len() <= 21, "{}", found.len());
    assert!(found.iter().any(|r| r.keys[0] == OTHER));
    for n in (0..1000).step_by(100) {
        let key = format!("r{n}");
        let row = found.iter().find(|r| r.keys[0] == key).unwrap();
        assert_eq!(row.amount, Decimal::from(1000 + n));
    }
}

#[test]
fn a_steady_rhythm_is_forecast_exactly() {
    let today = date(2026, 11, 22);
    let mut tally = Tally::new(&[forecast(today)], today).unwrap();
    let none = Tags::new();
    let cost = |day: Date| Decimal::from(10 + day.weekday().to_monday_zero_offset());
    let mut day = today.checked_sub(20.days()).unwrap();
    while day <= today {
        tally.add(&Line {
            day,
            account: "1",
            service: "s",
            region: "r",
            usage_type: "u",
            record_type: "Usage",
            tags: &none,
            resource: "",
            amount: cost(day),
            currency: "USD",
        });
        day = day.tomorrow().unwrap();
    }
    let mut expected = Decimal::ZERO;
    let mut day = today;
    while day < date(2026, 12, 1) {
        expected += cost(day);
        day = day.tomorrow().unwrap();
    }
    let answers = tally.answers(Extent::Everything).unwrap();
    assert_eq!(
        answers[0],
        Answer::Forecast {
            currency: "USD".to_owned(),
            mean: expected,
            low: expected,
            high: expected,
        }
    );
}

// ------------------------------------------------------------------ a real endpoint

#[test]
fn moto_is_asked_for_costs_and_exports() {
    use opsctl::aws::{AwsCloud, Settings};
    let emulator = crate::emulator::moto();
    let group = |keys: &[&str], amount: &str| serde_json::json!({"Keys": keys, "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}});
    let period = |groups: Vec<serde_json::Value>, total: serde_json::Value| {
        serde_json::json!({"ResultsByTime": [{
            "TimePeriod": {"Start": "2026-11-01", "End": "2026-11-23"}, "Estimated": true,
            "Groups": groups, "Total": total}]})
    };
    emulator.cost_results(&[
        period(
            vec![
                group(&["team$a$b", "AWS Lambda"], "1.5"),
                group(&["team$", "Tax"], "2E-3"),
            ],
            serde_json::json!({}),
        ),
        period(
            vec![],
            serde_json::json!({"UnblendedCost": {"Amount": "1.502", "Unit": "USD"}}),
        ),
    ]);
    let text = gz(&csv(Form::Focus, &some(date(2026, 11, 5), 4)));
    let name = "data/BILLING_PERIOD=2026-11/bill-00001.csv.gz";
    emulator.object("bills", name, &text);
    let cloud = AwsCloud::new(Settings {
        endpoint_url: Some(emulator.url()),
        concurrency: 4,
        timeout: std::time::Duration::from_secs(30),
        profile_override: None,
    });
    let target = Target {
        environment: "prod".to_owned(),
        account: crate::emulator::ACCOUNT.to_owned(),
        regions: vec!["eu-west-1".to_owned()],
        profile: None,
        role_arn: None,
        external_id: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let filter = Filter {
            accounts: ["123456789012".to_owned()].into(),
            without_record_types: ["Credit".to_owned()].into(),
        };
        let groups = [Group::Tag("team".to_owned()), Group::Service];
        let Question::Usage {
            start,
            end,
            granularity,
            group_by,
            ..
        } = usage(date(2026, 11, 1), date(2026, 11, 23), &groups)
        else {
            unreachable!()
        };
        let question = Question::Usage {
            start,
            end,
            granularity,
            group_by,
            filter,
        };
        let answered = cloud.ask_cost(&target, &question).await.unwrap();
        let told: Vec<_> = rows(&answered.answer)
            .iter()
            .map(|r| (r.keys.join("/"), r.amount.to_string()))
            .collect();
        let pair = |keys: &str, amount: &str| (keys.to_owned(), amount.to_owned());
        assert_eq!(told, [pair("/Tax", "0.002"), pair("a$b/AWS Lambda", "1.5")]);
        let month = usage(date(2026, 11, 1), date(2026, 11, 23), &[]);
        let whole = cloud.ask_cost(&target, &month).await.unwrap();
        assert_eq!(total(&whole.answer), total(&answered.answer));
        assert_eq!(cloud.meter().snapshot().cost_usd, "0.02");

        let export = export::read_s3(&cloud, &target, "s3://bills/data", &[month], TODAY)
            .await
            .unwrap();
        assert_eq!(total(&export.answers[0]), Decimal::from(6));
        let none = export::read_s3(&cloud, &target, "s3://nowhere/x", &[], TODAY).await;
        assert!(none.is_err());
    });
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}
