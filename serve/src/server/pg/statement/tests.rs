//! Statements and what they ask for.

use super::*;

fn commands(text: &str) -> Vec<Command> {
    let pieces = split(text);
    pieces.iter().map(|p| command(p).expect(text)).collect()
}

fn one(text: &str) -> Command {
    let mut all = commands(text);
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

fn error(text: &str) -> PgError {
    command(&split(text)[0]).expect_err(text)
}

#[test]
fn semicolons_part_statements_and_quotes_hide_them() {
    let text = "SELECT ';' ; -- ;\n SELECT $$;$$, \"a;b\" /* ; /* ; */ */; ; ";
    let pieces = split(text);
    let texts: Vec<&str> = pieces.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts, ["SELECT ';'", "SELECT $$;$$, \"a;b\""]);
    assert_eq!(pieces[1].before, text.find("SELECT $").unwrap());
    for empty in ["", " ", ";", ";;", "-- nothing", " ; ; "] {
        assert_eq!(one(empty), Command::Empty, "{empty:?}");
    }
}

#[test]
fn places_count_characters() {
    let pieces = split("SELECT 'äö';\nSELECT 2");
    assert_eq!(pieces[1].before, 13);
    assert_eq!(pieces[1].text, "SELECT 2");
}

#[test]
fn text_that_is_no_tokens_is_left_to_the_engine() {
    assert_eq!(one("SELECT 'abc"), Command::Ask);
}

#[test]
fn transactions() {
    for text in [
        "BEGIN",
        "begin work",
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE, NOT DEFERRABLE",
    ] {
        assert_eq!(one(text), Command::Begin("BEGIN"), "{text}");
    }
    assert_eq!(
        one("START TRANSACTION"),
        Command::Begin("START TRANSACTION")
    );
    for text in ["COMMIT", "END", "commit work", "END TRANSACTION"] {
        assert_eq!(one(text), Command::Commit);
    }
    for text in ["ROLLBACK", "ABORT", "ROLLBACK WORK"] {
        assert_eq!(one(text), Command::Rollback);
    }
    assert_eq!(one("SAVEPOINT \"A b\""), Command::Savepoint("A b".into()));
    assert_eq!(one("RELEASE SAVEPOINT Abc"), Command::Release("abc".into()));
    assert_eq!(
        one("ROLLBACK TO SAVEPOINT x"),
        Command::RollbackTo("x".into())
    );
    assert_eq!(error("BEGIN nonsense").code, state::SYNTAX);
    assert_eq!(error("COMMIT PREPARED 'x'").position, Some(8));
}

