use super::*;

#[test]
fn nothing_that_drives_a_terminal_gets_through() {
    assert_eq!(visible("plain ünïcode 日本"), "plain ünïcode 日本");
    assert_eq!(visible("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    assert_eq!(visible("a\nb\tc\r"), "a\\nb\\tc\\r");
    assert_eq!(visible("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
    assert_eq!(visible("user\u{202e}gpj.exe"), "user\\u{202e}gpj.exe");
}

#[test]
fn the_filter_keeps_lines_and_joins_split_characters() {
    let mut filter = TerminalFilter::default();
    let bytes = "é\u{9b}x\ty\n\u{1b}]0;".as_bytes();
    let shown: String = bytes.iter().map(|byte| filter.pass(&[*byte])).collect();
    assert_eq!(shown, "é\\u{9b}x\ty\n\\u{1b}]0;");
    assert_eq!(filter.pass(&[0xff, b'a']), "\u{fffd}a");
}

#[test]
fn columns_line_up() {
    let (mut out, stdout, _) = Out::captured();
    let mut columns = Columns::new(&["NAME", "X"]);
    columns.row(vec!["a\u{1b}".to_owned(), "1".to_owned()]);
    columns.row(vec!["b".to_owned(), "2".to_owned()]);
    columns.print(&mut out).unwrap();
    assert_eq!(stdout.text(), "NAME     X\na\\u{1b}  1\nb        2\n");
}
