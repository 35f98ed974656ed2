//! CSV cells that a spreadsheet would run.
//!
//! A user agent, a bucket's name, a tag: whoever can have an event written can
//! have `=HYPERLINK(…)` written, and a spreadsheet runs it for the auditor who
//! opens the file. An apostrophe before it makes it text. It is put before
//! whatever could count as a formula's beginning, also behind blanks and
//! quotes and in the wide forms of East Asian keyboards, which some programs
//! take for the narrow ones. It can be taken away again: see [`restore`].

/// Whether a spreadsheet could run `text`.
pub fn runs(text: &str) -> bool {
    // Programs let these go from a cell's beginning, and run what stands behind.
    // Behind quotes too: an apostrophe more must not change the verdict, or what
    // was put before a cell could not be told from what stood there.
    let unquoted = text.trim_start_matches(['\'', '"']);
    if unquoted.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    let skipped = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(
                c,
                '"' | '\'' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{180e}'
            )
    };
    text.trim_start_matches(skipped).starts_with([
        '=', '+', '-', '@', // and their wide, small and mathematical forms
        '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{fe66}', '\u{fe62}', '\u{fe63}',
        '\u{fe6b}', '\u{2212}',
    ])
}

/// What is written for `text`.
pub fn neutral(text: &str) -> std::borrow::Cow<'_, str> {
    match runs(text) {
        true => format!("'{text}").into(),
        false => text.into(),
    }
}

/// What was there before [`neutral`]: an apostrophe goes where the rest could
/// run.
pub fn restore(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if runs(rest) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests;
