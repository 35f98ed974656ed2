//! `COPY … TO STDOUT`: rows as text, as CSV, or as on the wire.

use bytes::{BufMut as _, BytesMut};
use pgwire::messages::PgWireBackendMessage as Back;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};

use super::encode::Rows;
use super::error::PgError;
use super::run::Running;
use super::session::{Fail, Session};
use super::statement::{CopyForm, CopyOut};
use super::types::Column;

/// What a binary copy begins with: a signature that any conversion of text
/// would break, no flags, no extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

impl Session {
    /// Copies all rows. Gives the tag.
    pub(super) async fn copy(
        &mut self,
        running: &mut Running,
        copy: &CopyOut,
    ) -> Result<String, Fail> {
        let binary = copy.form == CopyForm::Binary;
        let code = i16::from(binary);
        running.reformat(&[code])?;
        let columns = i16::try_from(running.columns.len())
            .map_err(|_| PgError::protocol("too many columns"))?;
        let formats = vec![code; running.columns.len()];
        let response = CopyOutResponse::new(i8::from(binary), columns, formats);
        self.wire.put(Back::CopyOutResponse(response))?;
        let names = running.columns.clone();
        // It stands before the first row in one message, as PostgreSQL has it:
        // readers rely on that.
        let mut signature = if binary { SIGNATURE } else { b"" };
        if copy.header {
            message(self.wire.out(), |out| header(&copy.form, &names, out));
        }
        let sent = self
            .each_row(running, None, |rows, _, out| {
                message(out, |out| {
                    out.put_slice(std::mem::take(&mut signature));
                    line(&copy.form, rows, out);
                });
            })
            .await?;
        if binary {
            message(self.wire.out(), |out| {
                out.put_slice(signature);
                out.put_i16(-1);
            });
        }
        self.wire.put(Back::CopyDone(CopyDone::new()))?;
        Ok(running.tag(sent.rows))
    }
}

/// One CopyData message.
fn message(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(b'd');
    let start = out.len();
    out.put_i32(0);
    write(out);
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn header(form: &CopyForm, columns: &[Column], out: &mut BytesMut) {
    let mut first = true;
    for column in columns {
        field(
            form,
            first,
            Some(column.name.as_bytes()),
            columns.len(),
            out,
        );
        first = false;
    }
    out.put_u8(b'\n');
}

fn line(form: &CopyForm, rows: &mut Rows, out: &mut BytesMut) {
    if *form == CopyForm::Binary {
        rows.write_tuple(out);
        return;
    }
    let count = rows.columns();
    let mut first = true;
    rows.each_text(|value| {
        field(form, first, value, count, out);
        first = false;
    });
    out.put_u8(b'\n');
}

/// One value of a line of `count`.
fn field(form: &CopyForm, first: bool, value: Option<&[u8]>, count: usize, out: &mut BytesMut) {
    match form {
        CopyForm::Binary => {}
        CopyForm::Text { delimiter, null } => {
            if !first {
                out.put_u8(*delimiter);
            }
            match value {
                None => out.put_slice(null.as_bytes()),
                Some(value) => escaped(value, *delimiter, out),
            }
        }
        CopyForm::Csv {
            delimiter,
            quote,
            escape,
            null,
            force_quote,
        } => {
            if !first {
                out.put_u8(*delimiter);
            }
            let Some(value) = value else {
                out.put_slice(null.as_bytes());
                return;
            };
            // What looks like a null is quoted, and so is the end of data that
            // older readers know.
            let must = *force_quote
                || value == null.as_bytes()
                || (count == 1 && value == b"\\.")
                || value
                    .iter()
                    .any(|b| matches!(b, b'\n' | b'\r') || b == delimiter || b == quote);
            if !must {
                out.put_slice(value);
                return;
            }
            out.put_u8(*quote);
            for byte in value {
                if byte == quote || byte == escape {
                    out.put_u8(*escape);
                }
                out.put_u8(*byte);
            }
            out.put_u8(*quote);
        }
    }
}

/// PostgreSQL's escapes for text.
fn escaped(value: &[u8], delimiter: u8, out: &mut BytesMut) {
    for byte in value {
        let letter = match byte {
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x0b => b'v',
            other if *other == delimiter => *other,
            other => {
                out.put_u8(*other);
                continue;
            }
        };
        out.put_u8(b'\\');
        out.put_u8(letter);
    }
}

#[cfg(test)]
mod tests;
