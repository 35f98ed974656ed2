//! An answer from the wire to where it goes, checked for its proper end.

use std::io::Write;

use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;
use reqwest::Response;

use super::table::TableWriter;
use super::{Amount, Format};
use crate::cli::Failure;
use crate::cli::output::TerminalFilter;
use crate::client::ClientError;

/// The end-of-stream marker of Arrow's stream format.
const ARROW_END: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// The last bytes of every Parquet file.
const PARQUET_END: &[u8] = b"PAR1";

/// Copies the answer to `sink`. `shown` says that a terminal gets the bytes.
pub(super) async fn copy(
    response: Response,
    format: Format,
    shown: bool,
    sink: &mut dyn Write,
) -> Result<Amount, Failure> {
    match format {
        Format::Table => copy_table(response, sink).await,
        Format::Csv | Format::Json | Format::Ndjson if shown => {
            copy_to_terminal(response, sink).await
        }
        Format::Parquet => copy_bytes(response, PARQUET_END, sink).await,
        _ => copy_bytes(response, b"", sink).await,
    }
}

async fn next(response: &mut Response) -> Result<Option<Bytes>, Failure> {
    response
        .chunk()
        .await
        .map_err(|source| ClientError::CutShort { source }.into())
}

/// The last few bytes of what passed.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn pass(&mut self, block: &[u8]) {
        self.0
            .extend_from_slice(&block[block.len().saturating_sub(8)..]);
        let surplus = self.0.len().saturating_sub(8);
        self.0.drain(..surplus);
    }

    fn check(&self, end: &[u8]) -> Result<(), Failure> {
        if self.0.ends_with(end) {
            Ok(())
        } else {
            Err(incomplete("it has no proper end"))
        }
    }
}

fn incomplete(why: &str) -> Failure {
    Failure::Other(format!(
        "the answer was cut short: {why}; what came is incomplete"
    ))
}

async fn copy_bytes(
    mut response: Response,
    end: &[u8],
    sink: &mut dyn Write,
) -> Result<Amount, Failure> {
    let mut amount = Amount::default();
    let mut tail = Tail::default();
    while let Some(block) = next(&mut response).await? {
        sink.write_all(&block)?;
        tail.pass(&block);
        amount.bytes += block.len() as u64;
    }
    tail.check(end)?;
    Ok(amount)
}

async fn copy_to_terminal(mut response: Response, sink: &mut dyn Write) -> Result<Amount, Failure> {
    let mut amount = Amount::default();
    let mut filter = TerminalFilter::default();
    let mut ends_line = true;
    while let Some(block) = next(&mut response).await? {
        sink.write_all(filter.pass(&block).as_bytes())?;
        ends_line = block.ends_with(b"\n");
        amount.bytes += block.len() as u64;
    }
    if !ends_line {
        writeln!(sink)?;
    }
    Ok(amount)
}

async fn copy_table(mut response: Response, sink: &mut dyn Write) -> Result<Amount, Failure> {
    let unreadable = |e: arrow::error::ArrowError| incomplete(&e.to_string());
    let mut decoder = StreamDecoder::new();
    let mut table = TableWriter::default();
    let mut tail = Tail::default();
    let mut amount = Amount::default();
    while let Some(block) = next(&mut response).await? {
        tail.pass(&block);
        amount.bytes += block.len() as u64;
        let mut buffer = Buffer::from(block);
        while !buffer.is_empty() {
            if let Some(batch) = decoder.decode(&mut buffer).map_err(unreadable)? {
                table.push(&batch, sink)?;
            }
        }
    }
    decoder.finish().map_err(unreadable)?;
    tail.check(ARROW_END)?;
    let rows = table.finish(decoder.schema().as_deref(), sink)?;
    amount.rows = Some(rows);
    Ok(amount)
}
