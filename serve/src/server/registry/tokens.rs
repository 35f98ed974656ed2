//! Tokens: made, revoked, recognised.

use cairn_schemas::control::ScramVerifier;

use super::*;
use crate::server::scram;

/// A first administrator's token that opens nothing yet.
#[derive(Debug)]
pub struct FirstText {
    /// What would open.
    pub text: String,
    /// The version that its document gets.
    version: u64,
}

/// What is changed of a token; what is `None` stays.
#[derive(Debug, Default)]
pub struct TokenChange {
    /// Over which accounts.
    pub accounts: Option<Among<AccountId>>,
    /// Which columns its holder may not see.
    pub withhold: Option<Withheld>,
    /// A name for people, or none.
    pub name: Option<Option<String>>,
}

impl Registry {
    /// Every token, without its secret.
    pub fn tokens(&self) -> Vec<Token> {
        self.inner.read().tokens.values().cloned().collect()
    }

    /// Makes a token. The text is returned once and kept nowhere.
    pub async fn create_token(
        &self,
        by: &str,
        role: Role,
        accounts: Among<AccountId>,
        name: Option<String>,
    ) -> Result<(Token, String), RegistryError> {
        let nothing = Withheld::nothing();
        let id = self.new_token_id()?;
        self.create_token_without(by, id, role, accounts, nothing, name)
            .await
    }

    /// The id of a token to be made.
    pub fn new_token_id(&self) -> Result<TokenId, RegistryError> {
        Ok(TokenId::new(&self.ids.hex128()[..16])?)
    }

