//! What clients send, read with care: every length is checked against what is
//! there, every text is UTF-8, and nothing may be left over.
//!
//! Not pgwire's own reader: it trusts counts in messages, and panics on those
//! that end too early.

use bytes::{Buf as _, Bytes};

use super::error::{PgError, state};

/// What a Describe or a Close is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement,
    Portal,
}

/// A message of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Front {
    Query(String),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target, String),
    Execute {
        portal: String,
        /// 0 is all.
        rows: usize,
    },
    Close(Target, String),
    Flush,
    Sync,
    Terminate,
    /// Of a COPY that is over or never was; PostgreSQL passes over these.
    Copy,
    /// A message that this server does not have.
    Unknown(u8),
}

/// Values for a statement's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    /// One for all, one each, or none for text.
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
    /// The same for the result's columns.
    pub(super) results: Vec<i16>,
}

/// Reads fields off a message's body.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    fn short() -> PgError {
        PgError::protocol("insufficient data left in message")
    }

    pub(super) fn take(&mut self, count: usize) -> Result<Bytes, PgError> {
        match self.0.len() >= count {
            true => Ok(self.0.split_to(count)),
            false => Err(Self::short()),
        }
    }

    fn byte(&mut self) -> Result<u8, PgError> {
        Ok(self.take(1)?.get_u8())
    }

    pub(super) fn short_int(&mut self) -> Result<i16, PgError> {
        Ok(self.take(2)?.get_i16())
    }

    pub(super) fn int(&mut self) -> Result<i32, PgError> {
        Ok(self.take(4)?.get_i32())
    }

    /// A text that ends with a zero byte.
    pub(super) fn text(&mut self) -> Result<String, PgError> {
        let end = memchr::memchr(0, &self.0).ok_or_else(Self::short)?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(text.into()).map_err(|_| {
            PgError::new(
                state::BAD_TEXT,
                "invalid byte sequence for encoding \"UTF8\"",
            )
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn count(&mut self) -> Result<usize, PgError> {
        // Unsigned: PostgreSQL's own clients send up to 65,535 parameters.
        Ok(usize::from(self.take(2)?.get_u16()))
    }

    fn formats(&mut self) -> Result<Vec<i16>, PgError> {
        let count = self.count()?;
        (0..count).map(|_| self.short_int()).collect()
    }

    fn target(&mut self) -> Result<Target, PgError> {
        match self.byte()? {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            other => Err(PgError::protocol(format!(
                "{:?} is neither a statement nor a portal",
                char::from(other)
            ))),
        }
    }

    fn value(&mut self) -> Result<Option<Bytes>, PgError> {
        match self.int()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Self::short())?;
                self.take(length).map(Some)
            }
        }
    }

    fn bind(&mut self) -> Result<Bind, PgError> {
        let (portal, statement) = (self.text()?, self.text()?);
        let formats = self.formats()?;
        let count = self.count()?;
        let values = (0..count).map(|_| self.value()).collect::<Result<_, _>>()?;
        Ok(Bind {
            portal,
            statement,
            formats,
            values,
            results: self.formats()?,
        })
    }
}

/// Understands a message of type `kind`.
pub(super) fn read(kind: u8, body: Bytes) -> Result<Front, PgError> {
    let mut fields = Fields(body);
    let front = match kind {
        b'Q' => Front::Query(fields.text()?),
        b'P' => {
            let (name, sql) = (fields.text()?, fields.text()?);
            let count = fields.count()?;
            let types: Result<_, PgError> =
                (0..count).map(|_| Ok(fields.take(4)?.get_u32())).collect();
            Front::Parse {
                name,
                sql,
                types: types?,
            }
        }
        b'B' => Front::Bind(fields.bind()?),
        b'D' => Front::Describe(fields.target()?, fields.text()?),
        b'E' => Front::Execute {
            portal: fields.text()?,
            // Below zero is all, as in PostgreSQL.
            rows: usize::try_from(fields.int()?).unwrap_or(0),
        },
        b'C' => Front::Close(fields.target()?, fields.text()?),
        b'H' => Front::Flush,
        b'S' => Front::Sync,
        b'X' => Front::Terminate,
        b'd' | b'c' | b'f' => return Ok(Front::Copy),
        other => return Ok(Front::Unknown(other)),
    };
    match fields.is_empty() {
        true => Ok(front),
        false => Err(PgError::protocol("invalid message format")),
    }
}

#[cfg(test)]
mod tests;
