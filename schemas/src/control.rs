//! The documents of the control plane: who belongs to the organization, and
//! who may do what. Trails have a module of their own ([`crate::trail`]).
//!
//! Documents are versioned and never changed in place: version `n` is written
//! once, put-if-absent, under [`crate::keys::control`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, TokenId};
use crate::position::Partition;
use crate::selector::Among;
use crate::time::Micros;
use crate::withhold::Withheld;

/// The kinds of control documents, which are also folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControlKind {
    /// The one [`Organization`], id `organization`.
    Organization,
    /// [`Account`], by account id.
    Account,
    /// [`Token`], by token id.
    Token,
    /// [`crate::trail::TrailVersion`], by trail id.
    Trail,
    /// [`TopicLife`], by topic: version `n` is its n-th life.
    Topic,
    /// [`Acceptance`], by a name made of the partition.
    Acceptance,
    /// [`crate::export::Export`], by export id.
    Export,
    /// [`crate::saved::SavedQuery`], by its name.
    SavedQuery,
    /// [`SealingKey`], by what it seals.
    Key,
}

impl ControlKind {
    /// The folder's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Account => "account",
            Self::Token => "token",
            Self::Trail => "trail",
            Self::Topic => "topic",
            Self::Acceptance => "acceptance",
            Self::Export => "export",
            Self::SavedQuery => "saved-query",
            Self::Key => "key",
        }
    }

    /// The kind whose documents lie in the folder `name`.
    pub fn of_folder(name: &str) -> Option<Self> {
        let all = [
            Self::Organization,
            Self::Account,
            Self::Token,
            Self::Trail,
            Self::Topic,
            Self::Acceptance,
            Self::Export,
            Self::SavedQuery,
            Self::Key,
        ];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The organization that this store serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// 1, 2, 3, …
    pub version: u64,
    /// When this version was made.
    pub at: Micros,
    /// The principal who made it.
    pub by: String,
    /// A name for people.
    pub name: String,
    /// The account that Cairn's own events belong to.
    pub management_account: AccountId,
}

/// The account of Cairn's own events until an organization says otherwise.
pub const DEFAULT_MANAGEMENT_ACCOUNT: &str = "000000000000";

/// The sender of Cairn's own events. Tokens' ids are hexadecimal: none is this.
pub const OWN_SENDER: &str = "cairn";

/// One life of a Kafka topic, from its making to its deletion. A topic that was
/// deleted and made again has another id, and its offsets begin anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicLife {
    /// 1, 2, 3, …: the epoch.
    pub version: u64,
    /// When it was seen first.
    pub at: Micros,
    /// The topic's name.
    pub topic: String,
    /// Kafka's id of it: 32 hexadecimal digits.
    pub topic_id: String,
    /// Where each partition's log began then. A partition that is not named
    /// came later.
    pub starts: BTreeMap<i32, i64>,
    /// The one partition that this life is of, where the topic's other partitions
    /// live on as they are: its log lost records that were read, and gives
    /// their offsets to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
}

/// An administrator's word that a stopped partition shall go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// 1, 2, 3, …
    pub version: u64,
    /// When.
    pub at: Micros,
    /// Who.
    pub by: String,
    /// The partition.
    pub partition: Partition,
    /// Why it stopped: `gap`, `truncated` or `bad_record`.
    #[serde(default)]
    pub reason: String,
    /// The offset at which it stopped.
    pub offset: i64,
    /// The first offset after a gap, or after what was read of a log that lost it.
    #[serde(default)]
    pub to: Option<i64>,
}

/// A key that all processes of one store share. It guards nothing from those who
/// can read the store: what it seals, they read there.
#[derive(Clone, Serialize, Deserialize)]
pub struct SealingKey {
    /// 1: the key is made once.
    pub version: u64,
    /// When.
    pub at: Micros,
    /// The principal who made it.
    pub by: String,
    /// 64 hexadecimal digits.
    pub secret: String,
}

impl fmt::Debug for SealingKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey")
            .field("version", &self.version)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// A member account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// 1, 2, 3, …
    pub version: u64,
    /// When this version was made.
    pub at: Micros,
    /// The principal who made it; for an account seen for the first time, the
    /// sender of that event.
    pub by: String,
    /// The account.
    pub id: AccountId,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it is a member now. The events of a former member stay.
    pub member: bool,
}

/// What a token's holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends events for its accounts; reads nothing.
    Sender,
    /// Reads events of its accounts; changes nothing.
    Auditor,
    /// Does everything, over all accounts.
    Admin,
}

impl Role {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sender" => Ok(Self::Sender),
            "auditor" => Ok(Self::Auditor),
            "admin" => Ok(Self::Admin),
            _ => Err(format!(
                "{text:?} is not a role: use sender, auditor or admin"
            )),
        }
    }
}

/// A token as it is kept: its secret only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// 1, 2, 3, …
    pub version: u64,
    /// When this version was made.
    pub at: Micros,
    /// The principal who made it.
    pub by: String,
    /// The public half.
    pub id: TokenId,
    /// A name for people.
    pub name: Option<String>,
    /// What its holder may do.
    pub role: Role,
    /// Over which accounts.
    pub accounts: Among<AccountId>,
    /// Which columns its holder may not see.
    #[serde(default, skip_serializing_if = "Withheld::is_empty")]
    pub withhold: Withheld,
    /// SHA-256 of the secret, hexadecimal. The secret has 256 random bits, so
    /// that a fast hash is enough.
    pub secret_sha256: String,
    /// What a PostgreSQL client has to prove that names this token as its user.
    /// Tokens of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<ScramVerifier>,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// What SCRAM-SHA-256 keeps of a password: enough to check a proof, and not
/// enough to make one. All bytes in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramVerifier {
    /// Rounds of the hash.
    pub iterations: u32,
    /// The salt.
    pub salt: String,
    /// `H(HMAC(salted password, "Client Key"))`.
    pub stored_key: String,
    /// `HMAC(salted password, "Server Key")`.
    pub server_key: String,
}

/// Who is asking: all that a door hands on after it has checked a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's id; `cairn` for the server itself.
    pub id: String,
    /// What they may do.
    pub role: Role,
    /// Over which accounts.
    pub accounts: Among<AccountId>,
    /// Which columns they may not see.
    pub withheld: Withheld,
}

impl Principal {
    /// The server itself, which writes its own audit events.
    pub fn cairn() -> Self {
        Self {
            id: "cairn".to_owned(),
            role: Role::Admin,
            accounts: Among::All,
            withheld: Withheld::nothing(),
        }
    }

    /// Whether events may be written for `account`.
    pub fn may_write(&self, account: &str) -> bool {
        matches!(self.role, Role::Sender | Role::Admin) && self.accounts.contains(account)
    }

    /// The accounts whose events may be read: none for a sender.
    pub fn readable(&self) -> Among<AccountId> {
        match self.role {
            Role::Sender => Among::Only(Default::default()),
            Role::Auditor | Role::Admin => self.accounts.clone(),
        }
    }
}
