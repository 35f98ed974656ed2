use proptest::prelude::*;

use super::*;

#[test]
fn what_would_run_is_neutralised_and_nothing_else() {
    for text in [
        "=1+1",
        "+1",
        "-1+1",
        "@SUM(A1)",
        "=HYPERLINK(\"http://x\",\"y\")",
        "\t=cmd",
        "\tx",
        "\rx",
        "\nx",
        "\r\n=x",
        "'\t",
        "\"\nx",
        " =x",
        "   -2",
        "\"=x",
        "'=x",
        "''=x",
        " \"' =x",
        "\u{feff}=x",
        "\u{a0}=x",
        "\u{200b}=x",
        "\u{3000}=x",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        " ＝1",
        "\u{fe66}1",
        "\u{2212}1",
        "\u{0}=x",
        "-",
        "=",
    ] {
        assert_eq!(neutral(text), format!("'{text}"), "{text:?}");
    }
    for text in [
        "",
        " ",
        "a=b",
        "1-1",
        "x@y",
        "'",
        "'a",
        "\"a\"",
        "ab\t=c",
        "arn:aws:iam::1:root",
        "2026-01-02",
    ] {
        assert_eq!(neutral(text), text, "{text:?}");
    }
}

proptest! {
    #[test]
    fn nothing_is_lost(text in "[ '\"=+@a\t\u{ff1d}-]{0,8}") {
        let cell = neutral(&text);
        prop_assert_eq!(restore(&cell), &text);
        // Once more changes nothing: what was neutralised does not run.
        prop_assert!(!runs(&text) || cell.starts_with('\''));
    }
}
