//! What is withheld together with what.

use super::*;

fn of(names: &[&str]) -> Withheld {
    Withheld::of(names).unwrap()
}

#[test]
fn carriers_are_withheld_too() {
    let columns = of(&["source_ip"]).columns();
    for carrier in [
        "source_ip",
        "raw",
        "raw_base64",
        "detail",
        "request_parameters",
    ] {
        assert!(columns.contains(carrier), "{carrier}: {columns:?}");
    }
    assert!(!columns.contains("user_name"));
    // The whole takes its bytes along, and leaves its parts.
    let columns = of(&["raw"]).columns();
    assert_eq!(
        columns,
        ["detail", "raw", "raw_base64"].map(str::to_owned).into()
    );
    assert!(of(&["user_name"]).columns().contains("user_identity"));
    assert!(of(&[]).columns().is_empty());
}

#[test]
fn every_carrier_is_a_column_that_can_be_withheld() {
    let known: BTreeSet<&str> = can_be_withheld().collect();
    for column in &known {
        for carrier in carriers(column) {
            assert!(known.contains(carrier), "{column} -> {carrier}");
        }
    }
    // Nothing that an event brought stays readable in its bytes.
    for column in EVENT_COLUMNS.iter().filter(|c| known.contains(c.name)) {
        let brought = !column.actiontrail.is_empty() || !column.cloudtrail.is_empty();
        let whole = carriers(column.name).contains("raw") || column.name == "raw";
        assert_eq!(whole, brought || column.name == "raw", "{}", column.name);
    }
}

#[test]
fn rows_keep_what_they_need() {
    for name in NEVER {
        let error = Withheld::of([name]).unwrap_err();
        assert_eq!(error, WithholdError::Needed((*name).to_owned()));
    }
    assert!(matches!(
        Withheld::of(["sourceip"]),
        Err(WithholdError::Unknown(_))
    ));
    assert!(Withheld::of([" source_ip "]).is_ok());
}

#[test]
fn what_covers_what() {
    assert!(of(&["source_ip"]).covers(&of(&["raw"])));
    assert!(!of(&["raw"]).covers(&of(&["source_ip"])));
    assert!(of(&["raw"]).covers(&Withheld::nothing()));
    assert!(!Withheld::nothing().covers(&of(&["raw"])));
}

#[test]
fn a_document_without_the_field_withholds_nothing() {
    #[derive(serde::Deserialize)]
    struct Document {
        #[serde(default)]
        withhold: Withheld,
    }
    let old: Document = serde_json::from_str("{}").unwrap();
    assert!(old.withhold.is_empty());
    // A column that this version does not know is kept, and hides nothing else.
    let newer: Document = serde_json::from_str(r#"{"withhold": ["raw", "later"]}"#).unwrap();
    assert!(newer.withhold.columns().contains("later"));
}
