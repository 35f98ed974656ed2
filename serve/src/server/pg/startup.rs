//! From a connection to a session: TLS, who is there, and whether it is them.
//!
//! A client gives a user name and, as its password, a token. Where the name is
//! a token's id, SCRAM-SHA-256 is spoken, and the token itself never travels.
//! Any other name says nothing about which token will come, so the token has to
//! be sent: only under TLS, or on the machine itself. Which of the two it is
//! follows from the form of the name alone, and every refusal looks the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use cairn_schemas::TokenId;
use cairn_schemas::control::Principal;
use pgwire::messages::PgWireBackendMessage as Back;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;

use super::cancel::Registered;
use super::door::Door;
use super::error::{PgError, Severity, state};
use super::frontend::Fields;
use super::parameters::Parameters;
use super::wire::{Lost, Wire};
use crate::server::asking::{self, AskError, Asker};
use crate::server::audit::Caller;
use crate::server::rejected::{Attempt, Presented};
use crate::server::scram;
use crate::server::tls::Tls;

const CANCEL: i32 = 80_877_102;
const SSL: i32 = 80_877_103;
const GSS: i32 = 80_877_104;
/// The newest version of the protocol that is spoken: 3.2.
const NEWEST: i32 = 3 << 16 | 2;
/// The longest password or SCRAM message.
const PASSWORD: usize = 8 << 10;
/// The only database.
const DATABASE: &str = "cairn";
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
/// A client's name for itself is its own text; this much of it is kept.
const AGENT_CHARS: usize = 256;

/// A client that may ask.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) wire: Wire,
    pub(super) asker: Asker,
    pub(super) parameters: Parameters,
    pub(super) registered: Registered,
    pub(super) place: OwnedSemaphorePermit,
}

/// What ends a connection before it is a session.
enum Ended {
    /// The client is told.
    Told(PgError),
    Lost(Lost),
}

impl From<PgError> for Ended {
    fn from(error: PgError) -> Self {
        Self::Told(error)
    }
}

impl From<Lost> for Ended {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Bad(text) => Self::Told(PgError::fatal(state::PROTOCOL_VIOLATION, text)),
            other => Self::Lost(other),
        }
    }
}

impl From<AskError> for Ended {
    fn from(error: AskError) -> Self {
        let told = PgError::fatal(state::NOT_ALLOWED, error.to_string());
        Self::Told(match error.hint() {
            Some(hint) => told.hint(hint),
            None => told,
        })
    }
}

/// Lets a client in. `None` where it wanted nothing, or was told why not.
pub(super) async fn enter(
    door: &Arc<Door>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<Option<Box<Entered>>, Lost> {
    let Some((mut wire, tls)) = negotiate(door, stream).await? else {
        return Ok(None);
    };
    match greet(door, &mut wire, tls.as_deref(), peer).await {
        Ok(Some((asker, parameters, registered, place))) => Ok(Some(Box::new(Entered {
            wire,
            asker,
            parameters,
            registered,
            place,
        }))),
        Ok(None) => Ok(None),
        Err(Ended::Lost(lost)) => Err(lost),
        Err(Ended::Told(error)) => {
            wire.put(Back::ErrorResponse(error.response()))?;
            wire.close().await;
            Ok(None)
        }
    }
}

/// A connection, and the TLS that it is under: the certificate may be another for
/// the next one.
type Begun = (Wire, Option<Arc<Tls>>);

/// TLS, where the client wants it and it is there. Read byte by byte as far as
/// the question about TLS goes: what a third party puts behind it in the clear
/// is never taken for the client's own words.
async fn negotiate(door: &Door, mut stream: TcpStream) -> Result<Option<Begun>, Lost> {
    let tls = door.tls.as_ref().map(|files| files.tls());
    let mut first = [0; 1];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] == TLS_HANDSHAKE {
        return match tls {
            Some(tls) => secured(tls, stream, true).await.map(Some),
            None => Ok(None),
        };
    }
    let (mut asked_tls, mut asked_gss) = (false, false);
    loop {
        let mut head = [0; 8];
        if let Err(error) = stream.read_exact(&mut head).await {
            return match error.kind() {
                std::io::ErrorKind::UnexpectedEof => Ok(None),
                _ => Err(error.into()),
            };
        }
        let mut fields = head.as_slice();
        let (length, code) = (fields.get_i32(), fields.get_i32());
        match (length, code, &tls) {
            (8, SSL, Some(tls)) if !asked_tls => {
                stream.write_all(b"S").await?;
                return secured(Arc::clone(tls), stream, false).await.map(Some);
            }
            (8, SSL, None) if !asked_tls => {
                asked_tls = true;
                stream.write_all(b"N").await?;
            }
            (8, GSS, _) if !asked_gss => {
                asked_gss = true;
                stream.write_all(b"N").await?;
            }
            _ => {
                let wire = Wire::begun(Box::new(stream), BytesMut::from(head.as_slice()));
                return Ok(Some((wire, None)));
            }
        }
    }
}

