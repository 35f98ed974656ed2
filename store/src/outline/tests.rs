//! What is taken apart comes together again, byte for byte.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use cairn_schemas::columns::resource_fields;
use chrono::{DateTime, SecondsFormat};
use proptest::prelude::*;

use super::fold::{FoldedBatches, Outlines, with_texts};
use super::learn::{learn, vary};
use super::sources::{MAX_TIME, Sources, moment};
use super::{fill, filled, needed, pieces};

/// An event and what intake made of it.
#[derive(Clone, Debug, Default)]
struct Row {
    raw: String,
    time: i64,
    texts: Vec<(&'static str, String)>,
    /// Type, name, account.
    resources: Vec<[Option<String>; 3]>,
}

fn row(raw: &str, texts: &[(&'static str, &str)]) -> Row {
    Row {
        raw: raw.to_owned(),
        texts: texts.iter().map(|(c, t)| (*c, (*t).to_owned())).collect(),
        ..Row::default()
    }
}

fn resources(rows: &[Row]) -> ArrayRef {
    let all = || rows.iter().flat_map(|r| r.resources.iter());
    let fields = (0..3)
        .map(|n| -> ArrayRef { Arc::new(StringArray::from_iter(all().map(|r| r[n].clone()))) });
    let elements = StructArray::new(resource_fields(), fields.collect(), None);
    let element = Field::new("element", elements.data_type().clone(), true);
    Arc::new(ListArray::new(
        Arc::new(element),
        OffsetBuffer::from_lengths(rows.iter().map(|r| r.resources.len())),
        Arc::new(elements),
        None,
    ))
}

/// As intake makes it, with every column that an outline may name.
fn batch(rows: &[Row]) -> RecordBatch {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for name in needed().filter(|name| !["event_time", "resources"].contains(name)) {
        fields.push(Field::new(name, DataType::Utf8, true));
        let of = |r: &Row| Some(r.texts.iter().find(|(c, _)| *c == name)?.1.clone());
        columns.push(Arc::new(StringArray::from_iter(rows.iter().map(of))));
    }
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.time));
    columns.push(Arc::new(times.with_timezone("UTC")));
    columns.push(resources(rows));
    columns.push(Arc::new(StringArray::from_iter_values(
        rows.iter().map(|r| &r.raw),
    )));
    let named = [("event_time", true), ("resources", true), ("raw", false)];
    for ((name, null), column) in named.into_iter().zip(&columns[columns.len() - 3..]) {
        fields.push(Field::new(name, column.data_type().clone(), null));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// As a file holds it, and as Parquet gives it back: no dictionary.
fn stored(outlines: &mut Outlines, rows: &[Row]) -> RecordBatch {
    let FoldedBatches { batches, texts } = outlines.fold(&[batch(rows)], |_, _| ()).unwrap();
    let folded = with_texts(batches[0].clone(), Some(&texts)).unwrap();
    let at = folded.schema().index_of("raw_outline").unwrap();
    let (mut fields, mut columns) = (folded.schema().fields().to_vec(), folded.columns().to_vec());
    fields[at] = Arc::new(Field::new("raw_outline", DataType::Utf8, true));
    columns[at] = cast(&columns[at], &DataType::Utf8).unwrap();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let texts = batch[column].as_string::<i32>();
    texts.is_valid(row).then(|| texts.value(row).to_owned())
}

/// Takes the rows apart, holds what comes together against them, and gives the outlines.
fn round(outlines: &mut Outlines, rows: &[Row]) -> Vec<Option<String>> {
    let stored = stored(outlines, rows);
    let whole = filled(stored.clone()).unwrap();
    assert!(whole.column_by_name("raw_outline").is_none());
    let views = fill(
        &stored["raw"],
        &stored["raw_outline"],
        |name| stored.column_by_name(name),
        &DataType::Utf8View,
    );
    let views = views.unwrap();
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(text(&whole, "raw", n).as_ref(), Some(&row.raw));
        assert_eq!(views.as_string_view().value(n), row.raw);
        let (raw, outline) = (text(&stored, "raw", n), text(&stored, "raw_outline", n));
        assert_ne!(
            raw.is_some(),
            outline.is_some(),
            "row {n} has both or neither"
        );
    }
    (0..rows.len())
        .map(|n| text(&stored, "raw_outline", n))
        .collect()
}

/// Visible marks, for readers of this file.
fn shown(outline: &Option<String>) -> String {
    outline.as_deref().unwrap_or("whole").replace('\u{1}', "|")
}

fn cloudtrail(n: usize) -> Row {
    let at = |text: &str| text.replace('#', &n.to_string());
    let raw = at(concat!(
        r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","userName":"u#"},"#,
        r#""eventTime":"2026-06-01T20:22:16Z","eventName":"Get","awsRegion":"eu-west-1","#,
        r#""requestParameters":{"bucket":"b#"},"responseElements":null,"eventID":"id-#","#,
        r#""readOnly":true,"resources":[{"accountId":"11#","type":"AWS::S3::Object","#,
        r#""ARN":"arn:b#/o"},{"ARN":"arn:b#"}],"recipientAccountId":"11#"}"#,
    ));
    Row {
        raw,
        time: 1_780_345_336_000_000,
        texts: vec![
            ("user_identity", at(r#"{"type":"IAMUser","userName":"u#"}"#)),
            ("event_name", "Get".to_owned()),
            ("region", "eu-west-1".to_owned()),
            ("request_parameters", at(r#"{"bucket":"b#"}"#)),
            ("event_id", at("id-#")),
            ("account_id", at("11#")),
        ],
        resources: vec![
            [
                Some("AWS::S3::Object".to_owned()),
                Some(at("arn:b#/o")),
                Some(at("11#")),
            ],
            [None, Some(at("arn:b#")), None],
        ],
    }
}

#[test]
fn events_of_one_kind_have_one_outline() {
    let rows: Vec<Row> = (0..50).map(cloudtrail).collect();
    let outlines = round(&mut Outlines::default(), &rows);
    let expected = concat!(
        r#"{"eventVersion":"1.08","userIdentity":|user_identity|,"eventTime":"|event_time|","#,
        r#""eventName":"|event_name|","awsRegion":"|region|","requestParameters":"#,
        r#"|request_parameters|,"responseElements":null,"eventID":"|event_id|","readOnly":true,"#,
        r#""resources":[{"accountId":"|resources.0.account_id|","type":"|resources.0.type|","#,
        r#""ARN":"|resources.0.name|"},{"ARN":"|resources.1.name|"}],"#,
        r#""recipientAccountId":"|account_id|"}"#,
    );
    for outline in &outlines {
        assert_eq!(shown(outline), expected);
    }
}

#[test]
fn moments_are_told_as_they_were_told() {
    for (told, outline) in [
        ("2026-06-01T20:22:16Z", "|event_time|"),
        ("2026-06-01T20:22:16.000Z", "|event_time.3|"),
        ("2026-06-01T20:22:16.000000Z", "|event_time.6|"),
        ("2026-06-01T20:22:16.0Z", "2026-06-01T20:22:16.0Z"),
        ("2026-06-01T22:22:16+02:00", "2026-06-01T22:22:16+02:00"),
        ("1780345336", "1780345336"),
    ] {
        let raw = format!(r#"{{"eventTime":"{told}","eventID":"one"}}"#);
        let event = Row {
            time: 1_780_345_336_000_000,
            ..row(&raw, &[("event_id", "one")])
        };
        let outlines = round(&mut Outlines::default(), &[event]);
        let expected = format!(r#"{{"eventTime":"{outline}","eventID":"|event_id|"}}"#);
        assert_eq!(shown(&outlines[0]), expected);
    }
}

#[test]
fn whatever_the_columns_lack_stays_where_it_was() {
    let long = "a user agent that is longer than the reference to it";
    let agent = |value: &str| format!("{{ \"more\" : [1, 2], \"userAgent\":\t\"{value}\" }}");
    for (raw, agent, expected) in [
        (agent(long), long, agent("|user_agent|")),
        // Not what was sent: the column has it without its escapes.
        (
            agent(&format!(r"\u0061{long}")),
            &format!("a{long}"),
            "whole".to_owned(),
        ),
        (agent("curl"), long, "whole".to_owned()),
        ("not JSON at all".to_owned(), long, "whole".to_owned()),
        (String::new(), long, "whole".to_owned()),
        // A mark of its own: never taken apart.
        (
            agent(&format!("\u{1}event_id\u{1}{long}")),
            long,
            "whole".to_owned(),
        ),
        (format!(r#"["{long}"]"#), long, "whole".to_owned()),
    ] {
        let outlines = round(
            &mut Outlines::default(),
            &[row(&raw, &[("user_agent", agent)])],
        );
        assert_eq!(shown(&outlines[0]), expected, "{raw}");
    }
}

#[test]
fn an_outline_is_not_used_where_it_does_not_fit() {
    let one = cloudtrail(1);
    // Looks the same from outside, and is not: another order, another flag, a column that
    // says something else than the event.
    let swapped = Row {
        raw: one.raw.replace(r#","responseElements":null"#, "").replace(
            r#""readOnly":true"#,
            r#""readOnly":true,"responseElements":null"#,
        ),
        ..one.clone()
    };
    let write = Row {
        raw: one.raw.replace("true", "false"),
        ..one.clone()
    };
    let mut other = one.clone();
    other.texts.retain(|(column, _)| *column != "event_id");
    other.texts.push(("event_id", "another".to_owned()));
    let mut silent = one.clone();
    silent.resources[1][1] = None;
    let rows = [one.clone(), swapped, one, write, other, silent];
    let outlines = round(&mut Outlines::default(), &rows);
    assert_eq!(outlines[0], outlines[2]);
    assert_ne!(outlines[0], outlines[1]);
    assert!(shown(&outlines[3]).contains(r#""readOnly":false"#));
    assert!(shown(&outlines[4]).contains(r#""eventID":"id-1""#));
    assert!(shown(&outlines[5]).contains(r#"{"ARN":"arn:b1"}"#));
}

#[test]
fn what_is_never_the_same_is_not_remembered_for_ever() {
    let mut outlines = Outlines::default();
    for turn in 0..40 {
        let rows: Vec<Row> = (0..1000)
            .map(|n| {
                let mut event = cloudtrail(n);
                let trace = format!(r#""trace":"{turn}-{n}","readOnly""#);
                event.raw = event.raw.replace(r#""readOnly""#, &trace);
                event
            })
            .collect();
        let told = round(&mut outlines, &rows);
        assert!(shown(&told[999]).contains(&format!("{turn}-999")));
    }
    // One of sixteen: some come again after all.
    let (known, _) = outlines.remembered();
    assert!(known < 64 + 40_000 / 16 + 64, "{known}");
    assert_eq!(outlines.varied(), 1);
    // From now on they are alike.
    for _ in 0..10 {
        let rows: Vec<Row> = (0..1000).map(cloudtrail).collect();
        round(&mut outlines, &rows);
    }
    assert_eq!(outlines.varied(), 0);
}

/// As S3's events have it: a host that no column tells, one of each bucket.
#[test]
fn many_outlines_of_one_kind_stand_once_in_a_file_each() {
    let mut outlines = Outlines::default();
    let mut texts = 0;
    for turn in 0..30 {
        let rows: Vec<Row> = (0..1000)
            .map(|n| {
                let mut event = cloudtrail(n);
                let host = format!(r#""host":"bucket-{}.s3","readOnly""#, (n * 7 + turn) % 300);
                event.raw = event.raw.replace(r#""readOnly""#, &host);
                event
            })
            .collect();
        round(&mut outlines, &rows);
        texts = outlines
            .fold(&[batch(&rows)], |_, _| ())
            .unwrap()
            .texts
            .len();
    }
    assert_eq!(texts, 300);
}

#[test]
fn a_variation_is_what_would_have_been_learned() {
    let one = cloudtrail(1);
    let mut other = cloudtrail(2);
    other.raw = other
        .raw
        .replace("\"readOnly\":true", "\"readOnly\":false,\"x\":[1]");
    let batch = batch(&[one, other.clone()]);
    let sources = Sources::of(&batch);
    let raws = [0, 1].map(|row| text(&batch, "raw", row).unwrap());
    let [first, second] = [0, 1].map(|row| learn(&raws[row], &sources, row).unwrap());
    let known = pieces(&first).unwrap();
    let varied = |raw: &str| vary(&first, &known, raw, &sources, 1);
    assert_eq!(varied(&raws[1]).as_ref(), Some(&second));
    // Two stretches differ; one does, and a column; the mark stands in it.
    assert_eq!(varied(&raws[1].replace("1.08", "1.09")), None);
    assert_eq!(varied(&raws[1].replace("id-2", "id-3")), None);
    assert_eq!(varied(&raws[1].replace("[1]", "\u{1}")), None);
}

/// References may be longer than what they stand for, and any number of them may be
/// in one event.
#[test]
fn an_outline_is_no_longer_than_its_event_and_never_long() {
    let mut long = row("", &[("event_id", "1"), ("event_name", "Get")]);
    let names = vec![r#""ab""#; 100_000].join(",");
    long.raw = format!(r#"{{"eventName":"Get","referencedResources":{{"t":[{names}]}}}}"#);
    long.resources = vec![[None, Some("ab".to_owned()), None]];
    let mut some = long.clone();
    some.raw = some.raw.replace(&names, &vec![r#""ab""#; 100].join(","));
    let mut few = long.clone();
    few.raw = r#"{"eventName":"Get","referencedResources":{"t":["ab","ab","ab"]}}"#.to_owned();
    // A long one that is shorter than its event all the same.
    let mut most = row("", &[("request_parameters", "")]);
    let parameters = format!(r#"{{"a":"{}"}}"#, "x".repeat(1000));
    most.raw = format!(
        r#"{{"requestParameters":{parameters},"more":"{}"}}"#,
        "y".repeat(16 << 10)
    );
    most.texts[0].1 = parameters;
    let outlines = round(&mut Outlines::default(), &[long, some, most, few]);
    assert_eq!(outlines[..3], [None, None, None]);
    assert!(outlines[3].is_some());
}

/// Events of 40 commits, each with a name of its own, and with a shape of its own or not.
fn made_up(own_shapes: bool) -> Vec<(usize, usize)> {
    let mut outlines = Outlines::default();
    let commit = |turn: usize| {
        let rows: Vec<Row> = (0..2000)
            .map(|n| {
                let mut event = cloudtrail(n);
                let name = format!("Name{turn}x{n}");
                event.raw = event.raw.replace("\"Get\"", &format!("\"{name}\""));
                if own_shapes {
                    let shape = format!(r#""shape":"{turn}-{n}","readOnly""#);
                    event.raw = event.raw.replace(r#""readOnly""#, &shape);
                }
                event.texts[1].1 = name;
                event
            })
            .collect();
        round(&mut outlines, &rows);
        outlines.remembered()
    };
    (0..40).map(commit).collect()
}

#[test]
fn what_senders_make_up_takes_no_more_and_more_memory() {
    for own_shapes in [true, false] {
        for (known, kinds) in made_up(own_shapes) {
            assert!(
                known <= 8192 && kinds <= (1 << 16) + 2000,
                "{known}, {kinds}"
            );
            assert!(own_shapes || known == 1, "{known}");
        }
    }
}

/// A join weighs a column with each of its batches; half of it must not be air.
#[test]
fn what_comes_together_weighs_what_was_received() {
    let rows: Vec<_> = (0..600).map(cloudtrail).collect();
    let stored = stored(&mut Outlines::default(), &rows);
    let received: usize = rows.iter().map(|r| r.raw.len()).sum();
    for (to, each) in [(DataType::Utf8View, 16), (DataType::Utf8, 4)] {
        let column = |name: &str| stored.column_by_name(name);
        let whole = fill(&stored["raw"], &stored["raw_outline"], column, &to).unwrap();
        let (weight, needed) = (whole.get_buffer_memory_size(), received + each * rows.len());
        assert!(
            weight <= needed + needed / 20,
            "{weight} bytes for {needed} as {to}"
        );
    }
}

#[test]
fn damage_is_told() {
    let whole = stored(&mut Outlines::default(), &[cloudtrail(1)]);
    assert_eq!(text(&whole, "raw", 0), None);
    let told = |outline: Option<&str>| {
        let outline: ArrayRef = Arc::new(StringArray::from(vec![outline]));
        let column = |name: &str| whole.column_by_name(name);
        fill(&whole["raw"], &outline, column, &DataType::Utf8)
            .unwrap_err()
            .to_string()
    };
    assert!(told(None).contains("neither raw nor raw_outline"));
    assert!(told(Some("{\u{1}event_id")).contains("opens what is not closed"));
    assert!(told(Some("{\u{1}no_such\u{1}}")).contains("refers to \"no_such\""));
    assert!(told(Some("{\u{1}resources.x.name\u{1}}")).contains("resources.x.name"));
    assert!(told(Some("{\u{1}user_agent\u{1}}")).contains("without its user_agent"));
    assert!(told(Some("{\u{1}resources.2.name\u{1}}")).contains("without its resources.2.name"));
    assert!(told(Some("\u{1}event_time.3\u{1}\u{1}error_code\u{1}")).contains("error_code"));
    assert_eq!(pieces("").unwrap(), []);
    // Of the file, not of who asks for it.
    let nothing: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    let column = |name: &str| whole.column_by_name(name);
    let told = fill(&whole["raw"], &nothing, column, &DataType::Utf8View);
    assert!(matches!(told, Err(ArrowError::ParquetError(_))));
}

proptest! {
    #[test]
    fn moments_are_those_of_rfc_3339(micros in any::<i64>(), whole in any::<bool>()) {
        let micros = if whole { micros / 1_000_000 * 1_000_000 } else { micros };
        let mut room = [0; MAX_TIME];
        for (digits, format) in [(0, SecondsFormat::Secs), (3, SecondsFormat::Millis), (6, SecondsFormat::Micros)] {
            let Some(told) = moment(micros, digits, &mut room) else { continue };
            let expected = DateTime::from_timestamp_micros(micros).unwrap();
            prop_assert_eq!(told, expected.to_rfc3339_opts(format, true));
            let read = DateTime::parse_from_rfc3339(told).unwrap();
            prop_assert_eq!(read.timestamp_micros(), micros);
        }
    }

    /// Whatever the bytes, and whatever the columns say of them.
    #[test]
    fn anything_comes_back(events in proptest::collection::vec(any_event(), 1..40)) {
        let mut outlines = Outlines::default();
        round(&mut outlines, &events);
        // Once more, with what was learned.
        round(&mut outlines, &events);
    }
}

const NAMES: &[(&str, &str)] = &[
    ("eventID", "event_id"),
    ("userAgent", "user_agent"),
    ("requestParameters", "request_parameters"),
    ("userIdentity", "user_identity"),
    ("awsRegion", "region"),
    ("eventName", "event_name"),
    ("other", "error_code"),
];

/// Members in any order, with values that may be what the columns hold, or nearly.
fn any_event() -> impl Strategy<Value = Row> {
    let value = prop_oneof![
        Just(r#""some text that repeats""#.to_owned()),
        Just(r#"{"of": ["a", 1.50, null]}"#.to_owned()),
        Just(r#""with \"escapes\" and \u0001""#.to_owned()),
        Just("null".to_owned()),
        "\"[a-z\u{1}ü ]{0,12}\"",
    ];
    let member = (0..NAMES.len(), value, 0..4u8);
    let members = proptest::collection::vec(member, 0..7);
    let times = prop_oneof![Just(0i64), Just(1_780_345_336_123_000), any::<i64>()];
    let resources = proptest::collection::vec(("[ab]{1,3}", any::<bool>()), 0..10);
    (members, times, resources, "[ \n]?").prop_map(|(members, time, named, space)| {
        let mut event = Row {
            time,
            ..Row::default()
        };
        let mut told: Vec<String> = Vec::new();
        for (name, value, kept) in members {
            let (member, column) = NAMES[name];
            told.push(format!("\"{member}\":{space}{value}"));
            let inner = value.trim_matches('"').to_owned();
            match kept {
                0 => {}
                1 => event.texts.push((column, value)),
                2 => event.texts.push((column, inner)),
                _ => event.texts.push((column, "something else".to_owned())),
            }
        }
        if let Some(moment) = moment(time, 0, &mut [0; MAX_TIME]) {
            told.push(format!("\"eventTime\":\"{moment}\""));
        }
        let listed: Vec<String> = named
            .iter()
            .map(|(n, _)| format!("{{\"ARN\":\"{n}\"}}"))
            .collect();
        told.push(format!("\"resources\":[{}]", listed.join(",")));
        let kept = named.into_iter().filter(|(_, kept)| *kept);
        event.resources = kept.map(|(n, _)| [None, Some(n), None]).collect();
        event.raw = format!("{space}{{{}}}", told.join(","));
        event
    })
}
