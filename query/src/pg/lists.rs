//! Lists as PostgreSQL writes them: `{a,"b,c",NULL}`.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

/// The items; `None` if it is no list of plain values.
pub(crate) fn items(written: &str) -> Option<Vec<Option<String>>> {
    let inside = written.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inside.trim().is_empty() {
        return Some(vec![]);
    }
    let (mut items, mut item) = (vec![], String::new());
    // Whether it was quoted, at all and right now.
    let (mut text, mut quoted) = (false, false);
    let mut end = |item: &mut String, text: &mut bool| {
        let item = std::mem::take(item);
        let text = std::mem::take(text);
        let is_null = !text && item.eq_ignore_ascii_case("null");
        items.push((!is_null).then_some(item));
    };
    let mut letters = inside.chars();
    while let Some(c) = letters.next() {
        match c {
            '\\' => item.push(letters.next()?),
            '"' => {
                quoted = !quoted;
                text = true;
            }
            '{' | '}' if !quoted => return None,
            ',' if !quoted => end(&mut item, &mut text),
            // Around an item, not within it.
            c if c.is_whitespace() && !quoted && (item.is_empty() || text) => {}
            c => item.push(c),
        }
    }
    end(&mut item, &mut text);
    (!quoted).then_some(items)
}

/// The value of such a list, if each item is an `item`.
pub(crate) fn value(written: &str, item: &DataType) -> Option<ScalarValue> {
    let values: Vec<ScalarValue> = items(written)?
        .into_iter()
        .map(|text| ScalarValue::Utf8(text).cast_to(item).ok())
        .collect::<Option<_>>()?;
    let list = ScalarValue::new_list_nullable(&values, item);
    Some(ScalarValue::List(Arc::clone(&list)))
}

#[cfg(test)]
mod tests;