async fn secured(tls: Arc<Tls>, stream: TcpStream, direct: bool) -> Result<Begun, Lost> {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let stream = acceptor.accept(stream).await?;
    // Who begins with TLS has to mean this protocol: otherwise a page in a
    // browser could be made to speak to this door.
    if direct && stream.get_ref().1.alpn_protocol() != Some(b"postgresql") {
        return Err(Lost::Gone);
    }
    let wire = Wire::begun(Box::new(stream), BytesMut::new());
    Ok((wire, Some(tls)))
}

/// What the first packet says.
struct Hello {
    protocol: i32,
    given: BTreeMap<String, String>,
}

type Let = (Asker, Parameters, Registered, OwnedSemaphorePermit);

async fn greet(
    door: &Arc<Door>,
    wire: &mut Wire,
    tls: Option<&Tls>,
    peer: SocketAddr,
) -> Result<Option<Let>, Ended> {
    let Some(hello) = hello(door, wire).await? else {
        return Ok(None);
    };
    let near = peer.ip().to_canonical().is_loopback();
    if tls.is_none() && !near && !door.allow_plaintext {
        return Err(PgError::fatal(
            state::BAD_AUTHORIZATION,
            "connections from other machines need TLS",
        )
        .hint("use sslmode=require or stronger")
        .into());
    }
    let given = &hello.given;
    let user = given.get("user").filter(|u| !u.is_empty()).ok_or_else(|| {
        PgError::fatal(
            state::BAD_AUTHORIZATION,
            "no PostgreSQL user name specified in startup packet",
        )
    })?;
    if given
        .get("replication")
        .is_some_and(|r| !matches!(r.as_str(), "false" | "off" | "no" | "0"))
    {
        return Err(
            PgError::fatal(state::FEATURE_NOT_SUPPORTED, "replication is not supported").into(),
        );
    }
    let long_key = negotiate_version(wire, &hello)?;
    let caller = caller(given, peer);
    let principal = authenticate(door, wire, user, tls, near, &caller).await?;
    let asker = Asker {
        principal,
        caller,
        door: "postgresql",
    };
    asking::may_ask(&door.app, &asker).await?;
    let database = given
        .get("database")
        .filter(|d| !d.is_empty())
        .unwrap_or(user);
    if database != DATABASE {
        return Err(PgError::fatal(
            state::NO_DATABASE,
            format!("database \"{database}\" does not exist"),
        )
        .hint("the database is called cairn")
        .into());
    }
    let place = door.place().ok_or_else(|| {
        PgError::fatal(state::TOO_MANY, "sorry, too many clients already")
            .hint("an operator can raise pg.max_connections")
    })?;
    let registered = door.cancels.register(long_key);
    let parameters = Parameters::new(registered.pid, &asker.principal.id, given);
    let parameters = parameters.map_err(|mut error| {
        error.severity = Severity::Fatal;
        error
    })?;
    wire.put(Back::Authentication(Authentication::Ok))?;
    for (name, value) in parameters.told() {
        let status = ParameterStatus::new((*name).to_owned(), value.clone());
        wire.put(Back::ParameterStatus(status))?;
    }
    wire.put(Back::BackendKeyData(BackendKeyData::new(
        registered.pid,
        registered.key(),
    )))?;
    wire.put(Back::ReadyForQuery(ReadyForQuery::new(
        TransactionStatus::Idle,
    )))?;
    wire.flush().await?;
    Ok(Some((asker, parameters, registered, place)))
}

