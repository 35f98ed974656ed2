//! Object stores: how they are reached, and what they say of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_schemas::{Clock, TrailId};
use cairn_store::objects::{self, ObjectLock, ObjectSettings, OpenError, Opened, WormStatus};
use futures::future::join_all;
use parking_lot::RwLock;
use serde_json::{Value, json};

use super::app::Ambient;
use crate::config::Settings;

/// What the configuration says of S3, for those who open stores.
pub fn object_settings(settings: &Settings, clock: &Arc<dyn Clock>) -> ObjectSettings {
    let s3 = &settings.s3;
    let object_lock = s3.object_lock.zip(s3.retain_days);
    ObjectSettings {
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        allow_http: s3.allow_http,
        path_style: s3.path_style,
        credentials: s3.to_credentials(),
        ca_file: s3.ca_file.clone(),
        connect_timeout: s3.connect_timeout,
        request_timeout: s3.request_timeout,
        multipart_bytes: s3.multipart_bytes,
        encryption: s3.to_encryption(),
        checksum: s3.checksum,
        storage_class: s3.storage_class.clone(),
        object_lock: object_lock.map(|(mode, days)| ObjectLock {
            mode,
            days,
            clock: Arc::clone(clock),
        }),
        reach: None,
    }
}

/// Whether the stores keep what is written, as they themselves say it. They
/// are asked when a store is opened and by maintenance, never while somebody
/// waits for the server's status.
#[derive(Debug, Default)]
pub struct Worm {
    known: RwLock<BTreeMap<Option<TrailId>, Asked>>,
}

#[derive(Clone, Debug)]
struct Asked {
    opened: Opened,
    answer: WormStatus,
}

impl Worm {
    /// Opens the server's own store, checked, and asks it.
    pub async fn over_own(url: &str, ambient: &Ambient) -> Result<(Opened, Arc<Self>), OpenError> {
        let root = objects::open_checked(url, &ambient.objects, ambient.ids.as_ref()).await?;
        let worm = Arc::new(Self::default());
        worm.opened(None, root.clone()).await;
        Ok((root, worm))
    }

    /// Asks a store that was just opened: a trail's, or, without one, the
    /// server's own.
    pub async fn opened(&self, whose: Option<&TrailId>, opened: Opened) {
        let answer = objects::worm_status(&opened).await;
        let asked = Asked { opened, answer };
        self.known.write().insert(whose.cloned(), asked);
    }

    async fn again(&self, whose: Option<TrailId>, opened: Opened) {
        let answer = objects::worm_status(&opened).await;
        // Unless it was let go of meanwhile.
        if let Some(known) = self.known.write().get_mut(&whose) {
            known.answer = answer;
        }
    }

    /// Lets go of a trail that was deleted.
    pub fn forget(&self, trail: &TrailId) {
        self.known.write().remove(&Some(trail.clone()));
    }

    /// Asks all stores again, at once: one that is away holds up nobody.
    pub async fn refresh(&self) {
        let known: Vec<_> = {
            let known = self.known.read();
            known
                .iter()
                .map(|(id, asked)| (id.clone(), asked.opened.clone()))
                .collect()
        };
        let asked = known
            .into_iter()
            .map(|(whose, opened)| async move { self.again(whose, opened).await });
        join_all(asked).await;
    }

    /// What `whose` store said last, for `status`: a sentence, and whether
    /// retention is enforced.
    pub fn describe(&self, whose: Option<&TrailId>) -> (Value, Value) {
        let known = self.known.read();
        match known.get(&whose.cloned()) {
            Some(Asked { answer, .. }) => (json!(answer.to_string()), json!(answer.is_enforced())),
            None => (json!("unknown: the store was not opened yet"), Value::Null),
        }
    }
}
