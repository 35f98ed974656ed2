//! Small tables for people: lists of trails, tokens, accounts.

use std::io;

use serde_json::Value;

use super::{Out, visible};

/// Left-aligned columns under a heading.
#[derive(Debug)]
pub(in crate::cli) struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// Begins with the heading.
    pub(in crate::cli) fn new(heading: &[&str]) -> Self {
        let heading = heading.iter().map(|cell| (*cell).to_owned()).collect();
        Self {
            rows: vec![heading],
        }
    }

    /// Adds a row.
    pub(in crate::cli) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(
            cells
                .iter()
                .map(|cell| visible(cell).into_owned())
                .collect(),
        );
    }

    /// Writes everything.
    pub(in crate::cli) fn print(&self, out: &mut Out) -> io::Result<()> {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |i: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(i))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            out.line(line.trim_end())?;
        }
        Ok(())
    }
}

/// A JSON value in a cell: text without quotes, lists with commas, a dash
/// for null.
pub(in crate::cli) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}={}", cell(value)))
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}
