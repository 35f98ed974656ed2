//! `cairn export verify`.

use std::path::PathBuf;

use cairn_store::objects;
use clap::{Args, Command, FromArgMatches};
use serde_json::json;
use url::Url;

use crate::cli::output::Out;
use crate::cli::{Exit, Failure, Outcome};
use crate::config::Settings;
use crate::config::flags::ServeArgs;
use crate::export::verify::{Bucket, Folder, Report, Source, verify};
use crate::server::ambient::SystemClock;
use crate::server::stores::object_settings;

/// Arguments of `cairn export verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The export's folder: a path, file:///folder or s3://bucket/folder
    #[arg(value_name = "DIR|URL")]
    place: String,
    /// The manifest's SHA-256, as it was handed over by another way
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// The S3 endpoint; keys, region and the rest come from the environment, as for `cairn serve`
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(args: VerifyArgs, out: &mut Out) -> Outcome {
    let source = source(&args).await?;
    let handed = args.sha256.as_deref().map(str::trim);
    if handed.is_some_and(|h| h.len() != 64 || !h.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(Failure::Usage(
            "--sha256 takes the 64 hexadecimal digits of the manifest's hash".to_owned(),
        ));
    }
    let report = verify(source.as_ref(), handed)
        .await
        .map_err(|e| Failure::Other(e.to_string()))?;
    match args.json {
        true => out.line(&as_json(&report))?,
        false => print(&report, out)?,
    }
    match report.is_valid() {
        true => Ok(Exit::Done),
        false => Err(Failure::Other(format!(
            "the export is INVALID: {} of its objects are wrong",
            report.invalid.len()
        ))),
    }
}

async fn source(args: &VerifyArgs) -> Result<Box<dyn Source>, Failure> {
    let folder = match Url::parse(&args.place) {
        Ok(url) if url.scheme() == "s3" => {
            let settings = environment()?;
            let mut settings = object_settings(&settings, &(std::sync::Arc::new(SystemClock) as _));
            if let Some(endpoint) = &args.endpoint {
                settings.endpoint = Some(endpoint.clone());
            }
            let opened = objects::open(&args.place, &settings).await;
            let opened = opened.map_err(|e| Failure::Other(e.to_string()))?;
            return Ok(Box::new(Bucket(opened)));
        }
        Ok(url) if url.scheme() == "file" => url
            .to_file_path()
            .map_err(|()| Failure::Usage("write file:///folder, with three slashes".to_owned()))?,
        _ => PathBuf::from(&args.place),
    };
    if !folder.is_dir() {
        return Err(Failure::Other(format!(
            "{} is no folder: name the one that holds manifest.json",
            folder.display()
        )));
    }
    Ok(Box::new(Folder(folder)))
}

/// What the environment says of S3, by the same names as for the server.
fn environment() -> Result<Settings, Failure> {
    let command = ServeArgs::augment_args(Command::new("cairn").no_binary_name(true));
    let none: [&str; 0] = [];
    let matches = command
        .try_get_matches_from(none)
        .and_then(|matches| ServeArgs::from_arg_matches(&matches));
    let given = matches.map_err(|e| Failure::Usage(e.to_string()))?;
    Ok(given.settings()?)
}

fn print(report: &Report, out: &mut Out) -> Result<(), Failure> {
    for invalid in &report.invalid {
        out.line(&format!("INVALID {}: {}", invalid.name, invalid.why))?;
    }
    if report.is_valid() {
        out.line(&format!(
            "OK export {}: {} rows in {} files of {} bytes, manifest SHA-256 {}",
            report.id.as_deref().unwrap_or_default(),
            report.rows,
            report.files,
            report.bytes,
            report.manifest_sha256.as_deref().unwrap_or_default()
        ))?;
    }
    Ok(())
}

fn as_json(report: &Report) -> String {
    let invalid: Vec<_> = report
        .invalid
        .iter()
        .map(|i| json!({"name": i.name, "why": i.why}))
        .collect();
    json!({
        "valid": report.is_valid(),
        "id": report.id,
        "rows": report.rows,
        "files": report.files,
        "bytes": report.bytes,
        "manifest_sha256": report.manifest_sha256,
        "invalid": invalid,
    })
    .to_string()
}
