//! Rows that are kept: in Arrow's stream format, batch by batch in and out.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// The file's name in the query's folder.
pub(super) const ROWS: &str = "rows.arrow";

/// Puts batches into the file.
pub(super) struct Writer {
    encoder: StreamWriter<Vec<u8>>,
    file: tokio::fs::File,
}

fn io(error: ArrowError) -> std::io::Error {
    std::io::Error::other(error)
}

impl Writer {
    pub(super) async fn create(folder: &Path, schema: &SchemaRef) -> std::io::Result<Self> {
        let mut options = tokio::fs::OpenOptions::new();
        let options = options.create_new(true).write(true).mode(0o600);
        Ok(Self {
            encoder: StreamWriter::try_new(Vec::new(), schema).map_err(io)?,
            file: options.open(folder.join(ROWS)).await?,
        })
    }

    /// How many bytes it took.
    pub(super) async fn write(&mut self, batch: &RecordBatch) -> std::io::Result<u64> {
        self.encoder.write(batch).map_err(io)?;
        self.put().await
    }

    /// The end; durable on return.
    pub(super) async fn finish(mut self) -> std::io::Result<u64> {
        self.encoder.finish().map_err(io)?;
        let bytes = self.put().await?;
        self.file.sync_all().await?;
        Ok(bytes)
    }

    async fn put(&mut self) -> std::io::Result<u64> {
        let ready = std::mem::take(self.encoder.get_mut());
        self.file.write_all(&ready).await?;
        self.file.flush().await?;
        Ok(ready.len() as u64)
    }
}

/// What a reader says: a batch, or the proper end.
pub type Part = Result<Option<RecordBatch>, std::io::Error>;

/// The rows from `offset` on, `limit` at the most, read as they are taken; and
/// their columns.
pub async fn read(
    path: PathBuf,
    offset: u64,
    limit: u64,
) -> std::io::Result<(SchemaRef, mpsc::Receiver<Part>)> {
    let open = move || StreamReader::try_new(BufReader::new(File::open(path)?), None).map_err(io);
    let reader = tokio::task::spawn_blocking(open);
    let reader = reader.await.map_err(std::io::Error::other)??;
    let schema = reader.schema();
    let (out, parts) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        // An error means that nobody reads any more.
        let _ = match give(reader, offset, limit, &out) {
            Ok(()) => out.blocking_send(Ok(None)),
            Err(error) => out.blocking_send(Err(io(error))),
        };
    });
    Ok((schema, parts))
}

fn give(
    reader: StreamReader<BufReader<File>>,
    mut skip: u64,
    mut left: u64,
    out: &mpsc::Sender<Part>,
) -> Result<(), ArrowError> {
    for batch in reader {
        let batch = batch?;
        let rows = batch.num_rows() as u64;
        let from = skip.min(rows);
        skip -= from;
        let taken = (rows - from).min(left);
        left -= taken;
        let (from, taken) = (usize::try_from(from), usize::try_from(taken));
        let (Ok(from), Ok(taken)) = (from, taken) else {
            continue;
        };
        if taken > 0
            && out
                .blocking_send(Ok(Some(batch.slice(from, taken))))
                .is_err()
        {
            return Ok(());
        }
        if left == 0 {
            return Ok(());
        }
    }
    Ok(())
}
