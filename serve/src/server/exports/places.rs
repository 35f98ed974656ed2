//! Where exports may go.
//!
//! An administrator names places in the settings; whoever asks for an export
//! names one of them, or a folder below one. What they write is compared as
//! text and never understood as an address: no way of writing an address leads
//! past the list. Below a place each principal has a folder of its own, named
//! by its token's id, and each export one of its own in that.
//!
//! A place on disk is opened without following a link; one in a bucket is
//! reached only at public addresses and at those that the settings name.

use std::fs;
use std::net::IpAddr;
use std::path::{Path as FsPath, PathBuf};

use anyhow::{Context as _, ensure};
use axum::http::StatusCode;
use cairn_schemas::export::ExportPlace;
use cairn_schemas::{TokenId, keys};
use cairn_store::objects::{self, ObjectSettings, Reach, is_public};
use ipnet::IpNet;
use url::Url;

use super::folder::{Folder, FolderError};
use crate::config::Settings;
use crate::config::export::AllowedPlace;
use crate::server::http::error::ApiError;

/// So long may an address be.
const MOST: usize = 1024;

/// The allowed places.
#[derive(Debug)]
pub struct Places {
    list: Vec<AllowedPlace>,
    addresses: Vec<IpNet>,
    objects: ObjectSettings,
}

impl Places {
    /// Those of `settings`. Refuses a place where the server keeps its own.
    pub fn new(
        settings: &Settings,
        objects: &ObjectSettings,
        own_store: &str,
    ) -> anyhow::Result<Self> {
        let data = &settings.data.dir;
        let mut list = settings.export.allow.clone();
        if list.is_empty() {
            let folder = data.join(keys::EXPORTS_DIR);
            let url = Url::from_file_path(&folder)
                .map_err(|()| anyhow::anyhow!("the data folder is no absolute path"))?;
            list.push(AllowedPlace {
                url: url.to_string(),
                endpoint: None,
            });
        }
        for place in &list {
            let refused = || format!("export.allow = {} cannot be used", place.url);
            if let Some(folder) = folder_of(&place.url) {
                let exports = data.join(keys::EXPORTS_DIR);
                let apart = !folder.starts_with(data) && !data.starts_with(&folder);
                ensure!(
                    apart || folder.starts_with(&exports),
                    "{}: in the data folder only {} is for exports",
                    refused(),
                    exports.display()
                );
            }
            let (ours, theirs) = (format!("{own_store}/"), format!("{}/", place.url));
            ensure!(
                !ours.starts_with(&theirs) && !theirs.starts_with(&ours),
                "{}: the server's own store lies there",
                refused()
            );
        }
        Ok(Self {
            list,
            addresses: settings.export.allow_addresses.clone(),
            objects: objects.clone(),
        })
    }

    /// The places, as people are told of them.
    pub fn shown(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.list
            .iter()
            .map(|place| (place.url.as_str(), place.endpoint.as_deref()))
    }

    /// Where the export `id` of `principal` goes that was asked for at `to`.
    /// Looks at nothing but the words.
    pub fn choose(
        &self,
        principal: &str,
        to: Option<&str>,
        endpoint: Option<&str>,
        id: &str,
    ) -> Result<ExportPlace, ApiError> {
        let endpoint = endpoint.map(|e| e.trim_end_matches('/'));
        let (place, below) = match to {
            Some(to) => self.find(to.trim_end_matches('/'), endpoint)?,
            None => match self.list.first().filter(|_| endpoint.is_none()) {
                Some(first) => (first, ""),
                None => return Err(refused("an endpoint goes with an address; give both")),
            },
        };
        let mut folders: Vec<&str> = below.split('/').filter(|_| !below.is_empty()).collect();
        if let Some(bad) = folders.iter().find(|folder| !is_folder(folder)) {
            return Err(refused(format!(
                "{:?} is no name of a folder in it: use letters, digits, '-', '_' and '.', not at its beginning",
                bad.chars().take(64).collect::<String>()
            )));
        }
        match folders.first() {
            Some(first) if *first == principal => {
                folders.remove(0);
            }
            // Also one that is not there: nobody learns who else exports.
            Some(first) if TokenId::new(first).is_ok() => {
                return Err(refused(
                    "the folder of another principal; yours is made for you, so leave it away",
                ));
            }
            _ => {}
        }
        folders.insert(0, principal);
        folders.push(id);
        Ok(ExportPlace {
            root: place.url.clone(),
            endpoint: place.endpoint.clone(),
            folder: folders.join("/"),
        })
    }

