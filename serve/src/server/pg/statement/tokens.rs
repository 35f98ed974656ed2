//! The text as tokens, each with its place; what lies between semicolons.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, Tokenizer, Whitespace};

use super::super::error::{PgError, state};

/// A token and where it begins and ends, in bytes of the client's text.
#[derive(Clone, Debug, PartialEq)]
struct Placed {
    token: Token,
    start: usize,
    end: usize,
}

/// One statement of a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    /// The statement, without what stands around it.
    pub(crate) text: String,
    /// How many characters of the client's text stand before it.
    pub(crate) before: usize,
    tokens: Vec<Placed>,
    /// Where it begins, in bytes of the client's text.
    start: usize,
}

impl Piece {
    /// A text that is no sequence of tokens: the engine says what is wrong.
    fn whole(text: &str) -> Self {
        let word = Placed {
            token: Token::EOF,
            start: 0,
            end: text.len(),
        };
        Self {
            text: text.to_owned(),
            before: 0,
            tokens: vec![word],
            start: 0,
        }
    }

    fn new(text: &str, tokens: Vec<Placed>) -> Self {
        let start = tokens.first().map_or(0, |t| t.start);
        let end = tokens.last().map_or(0, |t| t.end);
        Self {
            text: text[start..end].to_owned(),
            before: text[..start].chars().count(),
            tokens,
            start,
        }
    }

    pub(crate) fn words(&self) -> Words<'_> {
        Words { piece: self, at: 0 }
    }

    /// The part of the statement from byte `start` to byte `end` of it.
    pub(crate) fn part(&self, start: usize, end: usize) -> (String, usize) {
        let before = self.text[..start].chars().count();
        (self.text[start..end].to_owned(), self.before + before)
    }
}

/// The longest text that is taken apart. The engine takes less in one statement,
/// and says so; the tokens of a text need many times its room.
const LONGEST: usize = 256 << 10;

/// The statements of `text`. One at the least, which may be empty.
pub(super) fn split(text: &str) -> Vec<Piece> {
    if text.len() > LONGEST {
        return vec![Piece::whole(text)];
    }
    let read = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location();
    let Ok(tokens) = read else {
        return vec![Piece::whole(text)];
    };
    let mut places = Places::new(text);
    let mut pieces = Vec::new();
    let mut open = Vec::new();
    for token in tokens {
        let start = places.find(token.span.start);
        let end = places.find(token.span.end);
        match token.token {
            Token::Whitespace(
                Whitespace::Space
                | Whitespace::Newline
                | Whitespace::Tab
                | Whitespace::SingleLineComment { .. }
                | Whitespace::MultiLineComment(_),
            ) => {}
            Token::SemiColon => pieces.push(Piece::new(text, std::mem::take(&mut open))),
            token => open.push(Placed { token, start, end }),
        }
    }
    pieces.push(Piece::new(text, open));
    // Nothing stands between two semicolons, and it is no statement.
    pieces.retain(|piece| !piece.tokens.is_empty());
    if pieces.is_empty() {
        pieces.push(Piece::new(text, Vec::new()));
    }
    pieces
}

/// Finds bytes by lines and columns, which only ever go forward.
struct Places<'a> {
    rest: std::str::CharIndices<'a>,
    line: u64,
    column: u64,
    length: usize,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.char_indices(),
            line: 1,
            column: 1,
            length: text.len(),
        }
    }

    fn find(&mut self, to: Location) -> usize {
        while (self.line, self.column) < (to.line, to.column) {
            match self.rest.next() {
                Some((_, '\n')) => {
                    self.line += 1;
                    self.column = 1;
                }
                Some(_) => self.column += 1,
                None => return self.length,
            }
        }
        self.rest.offset()
    }
}

/// Reads a statement word by word.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    piece: &'a Piece,
    at: usize,
}

