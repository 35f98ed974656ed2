//! Which account an event belongs to: the most dangerous decision of intake,
//! for it decides who may see the event.
//!
//! The right to write for an account comes from the sender's principal, as the
//! door noted it beside the bytes. The body may only agree with it.

use cairn_schemas::AccountId;
use cairn_schemas::selector::Among;

use super::event::Text;
use super::flags::Flags;
use super::json::{At, Kind};
use super::refusal::{Reason, Refusal};
use super::value::Values;
use super::{Context, Top};

/// The event's account. It is one that the sender may write for, or there is
/// no event.
pub(crate) fn decide<'a>(
    values: &mut Values<'a, '_>,
    identity: Option<At>,
    context: &Context<'_>,
) -> Result<Text<'a>, Refusal> {
    let recipient = values
        .fields()
        .at(Top::RecipientAccountId)
        .filter(|at| values.tape().kind(*at) != Kind::Null);
    // Who acted is not who is concerned: in a cross-account call they differ.
    // So the actor's account counts only where nobody named the recipient's.
    let said = match (recipient, context.account) {
        (Some(at), _) => Some(at),
        (None, Some(_)) => None,
        (None, None) => values
            .member(identity, "accountId")
            .filter(|at| values.tape().kind(*at) != Kind::Null),
    };
    let Some(at) = said else {
        let Some(account) = context.default_account() else {
            return Err(Refusal::new(
                Reason::AccountMissing,
                "the event names no account (recipientAccountId), and its sender may write for \
                 more than one; name one with ?account=ID",
            ));
        };
        values.flags.insert(Flags::ACCOUNT_FROM_SENDER);
        return Ok(Text::Owned(account.as_str().to_owned()));
    };
    let text = match values.tape().kind(at) {
        Kind::Plain | Kind::Escaped | Kind::Number => values.text(Some(at)),
        _ => None,
    };
    let Some(text) = text else {
        return Err(Refusal::new(
            Reason::AccountInvalid,
            "the event's account is neither text nor a number; an account id is 12 to 16 digits",
        ));
    };
    check(&text, context)?;
    Ok(text)
}

fn check(text: &str, context: &Context<'_>) -> Result<(), Refusal> {
    let known = match context.accounts {
        Among::Only(accounts) => accounts.contains(text),
        Among::All => false,
    };
    // What is in the sender's set was checked when it went in.
    if !known {
        AccountId::check(text)
            .map_err(|error| Refusal::new(Reason::AccountInvalid, error.to_string()))?;
        if matches!(context.accounts, Among::Only(_)) {
            return Err(Refusal::new(
                Reason::AccountMismatch,
                format!("the event belongs to account {text}, which its sender may not write for"),
            ));
        }
    }
    match context.account {
        Some(named) if named.as_str() != text => Err(Refusal::new(
            Reason::AccountMismatch,
            format!("the event belongs to account {text}, and its sender named {named}"),
        )),
        _ => Ok(()),
    }
}
