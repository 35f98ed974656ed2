use cairn_schemas::AccountId;
use cairn_schemas::control::Role;

use super::*;

fn filter() -> ExportFilter {
    ExportFilter {
        accounts: ["222222222222", "111111111111"]
            .map(|a| AccountId::new(a).unwrap())
            .into(),
        from: Some(Micros(0)),
        until: Some(Micros(1_500_000)),
        trail: Some(TrailName::new("My-Trail.1").unwrap()),
    }
}

#[test]
fn a_filter_becomes_a_statement() {
    assert_eq!(
        statement(&filter(), ExportFormat::CloudTrail, Micros(2_000_000)),
        "SELECT account_id, region, event_time, dialect, raw FROM trails.\"my-trail.1\" \
         WHERE ingest_time <= '1970-01-01T00:00:02Z' AND account_id IN ('111111111111', '222222222222') \
         AND event_time >= '1970-01-01T00:00:00Z' AND event_time < '1970-01-01T00:00:01.500Z'"
    );
    assert_eq!(
        statement(
            &ExportFilter::default(),
            ExportFormat::Csv,
            Micros(2_000_000)
        ),
        "SELECT * FROM history WHERE ingest_time <= '1970-01-01T00:00:02Z'"
    );
}

#[test]
fn a_filter_asks_for_no_foreign_account_and_for_some_time() {
    let auditor = |accounts: &[&str]| Principal {
        id: "aaaaaaaaaaaaaaaa".to_owned(),
        role: Role::Auditor,
        withheld: Default::default(),
        accounts: Among::Only(
            accounts
                .iter()
                .map(|a| AccountId::new(a).unwrap())
                .collect(),
        ),
    };
    assert!(check_filter(&auditor(&["111111111111", "222222222222"]), &filter()).is_ok());
    assert!(check_filter(&auditor(&["111111111111"]), &filter()).is_err());
    let never = ExportFilter {
        until: Some(Micros(0)),
        ..filter()
    };
    assert!(check_filter(&Principal::cairn(), &never).is_err());
}
