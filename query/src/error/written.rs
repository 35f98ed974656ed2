//! Where the words of an error stand in the statement that it is about.
//!
//! The engine knows the place of most columns and of little else; what it does
//! not know is looked for among the statement's tokens, which keep their places
//! whatever is made of them.

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::QueryError;
use crate::asof;
use crate::idiom;

/// What a name stands for: the same word may be a column here, a table there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Table,
    Column,
    Function,
}

/// The statement as its author wrote it. Empty for one that no author wrote,
/// such as that of a view: its places would mislead.
#[derive(Debug, Default)]
pub(crate) struct Written {
    tokens: Vec<TokenWithSpan>,
    /// The tokens that call a function by an alias, with its name.
    aliases: Vec<(usize, String)>,
    /// What it calls that is not there, with the function that was likely meant.
    slips: Vec<(String, String)>,
}

impl Written {
    /// Of a statement that was read before: one that cannot be read has no
    /// places.
    pub(crate) fn of(sql: &str) -> Self {
        let tokens = idiom::split(sql).and_then(|(sql, _)| idiom::tokens(&sql));
        Self {
            tokens: tokens.unwrap_or_default(),
            aliases: vec![],
            slips: vec![],
        }
    }

    /// The same, which knows the functions that it calls by their own names, and
    /// for those that are not there one that is.
    pub(crate) fn calling<'a>(
        mut self,
        canonical: impl Fn(&str) -> Option<&'a str>,
        nearest: impl Fn(&str) -> Option<&'a str>,
    ) -> Self {
        let words = (0..self.tokens.len()).filter_map(|at| self.called_at(at));
        let slips = words.filter(|word| canonical(word).is_none());
        let slips = slips.filter_map(|word| nearest(&word).map(|near| (word, near.to_owned())));
        self.slips = slips.collect();
        let calls = (0..self.tokens.len()).filter_map(|at| {
            let word = self.called_at(at)?;
            let name = canonical(&word)?;
            (name != word).then(|| (at, name.to_owned()))
        });
        self.aliases = calls.collect();
        self
    }

    /// The name, as SQL folds it, of the function that is called at `at`.
    pub(super) fn called_at(&self, at: usize) -> Option<String> {
        match (self.token(at)?, self.token(at + 1)?) {
            (Token::Word(word), Token::LParen) if word.quote_style.is_none() => {
                Some(word.value.to_ascii_lowercase())
            }
            (Token::Word(word), Token::LParen) => Some(word.value.clone()),
            _ => None,
        }
    }

    /// Where the function that the engine calls `name` is called.
    pub(super) fn call(&self, name: &str) -> Option<usize> {
        self.find(&[name], Role::Function).or_else(|| {
            let alias = self.aliases.iter().find(|(_, of)| of == name);
            alias.map(|(at, _)| *at)
        })
    }

    /// The function that was likely meant by the one that is not there.
    pub(super) fn meant(&self, slip: &str) -> Option<&str> {
        let found = self.slips.iter().find(|(word, _)| word == slip);
        found.map(|(_, near)| near.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at).map(|t| &t.token)
    }

    fn before(&self, at: usize) -> Option<&Token> {
        at.checked_sub(1).and_then(|at| self.token(at))
    }

    /// Where the token at `at` begins.
    pub(super) fn place(&self, at: usize) -> Option<Location> {
        self.tokens.get(at).map(|t| t.span.start)
    }

    /// Which token begins there.
    pub(super) fn token_at(&self, line: u64, column: u64) -> Option<usize> {
        let place = Location::new(line, column);
        self.tokens.iter().position(|t| t.span.start == place)
    }

    /// Whether the statement says this name at all.
    pub(super) fn says(&self, name: &str) -> bool {
        self.tokens.iter().any(|t| is_word(&t.token, name))
    }

    /// The first token of the name of these parts where it is likeliest to be
    /// meant; the first of such places.
    pub(super) fn find(&self, parts: &[&str], role: Role) -> Option<usize> {
        let likely = |at: usize| Some((self.likelihood(at, parts.len(), role)?, at));
        (0..self.tokens.len())
            .filter(|at| self.spells(*at, parts))
            .filter_map(likely)
            .min()
            .map(|(_, at)| at)
    }

    /// Whether the parts, with dots between them, begin at `at`.
    fn spells(&self, at: usize, parts: &[&str]) -> bool {
        !parts.is_empty()
            && parts.iter().enumerate().all(|(i, part)| {
                let dotted = i == 0 || self.token(at + 2 * i - 1) == Some(&Token::Period);
                let word = self.token(at + 2 * i);
                dotted && word.is_some_and(|word| is_word(word, part))
            })
    }

    /// How unlikely it is that the name of so many parts at `at` is one of this
    /// role; `None` if it cannot be one.
    fn likelihood(&self, at: usize, parts: usize, role: Role) -> Option<u8> {
        let before = self.before(at);
        let after = self.token(at + 2 * parts - 1);
        let keyword = match before {
            Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
            _ => Keyword::NoKeyword,
        };
        let asked = matches!(keyword, Keyword::FROM | Keyword::JOIN);
        let called = after == Some(&Token::LParen);
        match role {
            Role::Function => called.then_some(0),
            Role::Table | Role::Column if called => None,
            Role::Table if asked => Some(0),
            Role::Table => match before {
                Some(Token::Comma | Token::LParen) => Some(1),
                _ => Some(2),
            },
            Role::Column => {
                let part = before == Some(&Token::Period) || after == Some(&Token::Period);
                Some(u8::from(asked || part || keyword == Keyword::AS))
            }
        }
    }

    /// The texts of the statement, each with its token.
    pub(super) fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        let texts = self.tokens.iter().enumerate();
        texts.filter_map(|(at, token)| match &token.token {
            Token::SingleQuotedString(text) => Some((at, text.as_str())),
            _ => None,
        })
    }

    /// The word at `at`, if it stands where a value is compared with: there it
    /// is likely to be a text without its quotes.
    pub(super) fn compared(&self, at: usize) -> Option<&str> {
        let Some(Token::Word(word)) = self.token(at) else {
            return None;
        };
        if self.token(at + 1) == Some(&Token::Period) {
            return None;
        }
        let compared = match self.before(at)? {
            Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq => true,
            Token::Word(before) => matches!(before.keyword, Keyword::LIKE | Keyword::ILIKE),
            Token::LParen | Token::Comma => self.listed(at),
            _ => false,
        };
        compared.then_some(word.value.as_str())
    }

    /// Whether `at` stands in a plain list after IN.
    fn listed(&self, at: usize) -> bool {
        let mut open = at;
        while let Some(before) = open.checked_sub(1) {
            open = before;
            match self.token(open) {
                Some(Token::LParen) => break,
                Some(
                    Token::Word(_)
                    | Token::Comma
                    | Token::SingleQuotedString(_)
                    | Token::Number(..),
                ) => {}
                _ => return false,
            }
        }
        matches!(self.before(open), Some(Token::Word(word)) if word.keyword == Keyword::IN)
    }
}