#[test]
fn settings() {
    let set = |name: &str, value: Option<&str>, local| {
        Command::Set(Set {
            name: name.into(),
            value: value.map(Into::into),
            local,
        })
    };
    assert_eq!(
        one("SET extra_float_digits = 3"),
        set("extra_float_digits", Some("3"), false)
    );
    assert_eq!(
        one("SET application_name = 'a ''b'"),
        set("application_name", Some("a 'b"), false)
    );
    assert_eq!(one("SET LOCAL x.y TO -1"), set("x.y", Some("-1"), true));
    assert_eq!(
        one("SET SESSION search_path TO public, \"$user\""),
        set("search_path", Some("public, $user"), false)
    );
    assert_eq!(
        one("SET TIME ZONE 'UTC'"),
        set("timezone", Some("UTC"), false)
    );
    assert_eq!(
        one("SET NAMES 'utf8'"),
        set("client_encoding", Some("utf8"), false)
    );
    assert_eq!(
        one("SET datestyle TO DEFAULT"),
        set("datestyle", None, false)
    );
    assert_eq!(one("SET ROLE none"), set("role", Some("none"), false));
    assert_eq!(
        one("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
        set("transaction_mode", None, false)
    );
    assert_eq!(
        one("SHOW server_version"),
        Command::Show(Some("server_version".into()))
    );
    assert_eq!(one("SHOW ALL"), Command::Show(None));
    assert_eq!(
        one("SHOW TIME ZONE"),
        Command::Show(Some("timezone".into()))
    );
    assert_eq!(
        one("show transaction isolation level"),
        Command::Show(Some("transaction_isolation".into()))
    );
    assert_eq!(one("SHOW TABLES"), Command::Ask);
    assert_eq!(one("SHOW COLUMNS FROM history"), Command::Ask);
    assert_eq!(one("RESET ALL"), Command::Reset(None));
    assert_eq!(error("SET a").code, state::SYNTAX);
}

#[test]
fn cursors_and_statements() {
    let text = "DECLARE \"C\" NO SCROLL CURSOR WITHOUT HOLD FOR SELECT 1";
    let Command::Declare { name, query } = one(text) else {
        panic!("{text}");
    };
    assert_eq!((name.as_str(), &text[query..]), ("C", "SELECT 1"));
    let fetch = |rows, skip| Command::Fetch {
        name: "c".into(),
        rows,
        skip,
    };
    assert_eq!(one("FETCH FORWARD 100 FROM c"), fetch(Some(100), false));
    assert_eq!(one("FETCH ALL IN c"), fetch(None, false));
    assert_eq!(one("FETCH c"), fetch(Some(1), false));
    assert_eq!(one("FETCH NEXT FROM c"), fetch(Some(1), false));
    assert_eq!(one("MOVE FORWARD ALL FROM c"), fetch(None, true));
    assert_eq!(
        error("FETCH BACKWARD 1 FROM c").code,
        state::FEATURE_NOT_SUPPORTED
    );
    assert_eq!(one("CLOSE ALL"), Command::Close(None));
    assert_eq!(
        one("DEALLOCATE PREPARE p"),
        Command::Deallocate(Some("p".into()))
    );
    assert_eq!(one("DISCARD ALL"), Command::Discard("DISCARD ALL"));
    assert_eq!(one("UNLISTEN *"), Command::Unlisten);
}

fn copied(text: &str) -> CopyOut {
    match one(text) {
        Command::Copy(copy) => copy,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn copies() {
    let copy = copied("COPY (select (1), ')' from ev) TO STDOUT (FORMAT binary)");
    assert_eq!(copy.query, "select (1), ')' from ev");
    assert_eq!((copy.before, copy.form), (Some(6), CopyForm::Binary));
    let copy = copied(
        "COPY trails.\"A b\" (x, \"Y\") TO STDOUT WITH (FORMAT 'csv', HEADER, DELIMITER ';')",
    );
    assert_eq!(copy.query, "SELECT x, \"Y\" FROM trails.\"A b\"");
    assert!(
        copy.header
            && matches!(
                copy.form,
                CopyForm::Csv {
                    delimiter: b';',
                    ..
                }
            )
    );
    assert_eq!(
        copied("COPY history TO STDOUT").query,
        "SELECT * FROM history"
    );
    let copy = copied("COPY t TO STDOUT WITH CSV HEADER NULL AS 'x'");
    assert!(copy.header && matches!(copy.form, CopyForm::Csv { ref null, .. } if null == "x"));
    assert_eq!(copied("COPY BINARY t TO STDOUT").form, CopyForm::Binary);
}

#[test]
fn a_copy_reaches_nothing_but_the_client() {
    for (text, code) in [
        ("COPY (SELECT 1) TO '/tmp/x'", state::NOT_ALLOWED),
        ("COPY (SELECT 1) TO PROGRAM 'sh'", state::NOT_ALLOWED),
        ("COPY t FROM STDIN", state::READ_ONLY),
        ("COPY t FROM '/etc/passwd'", state::READ_ONLY),
        ("COPY (SELECT 1 TO STDOUT", state::SYNTAX),
        (
            "COPY (SELECT 1) TO STDOUT (FORMAT parquet)",
            state::BAD_PARAMETER,
        ),
        (
            "COPY (SELECT 1) TO STDOUT (DELIMITER '||')",
            state::BAD_PARAMETER,
        ),
        ("COPY (SELECT 1) TO STDOUT; x", state::SYNTAX),
    ] {
        let pieces = split(text);
        let found = match pieces.len() {
            1 => command(&pieces[0]).expect_err(text).code,
            // The first is whole; what follows is judged for itself.
            _ => state::SYNTAX,
        };
        assert_eq!(found, code, "{text}");
    }
}
