//! How many rows a file of an export holds, by the file alone.

use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Whether files of this format can be counted.
pub fn is_known(format: &str) -> bool {
    matches!(
        format,
        "parquet" | "csv" | "ndjson" | "cloudtrail" | "actiontrail"
    )
}

/// The rows in a file of `format`. Memory is bounded by the file as it is, not
/// by what it may unpack to.
pub fn rows(format: &str, file: &Bytes) -> Result<u64, String> {
    match format {
        "parquet" => parquet_rows(file),
        "csv" => csv_rows(file),
        "ndjson" => lines(unpacked(file)),
        "cloudtrail" => {
            #[derive(Deserialize)]
            struct Records {
                #[serde(rename = "Records")]
                records: Vec<IgnoredAny>,
            }
            json(unpacked(file)).map(|found: Records| found.records.len() as u64)
        }
        "actiontrail" => json(unpacked(file)).map(|found: Vec<IgnoredAny>| found.len() as u64),
        other => Err(format!("the format {other:?} is not known")),
    }
}

fn unpacked(file: &Bytes) -> impl Read + '_ {
    BufReader::new(MultiGzDecoder::new(&file[..]))
}

fn json<T: serde::de::DeserializeOwned>(text: impl Read) -> Result<T, String> {
    serde_json::from_reader(text).map_err(|e| e.to_string())
}

fn parquet_rows(file: &Bytes) -> Result<u64, String> {
    // The file may come from anybody, and its reader was not always free of
    // panics for such.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let reader = SerializedFileReader::new(file.clone()).map_err(|e| e.to_string())?;
        let metadata = reader.metadata();
        let groups: i64 = metadata.row_groups().iter().map(|g| g.num_rows()).sum();
        match metadata.file_metadata().num_rows() == groups {
            true => Ok(groups),
            false => Err("its row groups do not add up".to_owned()),
        }
    }));
    let rows = read.unwrap_or_else(|_| Err("its footer cannot be read".to_owned()))?;
    u64::try_from(rows).map_err(|e| e.to_string())
}

/// Records after the header; line ends within quotes do not count.
fn csv_rows(file: &[u8]) -> Result<u64, String> {
    let (mut quoted, mut records, mut open) = (false, 0u64, false);
    for byte in file {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                records += 1;
                open = false;
                continue;
            }
            _ => {}
        }
        open = true;
    }
    if quoted {
        return Err("a quote is open at its end".to_owned());
    }
    (records + u64::from(open))
        .checked_sub(1)
        .ok_or_else(|| "it has no header".to_owned())
}

fn lines(mut text: impl Read) -> Result<u64, String> {
    let mut block = vec![0; 64 << 10];
    let (mut lines, mut last) = (0u64, b'\n');
    loop {
        let length = text.read(&mut block).map_err(|e| e.to_string())?;
        let Some(end) = block[..length].last() else {
            break;
        };
        last = *end;
        lines += memchr::memchr_iter(b'\n', &block[..length]).count() as u64;
    }
    match last {
        b'\n' => Ok(lines),
        _ => Err("its last line has no end".to_owned()),
    }
}

#[cfg(test)]
mod tests;