impl Words<'_> {
    fn peek(&self) -> Option<&Token> {
        self.piece.tokens.get(self.at).map(|t| &t.token)
    }

    /// An unquoted word or a sign, in lower case.
    fn peek_word(&self) -> Option<String> {
        match self.peek()? {
            Token::Word(word) if word.quote_style.is_none() => {
                Some(word.value.to_ascii_lowercase())
            }
            Token::Eq => Some("=".to_owned()),
            Token::Comma => Some(",".to_owned()),
            Token::LParen => Some("(".to_owned()),
            Token::RParen => Some(")".to_owned()),
            Token::Minus => Some("-".to_owned()),
            Token::Mul => Some("*".to_owned()),
            _ => None,
        }
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.piece.tokens.len()
    }

    /// Where the next token begins, in bytes of the statement.
    pub(crate) fn position(&self) -> Option<usize> {
        let token = self.piece.tokens.get(self.at)?;
        Some(token.start - self.piece.start)
    }

    /// Where the token before ends.
    pub(crate) fn passed(&self) -> usize {
        match self
            .at
            .checked_sub(1)
            .and_then(|at| self.piece.tokens.get(at))
        {
            Some(token) => token.end - self.piece.start,
            None => 0,
        }
    }

    pub(crate) fn next_word(&mut self) -> Option<String> {
        let word = self.peek_word()?;
        self.at += 1;
        Some(word)
    }

    pub(crate) fn skip(&mut self) {
        self.at += 1;
    }

    pub(crate) fn peek_is_any(&self, words: &[&str]) -> bool {
        self.peek_word()
            .is_some_and(|w| words.contains(&w.as_str()))
    }

    pub(crate) fn skip_any(&mut self, words: &[&str]) -> bool {
        let found = self.peek_is_any(words);
        self.at += usize::from(found);
        found
    }

    /// The same for lists of which each item has to be known.
    pub(crate) fn next_is_any(&mut self, words: &[&str]) -> bool {
        self.skip_any(words)
    }

    pub(crate) fn expect(&mut self, word: &str) -> Result<(), PgError> {
        match self.skip_any(&[word]) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    pub(crate) fn end<T>(&self, value: T) -> Result<T, PgError> {
        match self.at_end() {
            true => Ok(value),
            false => Err(self.unexpected()),
        }
    }

    /// What PostgreSQL says of a token that does not belong where it stands.
    pub(crate) fn unexpected(&self) -> PgError {
        match self.piece.tokens.get(self.at) {
            None => PgError::new(state::SYNTAX, "syntax error at end of input"),
            Some(placed) => {
                let from = placed.start - self.piece.start;
                let shown: String = self.piece.text[from..].chars().take(32).collect();
                let shown = shown
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let before = self.piece.text[..from].chars().count();
                PgError {
                    position: Some(self.piece.before + before + 1),
                    ..PgError::new(
                        state::SYNTAX,
                        format!("syntax error at or near \"{shown}\""),
                    )
                }
            }
        }
    }

    /// A name, folded as PostgreSQL folds it.
    pub(crate) fn name(&mut self) -> Result<String, PgError> {
        let name = match self.peek() {
            Some(Token::Word(word)) => match word.quote_style {
                None => word.value.to_ascii_lowercase(),
                Some(_) => word.value.clone(),
            },
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(name)
    }

    pub(crate) fn last_name(&mut self) -> Result<String, PgError> {
        let name = self.name()?;
        self.end(name)
    }

    pub(crate) fn last_or_all(&mut self) -> Result<Option<String>, PgError> {
        match self.skip_any(&["all"]) {
            true => self.end(None),
            false => self.last_name().map(Some),
        }
    }

    /// A setting's name: `a` or `a.b`, in lower case.
    pub(crate) fn setting(&mut self) -> Result<String, PgError> {
        let mut name = self.name()?;
        while self.peek() == Some(&Token::Period) {
            self.at += 1;
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name.to_ascii_lowercase())
    }

    pub(crate) fn last_setting(&mut self) -> Result<Option<String>, PgError> {
        if self.skip_any(&["all"]) {
            return self.end(None);
        }
        let name = self.setting()?;
        self.end(Some(name))
    }

    pub(crate) fn number(&mut self) -> Option<usize> {
        let Some(Token::Number(digits, _)) = self.peek() else {
            return None;
        };
        let number = digits.parse().ok()?;
        self.at += 1;
        Some(number)
    }

    /// A text in quotes.
    pub(crate) fn literal(&mut self) -> Result<String, PgError> {
        let text = match self.peek() {
            Some(
                Token::SingleQuotedString(text)
                | Token::EscapedStringLiteral(text)
                | Token::NationalStringLiteral(text),
            ) => text.clone(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(text)
    }

    /// The values of a SET, to the statement's end; `None` is DEFAULT.
    pub(crate) fn values(&mut self) -> Result<Option<String>, PgError> {
        if self.skip_any(&["default"]) {
            return self.end(None);
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            if self.at_end() {
                return Ok(Some(values.join(", ")));
            }
            self.expect(",")?;
        }
    }

    fn value(&mut self) -> Result<String, PgError> {
        if let Ok(text) = self.literal() {
            return Ok(text);
        }
        let sign = if self.skip_any(&["-"]) { "-" } else { "" };
        if let Some(Token::Number(digits, _)) = self.peek() {
            let value = format!("{sign}{digits}");
            self.at += 1;
            return Ok(value);
        }
        match sign {
            "" => self.name(),
            _ => Err(self.unexpected()),
        }
    }
}