    /// Makes a token whose holder may not see some columns.
    pub async fn create_token_without(
        &self,
        by: &str,
        id: TokenId,
        role: Role,
        accounts: Among<AccountId>,
        withhold: Withheld,
        name: Option<String>,
    ) -> Result<(Token, String), RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        let secret = self.ids.hex128() + &self.ids.hex128();
        let text = format!("{TOKEN_PREFIX}{id}_{secret}");
        let doc = Token {
            version: 1,
            at: self.clock.now(),
            by: by.to_owned(),
            id: id.clone(),
            name,
            role,
            accounts,
            withhold,
            secret_sha256: hex::encode(Sha256::digest(&secret)),
            scram: Some(scram::verifier(id.as_str(), &text)),
            revoked: false,
        };
        self.put(ControlKind::Token, id.as_str(), 1, &doc).await?;
        self.inner.write().tokens.insert(id.clone(), doc.clone());
        Ok((doc, text))
    }

    /// A new text for the first administrator's token, which opens nothing yet.
    /// Take it before you look whether one is needed: if another process makes
    /// one meanwhile, this one never opens anything.
    pub fn first_token(&self) -> FirstText {
        let secret = self.ids.hex128() + &self.ids.hex128();
        let tokens = &self.inner.read().tokens;
        let known = tokens.values().find(|t| t.id.as_str() == FIRST_TOKEN);
        FirstText {
            text: format!("{TOKEN_PREFIX}{FIRST_TOKEN}_{secret}"),
            version: known.map_or(0, |t| t.version) + 1,
        }
    }

    /// Makes `first` the first administrator's token. `false` if another process
    /// made one first: then `first` opens nothing.
    pub async fn make_first_token(
        &self,
        name: String,
        first: &FirstText,
    ) -> Result<bool, RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        let id = TokenId::new(FIRST_TOKEN)?;
        let secret = first.text.rsplit('_').next().unwrap_or_default();
        let doc = Token {
            version: first.version,
            at: self.clock.now(),
            by: "cairn".to_owned(),
            id: id.clone(),
            name: Some(name),
            role: Role::Admin,
            accounts: Among::All,
            withhold: Withheld::nothing(),
            secret_sha256: hex::encode(Sha256::digest(secret)),
            scram: Some(scram::verifier(FIRST_TOKEN, &first.text)),
            revoked: false,
        };
        match self
            .put(ControlKind::Token, FIRST_TOKEN, doc.version, &doc)
            .await
        {
            Ok(()) => {
                self.inner.write().tokens.insert(id, doc);
                Ok(true)
            }
            Err(RegistryError::Control(ControlError::Conflict { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes a token back. It is refused from the next request on.
    pub async fn revoke_token(&self, by: &str, id: &TokenId) -> Result<Token, RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        // Another process may just have taken back the other administrator's.
        self.catch_up().await;
        let old = self.valid_token(id)?;
        if old.role == Role::Admin {
            let inner = self.inner.read();
            let admins = inner
                .tokens
                .values()
                .filter(|t| t.role == Role::Admin && !t.revoked);
            if admins.count() <= 1 {
                return Err(RegistryError::LastAdmin);
            }
        }
        let (at, by) = (self.clock.now(), by.to_owned());
        let doc = Token {
            version: old.version + 1,
            at,
            by,
            revoked: true,
            ..old
        };
        self.put(ControlKind::Token, id.as_str(), doc.version, &doc)
            .await?;
        self.inner.write().tokens.insert(id.clone(), doc.clone());
        Ok(doc)
    }

    /// A token that was not taken back.
    pub fn valid_token(&self, id: &TokenId) -> Result<Token, RegistryError> {
        let inner = self.inner.read();
        let token = inner.tokens.get(id).filter(|t| !t.revoked);
        token.cloned().ok_or_else(|| RegistryError::NotFound {
            what: "token",
            id: id.to_string(),
        })
    }

    /// Changes what a token's holder may see. It holds from the next request
    /// on; an answer under way that would show more than is left breaks off.
    pub async fn update_token(
        &self,
        by: &str,
        id: &TokenId,
        change: TokenChange,
    ) -> Result<Token, RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        self.catch_up().await;
        let old = self.valid_token(id)?;
        let doc = Token {
            version: old.version + 1,
            at: self.clock.now(),
            by: by.to_owned(),
            accounts: change.accounts.unwrap_or(old.accounts),
            withhold: change.withhold.unwrap_or(old.withhold),
            name: change.name.unwrap_or(old.name),
            ..old
        };
        self.put(ControlKind::Token, id.as_str(), doc.version, &doc)
            .await?;
        self.inner.write().tokens.insert(id.clone(), doc.clone());
        Ok(doc)
    }

    /// Whether any administrator's token is valid.
    pub fn has_admin(&self) -> bool {
        let inner = self.inner.read();
        inner
            .tokens
            .values()
            .any(|t| t.role == Role::Admin && !t.revoked)
    }

    /// Which token `text` names, whether or not it is that token, or valid.
    pub fn made(&self, text: &str) -> Option<TokenId> {
        let (id, _) = text.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
        let id = TokenId::new(id).ok()?;
        self.inner.read().tokens.contains_key(&id).then_some(id)
    }

    /// Whether there is or was a token of this id.
    pub fn has_token(&self, id: &TokenId) -> bool {
        self.inner.read().tokens.contains_key(id)
    }

    /// The principal whose token `text` is. `None` for anything else, without a
    /// hint at what was wrong with it: every id, also one that no token has,
    /// takes the same work until the secret fits.
    pub fn authenticate(&self, text: &str) -> Option<Principal> {
        let (id, secret) = text.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
        let id = TokenId::new(id).ok()?;
        let given = hex::encode(Sha256::digest(secret));
        let inner = self.inner.read();
        let token = inner.tokens.get(&id);
        let kept = token.map_or(NO_SECRET, |t| t.secret_sha256.as_str());
        let equal: bool = kept.as_bytes().ct_eq(given.as_bytes()).into();
        token.filter(|_| equal).and_then(principal_of)
    }

    /// What a client has to prove that names `id`. For an id that no token has
    /// there is a verifier that looks the same, and takes as long to make.
    pub fn challenge(&self, id: &TokenId) -> ScramVerifier {
        let mut noise = [0; 32];
        self.ids.fill(&mut noise);
        let decoy = scram::decoy(id.as_str(), &noise);
        let inner = self.inner.read();
        let token = inner.tokens.get(id);
        token.and_then(|t| t.scram.clone()).unwrap_or(decoy)
    }

    /// Who has proved to hold the token `id`, by the verifier that they were
    /// asked with. `None` where that token cannot be used, or is another now.
    pub fn proved(&self, id: &TokenId, by: &ScramVerifier) -> Option<Principal> {
        let inner = self.inner.read();
        let token = inner.tokens.get(id);
        token
            .filter(|t| t.scram.as_ref() == Some(by))
            .and_then(principal_of)
    }
}

/// What no secret's hash is compared with in place of one: it is as long.
const NO_SECRET: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Whoever holds `token`, if it is valid.
fn principal_of(token: &Token) -> Option<Principal> {
    (!token.revoked).then(|| Principal {
        id: token.id.to_string(),
        role: token.role,
        accounts: token.accounts.clone(),
        withheld: token.withhold.clone(),
    })
}