    fn find<'a, 'b>(
        &'a self,
        to: &'b str,
        endpoint: Option<&str>,
    ) -> Result<(&'a AllowedPlace, &'b str), ApiError> {
        if to.len() > MOST || to.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(refused("no address of a place for exports"));
        }
        let below = |place: &AllowedPlace| match to.strip_prefix(place.url.as_str())? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        };
        let suits = |place: &&AllowedPlace| {
            below(place).is_some() && (endpoint.is_none() || place.endpoint.as_deref() == endpoint)
        };
        let found = self.list.iter().filter(suits).max_by_key(|p| {
            // Of two that suit the nearer, and of equals the one without an
            // endpoint, unless one was named.
            (p.url.len(), p.endpoint.is_none())
        });
        match found {
            Some(place) => Ok((place, below(place).unwrap_or_default())),
            None => Err(self.explain(to, endpoint)),
        }
    }

    /// Why no place suits. For people only: nothing hangs on it.
    fn explain(&self, to: &str, endpoint: Option<&str>) -> ApiError {
        if let Err(error) = objects::check_url(to) {
            return refused(error.to_string());
        }
        let inside = endpoint.and_then(|e| Url::parse(e).ok()).and_then(|url| {
            let address: IpAddr = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
            (!is_public(address)).then_some(address)
        });
        let error = match inside {
            Some(address) => refused(format!(
                "{address} lies inside the network, and the settings do not allow it"
            )),
            None => refused("the settings do not allow exports to go there"),
        };
        let names: Vec<String> = self
            .shown()
            .map(|(url, endpoint)| match endpoint {
                Some(endpoint) => format!("{url} (endpoint {endpoint})"),
                None => url.to_owned(),
            })
            .collect();
        error.hint(format!(
            "exports may go to {} or below; an administrator adds others with export.allow",
            names.join(", ")
        ))
    }

    /// Opens the folder of an export. What the settings do not allow any more
    /// is refused.
    pub async fn open(&self, place: &ExportPlace) -> Result<Folder, FolderError> {
        let allowed = self
            .list
            .iter()
            .find(|a| a.url == place.root && a.endpoint == place.endpoint);
        if allowed.is_none() {
            return Err(FolderError::Refused(
                "the settings do not allow exports to go there any more".to_owned(),
            ));
        }
        match folder_of(&place.root) {
            Some(root) => {
                let below = place.folder.clone();
                let made = tokio::task::spawn_blocking(move || make(&root, &below));
                let folder = made
                    .await
                    .map_err(|e| FolderError::Refused(e.to_string()))?;
                let folder = folder.map_err(|e| FolderError::Refused(format!("{e:#}")))?;
                Folder::local(folder).await
            }
            None => Folder::bucket(&place.url(), &self.settings_for(place)).await,
        }
    }

    fn settings_for(&self, place: &ExportPlace) -> ObjectSettings {
        let mut settings = self.objects.clone();
        if place.endpoint.is_some() {
            settings.endpoint.clone_from(&place.endpoint);
        }
        // An address that the settings name as an endpoint is named.
        let named = settings
            .endpoint
            .as_deref()
            .and_then(|e| Url::parse(e).ok());
        let named = named.and_then(|url| {
            let address: IpAddr = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
            Some(IpNet::from(address))
        });
        let inside = self.addresses.iter().copied().chain(named);
        settings.reach = Some(Reach::new(inside));
        settings
    }
}

fn refused(why: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "destination_refused",
        format!("the export's destination is refused: {why}"),
    )
}

/// Whether this is a harmless name of a folder.
fn is_folder(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(legal)
}

fn folder_of(url: &str) -> Option<PathBuf> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

/// Makes `below` in `root`, and refuses links on the way: one would have Cairn
/// write where nobody allowed it.
fn make(root: &FsPath, below: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
    let real = root.canonicalize()?;
    ensure!(
        real == root,
        "{} is reached over a symbolic link: write {} into export.allow",
        root.display(),
        real.display()
    );
    let mut folder = root.to_owned();
    for part in below.split('/') {
        folder.push(part);
        // Made first and looked at then: what is there when it is made is
        // what is looked at.
        match fs::create_dir(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(e).with_context(|| format!("cannot make {}", folder.display()));
            }
            _ => {}
        }
        let is_dir = fs::symlink_metadata(&folder)?.is_dir();
        ensure!(
            is_dir,
            "{} is a symbolic link or no folder: remove it",
            folder.display()
        );
    }
    ensure!(
        folder.canonicalize()? == folder,
        "{} is reached over a symbolic link",
        folder.display()
    );
    Ok(folder)
}

#[cfg(test)]
mod tests;
