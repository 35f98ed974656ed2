//! Statements with named parameters: `:name` becomes `$1`, `$2` and so on,
//! which are bound as values. No value ever becomes part of a statement's text.

use crate::error::QueryError;
use crate::idiom::skipped;

/// A statement whose parameters have numbers in place of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The statement.
    pub sql: String,
    /// The names of `$1`, `$2` and so on; each name has one number.
    pub names: Vec<String>,
}

impl Template {
    /// Reads the statement. What stands in quotes and comments stays as it is,
    /// and so do `::` and the colon of a slice, which follows a value.
    pub fn new(sql: &str) -> Result<Self, QueryError> {
        let mut made = String::with_capacity(sql.len());
        let mut names: Vec<String> = vec![];
        let mut rest = sql;
        let mut before = ' ';
        while let Some(first) = rest.chars().next() {
            let step = match skipped(rest) {
                Some(quoted) => quoted,
                None => match parameter(rest, before) {
                    Some(name) => {
                        let number = names.iter().position(|n| n == name).unwrap_or_else(|| {
                            names.push(name.to_owned());
                            names.len() - 1
                        });
                        made.push_str(&format!("${}", number + 1));
                        rest = &rest[1 + name.len()..];
                        before = ')';
                        continue;
                    }
                    None if first == '$' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                        return Err(QueryError::invalid(
                            "the parameters of a saved query have names, not numbers",
                        )
                        .with_hint("write :name in place of $1"));
                    }
                    None => first.len_utf8(),
                },
            };
            let (passed, after) = rest.split_at(step);
            made.push_str(passed);
            before = passed.chars().next_back().unwrap_or(' ');
            rest = after;
        }
        Ok(Self { sql: made, names })
    }
}

/// The name of the parameter that `rest` begins with, after the letter `before`.
fn parameter(rest: &str, before: char) -> Option<&str> {
    let name = rest.strip_prefix(':')?;
    if before == ':' || before == ']' || before == ')' || before.is_alphanumeric() || before == '_'
    {
        return None;
    }
    let end = name
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(name.len());
    let name = &name[..end];
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        .then_some(name)
}

#[cfg(test)]
mod tests;
