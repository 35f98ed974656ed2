//! SET, SHOW and RESET.

use super::*;

fn session(given: &[(&str, &str)]) -> Parameters {
    let given = given
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Parameters::new("alice", &given.collect()).unwrap()
}

fn set(name: &str, value: &str, local: bool) -> Set {
    Set {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        local,
    }
}

fn shown(session: &Parameters, name: &str) -> String {
    session.show(name).unwrap().1
}

#[test]
fn what_a_client_gave_is_told_and_is_where_reset_leads() {
    let mut s = session(&[
        ("user", "alice"),
        ("application_name", "psql"),
        ("options", "-c statement_timeout=5000 --a.b=x\\ y"),
    ]);
    assert!(
        s.told()
            .contains(&("application_name".into(), "psql".into()))
    );
    assert!(
        s.told()
            .contains(&("session_authorization".into(), "alice".into()))
    );
    assert_eq!(shown(&s, "statement_timeout"), "5000");
    assert_eq!(shown(&s, "a.b"), "x y");
    let told = s.set(&set("Application_Name", "other", false)).unwrap();
    assert_eq!(told, [("application_name".into(), "other".into())]);
    s.reset(None).unwrap();
    assert_eq!(shown(&s, "application_name"), "psql");
}

#[test]
fn a_transaction_takes_back_what_was_set_in_it() {
    let mut s = session(&[]);
    s.begin();
    s.set(&set("application_name", "a", false)).unwrap();
    assert_eq!(s.end(false), [("application_name".into(), String::new())]);
    s.begin();
    s.set(&set("application_name", "b", false)).unwrap();
    s.set(&set("application_name", "c", true)).unwrap();
    assert_eq!(shown(&s, "application_name"), "c");
    s.end(true);
    assert_eq!(shown(&s, "application_name"), "b");
    s.set(&set("application_name", "d", true)).unwrap();
    assert_eq!(shown(&s, "application_name"), "b");
}

#[test]
fn what_would_change_answers_is_refused() {
    let mut s = session(&[]);
    assert_eq!(
        s.set(&set("client_encoding", "LATIN1", false))
            .unwrap_err()
            .code,
        "22023"
    );
    assert_eq!(
        s.set(&set("DateStyle", "German", false)).unwrap_err().code,
        "22023"
    );
    assert_eq!(
        s.set(&set("server_version", "9", false)).unwrap_err().code,
        "55P02"
    );
    assert_eq!(
        s.set(&set("nonsense", "9", false)).unwrap_err().code,
        "42704"
    );
    assert_eq!(s.show("nonsense").unwrap_err().code, "42704");
    s.set(&set("client_encoding", "utf-8", false)).unwrap();
    s.set(&set("TimeZone", "Europe/Berlin", false)).unwrap();
    assert_eq!(shown(&s, "timezone"), "UTC");
}