/// Unquoted words are folded by SQL, and by idioms into the spelling of a view.
fn is_word(token: &Token, name: &str) -> bool {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.value.eq_ignore_ascii_case(name),
        Token::Word(word) => word.value == name,
        _ => false,
    }
}

/// Where what these tokens say ends: after the last of them.
pub(crate) fn end_of(tokens: &[TokenWithSpan]) -> Option<Location> {
    let last = tokens.iter().rfind(|t| t.token != Token::EOF);
    last.map(|t| t.span.end)
}

impl QueryError {
    /// The same, at the token.
    pub(super) fn at_token(self, written: &Written, at: Option<usize>) -> Self {
        match at.and_then(|at| written.place(at)) {
            Some(place) => self.at(place.line, place.column),
            None => self,
        }
    }

    /// The same, where the statement speaks of a table.
    pub(crate) fn at_table(self, written: &Written, reference: &TableReference) -> Self {
        let (table, _) = asof::split(reference.table());
        let above = [reference.catalog(), reference.schema()];
        let parts: Vec<&str> = above.into_iter().flatten().chain([table]).collect();
        self.at_name(written, &parts)
    }

    /// The same, where the statement names the table of these parts.
    pub(crate) fn at_name(self, written: &Written, parts: &[&str]) -> Self {
        let at = written.find(parts, Role::Table);
        self.at_token(written, at)
    }

    /// The same for a parser that met the end of the statement, which has no
    /// place of its own.
    pub(crate) fn at_end(self, end: Option<Location>) -> Self {
        match end {
            Some(end) if self.message.ends_with("found: EOF") => self.at(end.line, end.column),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests;