fn caller(given: &BTreeMap<String, String>, peer: SocketAddr) -> Caller {
    Caller {
        address: peer.ip().to_canonical().to_string(),
        agent: agent(given.get("application_name").map_or("", String::as_str)),
    }
}

/// What the events of a session's queries have for a user agent.
pub(super) fn agent(application: &str) -> String {
    let application: String = application.chars().take(AGENT_CHARS).collect();
    match application.is_empty() {
        true => "postgresql".to_owned(),
        false => format!("postgresql ({application})"),
    }
}

/// The first packet in the clear of what TLS there is. `None` where it is no
/// beginning of a session.
async fn hello(door: &Door, wire: &mut Wire) -> Result<Option<Hello>, Ended> {
    let Some(packet) = wire.startup().await? else {
        return Ok(None);
    };
    let mut fields = Fields(packet);
    let protocol = fields.int()?;
    if protocol == CANCEL {
        let pid = fields.int()?;
        door.cancels.request(pid, &fields.0);
        wire.close().await;
        return Ok(None);
    }
    if protocol >> 16 != 3 {
        return Err(PgError::fatal(
            state::FEATURE_NOT_SUPPORTED,
            format!(
                "unsupported frontend protocol {}.{}: server supports 3.0 to 3.2",
                protocol >> 16,
                protocol & 0xffff
            ),
        )
        .into());
    }
    let mut given = BTreeMap::new();
    loop {
        let name = fields.text()?;
        if name.is_empty() {
            break;
        }
        given.insert(name, fields.text()?);
    }
    if !fields.is_empty() {
        return Err(PgError::fatal(
            state::PROTOCOL_VIOLATION,
            "invalid startup packet layout: expected terminator as last byte",
        )
        .into());
    }
    Ok(Some(Hello { protocol, given }))
}

/// Tells a client that wants a newer version, or more than it has, what there
/// is. Whether the secret of a session may be long.
fn negotiate_version(wire: &mut Wire, hello: &Hello) -> Result<bool, Lost> {
    let options = hello.given.keys().filter(|k| k.starts_with("_pq_."));
    let options: Vec<String> = options.cloned().collect();
    let spoken = match hello.protocol {
        version if version >= NEWEST => NEWEST,
        _ => 3 << 16,
    };
    if spoken != hello.protocol || !options.is_empty() {
        let message = NegotiateProtocolVersion::new(spoken, options);
        wire.put(Back::NegotiateProtocolVersion(message))?;
    }
    Ok(spoken == NEWEST)
}

/// The refusal that does not say what was wrong.
fn refused(user: &str) -> Ended {
    PgError::fatal(
        state::BAD_PASSWORD,
        format!("password authentication failed for user \"{user}\""),
    )
    .hint("the password is a token that is valid; `cairn token create` makes one")
    .into()
}

async fn authenticate(
    door: &Door,
    wire: &mut Wire,
    user: &str,
    tls: Option<&Tls>,
    near: bool,
    caller: &Caller,
) -> Result<Principal, Ended> {
    let note = |presented| {
        door.app.metrics.unauthenticated.inc();
        door.app.rejected.note(Attempt {
            caller: caller.clone(),
            call: "PostgreSQL login".to_owned(),
            presented,
            at: door.app.clock.now(),
        });
    };
    let (proved, presented) = match TokenId::new(user) {
        // Also who breaks off with nonsense has tried: a replay looks like that.
        Ok(id) => by_scram(door, wire, &id, tls).await.inspect_err(|ended| {
            if let Ended::Told(_) = ended {
                note(known(door, &id));
            }
        })?,
        Err(_) if tls.is_some() || near => by_password(door, wire).await?,
        Err(_) => {
            return Err(PgError::fatal(
                state::BAD_AUTHORIZATION,
                "without TLS a token is not sent over the network",
            )
            .hint("use TLS, or the token's id for a user name: the 16 digits between cairn_ and the next _")
            .into());
        }
    };
    if let Some(principal) = proved {
        return Ok(principal);
    }
    note(presented);
    Err(refused(user))
}

