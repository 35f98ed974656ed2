//! What clients give when they connect, and what they are told.

use super::*;

fn session(given: &[(&str, &str)]) -> Result<Parameters, PgError> {
    let given = given
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Parameters::new(7, "0123456789abcdef", &given.collect())
}

fn set(name: &str, value: Option<&str>) -> Set {
    Set {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        local: false,
    }
}

#[test]
fn what_a_client_gave_is_told_and_is_where_reset_leads() {
    let mut s = session(&[
        ("user", "alice"),
        ("application_name", "psql"),
        ("_pq_.extension", "x"),
        ("options", "-c statement_timeout=5000 --search-path=a\\ b"),
    ])
    .unwrap();
    assert!(s.told().contains(&("application_name", "psql".to_owned())));
    assert_eq!(s.show("statement_timeout").unwrap().1, "5000");
    assert_eq!(s.show("search_path").unwrap().1, "a b");
    s.set(&set("Application_Name", Some("other"))).unwrap();
    assert_eq!(s.news(), [("application_name", "other".to_owned())]);
    assert_eq!(s.news(), []);
    s.reset(None).unwrap();
    assert_eq!(s.news(), [("application_name", "psql".to_owned())]);
}

#[test]
fn what_cannot_be_is_told() {
    assert_eq!(
        session(&[("client_encoding", "LATIN1")]).unwrap_err().code,
        "22023"
    );
    let s = session(&[("client_encoding", "UTF8"), ("TimeZone", "Europe/Berlin")]).unwrap();
    assert_eq!(
        s.set(&set("nonsense", Some("1"))).unwrap_err().code,
        "42704"
    );
    assert_eq!(
        s.set(&set("role", Some("admin"))).unwrap_err().code,
        "42501"
    );
    s.set(&set("role", Some("none"))).unwrap();
    s.set(&set("session_authorization", None)).unwrap();
}
