//! Lines of text and of CSV, as PostgreSQL 15 writes them.

use super::*;

fn written(form: &CopyForm, values: &[Option<&str>]) -> String {
    let mut out = BytesMut::new();
    for (at, value) in values.iter().enumerate() {
        field(
            form,
            at == 0,
            value.map(str::as_bytes),
            values.len(),
            &mut out,
        );
    }
    String::from_utf8(out.to_vec()).unwrap()
}

fn csv() -> CopyForm {
    CopyForm::Csv {
        delimiter: b',',
        quote: b'"',
        escape: b'"',
        null: String::new(),
        force_quote: false,
    }
}

#[test]
fn text() {
    let form = CopyForm::Text {
        delimiter: b'\t',
        null: "\\N".into(),
    };
    assert_eq!(
        written(&form, &[Some("a\tb\\\n"), None, Some(""), Some("\\N")]),
        "a\\tb\\\\\\n\t\\N\t\t\\\\N"
    );
}

#[test]
fn comma_separated_values() {
    assert_eq!(
        written(
            &csv(),
            &[Some("a,b"), None, Some(""), Some("say \"x\""), Some("1\n2")]
        ),
        "\"a,b\",,\"\",\"say \"\"x\"\"\",\"1\n2\""
    );
    assert_eq!(written(&csv(), &[Some("\\.")]), "\"\\.\"");
}