/// What is noted of somebody who named the token `id`.
fn known(door: &Door, id: &TokenId) -> Presented {
    match door.app.registry.has_token(id) {
        true => Presented::Known(id.clone()),
        false => Presented::Unknown,
    }
}

type Tried = (Option<Principal>, Presented);

/// A message of the login: only ever a password or what stands for one.
async fn password(wire: &mut Wire) -> Result<Fields, Ended> {
    match wire.message(PASSWORD).await? {
        Some((b'p', body)) => Ok(Fields(body)),
        Some((kind, _)) => Err(PgError::fatal(
            state::PROTOCOL_VIOLATION,
            format!("expected password response, got message type {kind}"),
        )
        .into()),
        // As psql does that asks its user first.
        None => Err(Lost::Gone.into()),
    }
}

async fn by_password(door: &Door, wire: &mut Wire) -> Result<Tried, Ended> {
    wire.put(Back::Authentication(Authentication::CleartextPassword))?;
    wire.flush().await?;
    let text = password(wire).await?.text()?;
    let registry = &door.app.registry;
    let presented = match (registry.made(&text), text.is_empty()) {
        (Some(id), _) => Presented::Known(id),
        (None, true) => Presented::Nothing,
        (None, false) => Presented::Unknown,
    };
    Ok((registry.authenticate(&text), presented))
}

async fn by_scram(
    door: &Door,
    wire: &mut Wire,
    id: &TokenId,
    tls: Option<&Tls>,
) -> Result<Tried, Ended> {
    let endpoint = tls.and_then(|t| t.endpoint.as_deref());
    let mut mechanisms = vec![scram::PLAIN.to_owned()];
    if endpoint.is_some() {
        mechanisms.insert(0, scram::PLUS.to_owned());
    }
    wire.put(Back::Authentication(Authentication::SASL(mechanisms)))?;
    wire.flush().await?;
    let mut first = password(wire).await?;
    let plus = match first.text()?.as_str() {
        scram::PLAIN => false,
        scram::PLUS if endpoint.is_some() => true,
        _ => {
            return Err(PgError::fatal(
                state::PROTOCOL_VIOLATION,
                "client selected an invalid SASL authentication mechanism",
            )
            .into());
        }
    };
    let length = first.int()?;
    let first = first.take(usize::try_from(length).unwrap_or(0))?;
    let malformed = |e: &scram::ScramError| {
        Ended::Told(PgError::fatal(state::PROTOCOL_VIOLATION, e.to_string()))
    };
    let verifier = door.app.registry.challenge(id);
    let mut nonce = [0; 18];
    door.ids.fill(&mut nonce);
    let begun = scram::begin(&first, verifier.clone(), &nonce, endpoint, plus);
    let (answer, waiting) = begun.map_err(|e| malformed(&e))?;
    wire.put(Back::Authentication(Authentication::SASLContinue(
        answer.into(),
    )))?;
    wire.flush().await?;
    let proof = password(wire).await?.0;
    let proof = match waiting.finish(&proof) {
        Ok(proof) => Some(proof),
        Err(scram::ScramError::Refused) => None,
        Err(error) => return Err(malformed(&error)),
    };
    let presented = known(door, id);
    // Who it is only once it is proved: until then every id takes the same work.
    let registry = &door.app.registry;
    match proof.and_then(|proof| Some((proof, registry.proved(id, &verifier)?))) {
        Some((proof, principal)) => {
            wire.put(Back::Authentication(Authentication::SASLFinal(
                proof.into(),
            )))?;
            Ok((Some(principal), presented))
        }
        None => Ok((None, presented)),
    }
}
