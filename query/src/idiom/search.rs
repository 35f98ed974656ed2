//! `search | SELECT …`: how questions are written in the log service that
//! ActionTrail delivers to. What stands before the bar chooses the events that
//! the SELECT is asked of.
//!
//! ```text
//! "event.eventRW": Write and not "event.userIdentity.userName": deploy* | SELECT count(1) AS n
//! ```
//!
//! It becomes a table `log` of its own, over the view `actiontrail`.

use std::borrow::Cow;
use std::iter::Peekable;
use std::vec::IntoIter;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, SetExpr, Statement as Sql, UnaryOperator, Value,
};

use super::calls::call;
use super::names::skipped;
use super::{statements, tokens};
use crate::error::QueryError;

/// How deep parentheses may nest.
const DEPTH: usize = 32;
/// How many terms there may be.
const TERMS: usize = 200;
/// Where a word without a key is looked for.
const WHOLE: &str = "event";

/// What stands before the bar.
#[derive(Debug)]
pub(crate) struct Search(Option<Expr>);

/// Takes the search off a statement that has one; what is left stays in its
/// place, for errors tell of places.
pub(crate) fn split(sql: &str) -> Result<(Cow<'_, str>, Option<Search>), QueryError> {
    let Some(bar) = bar(sql) else {
        return Ok((Cow::Borrowed(sql), None));
    };
    let (before, rest) = sql.split_at(bar);
    let condition = Reader::of(before)?.whole()?;
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    let mut made: String = before.chars().map(blank).collect();
    made.push(' ');
    made.push_str(&rest[1..]);
    Ok((Cow::Owned(made), Some(Search(condition))))
}

/// What SQL begins with: within its own kinds of quotes may stand what it likes.
const BEGINNINGS: [&str; 7] = [
    "select", "with", "explain", "show", "describe", "desc", "values",
];

/// Where the bar is: no SQL has SELECT or WITH after one.
fn bar(sql: &str) -> Option<usize> {
    let first = sql.trim_start();
    let first = first.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    if BEGINNINGS.iter().any(|b| first.eq_ignore_ascii_case(b)) {
        return None;
    }
    let mut at = 0;
    while at < sql.len() {
        let rest = &sql[at..];
        if let Some(length) = skipped(rest) {
            at += length;
            continue;
        }
        if let Some(after) = rest.strip_prefix('|') {
            let word = after.trim_start();
            let word = word.split(|c: char| !c.is_ascii_alphabetic()).next()?;
            if word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("with") {
                return Some(at);
            }
        }
        at += rest.chars().next().map_or(1, char::len_utf8);
    }
    None
}

impl Search {
    /// Makes `query` one of what the search finds.
    pub(crate) fn narrow(self, query: &mut Query) -> Result<(), QueryError> {
        let (with, from) = match template()? {
            Some(made) => made,
            None => return Err(QueryError::internal("a search has no table")),
        };
        // FROM may be left out where it is plain.
        if let SetExpr::Select(select) = query.body.as_mut()
            && select.from.is_empty()
        {
            select.from = from;
        }
        let Some(condition) = self.0 else {
            return Ok(());
        };
        let mut with = with;
        if let Some(SetExpr::Select(select)) = with
            .cte_tables
            .first_mut()
            .map(|table| table.query.body.as_mut())
        {
            select.selection = Some(condition);
        }
        match &mut query.with {
            Some(own) => {
                with.cte_tables.append(&mut own.cte_tables);
                own.cte_tables = with.cte_tables;
            }
            None => query.with = Some(with),
        }
        Ok(())
    }
}

type Parts = (
    datafusion::sql::sqlparser::ast::With,
    Vec<datafusion::sql::sqlparser::ast::TableWithJoins>,
);

/// The table of what a search finds, and FROM that table.
fn template() -> Result<Option<Parts>, QueryError> {
    const TEXT: &str = "WITH log AS (SELECT * FROM actiontrail) SELECT 1 FROM log";
    let Some(Statement::Statement(sql)) = statements(tokens(TEXT)?)?.pop_front() else {
        return Ok(None);
    };
    let Sql::Query(query) = *sql else {
        return Ok(None);
    };
    let Query { with, body, .. } = *query;
    let SetExpr::Select(select) = *body else {
        return Ok(None);
    };
    Ok(with.map(|with| (with, select.from)))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Colon,
    Word(String),
    Quoted(String),
}

struct Placed {
    token: Token,
    line: u64,
    column: u64,
}

struct Reader {
    tokens: Peekable<IntoIter<Placed>>,
    terms: usize,
    depth: usize,
    end: (u64, u64),
}

impl Reader {
    fn of(text: &str) -> Result<Self, QueryError> {
        let mut tokens = vec![];
        let (mut line, mut column) = (1, 1);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let at = (line, column);
            let mut step = |c: char| match c {
                '\n' => (line, column) = (line + 1, 1),
                _ => column += 1,
            };
            step(c);
            let token = match c {
                _ if c.is_whitespace() => continue,
                '(' => Token::Open,
                ')' => Token::Close,
                ':' => Token::Colon,
                '"' | '\'' => {
                    let mut quoted = String::new();
                    loop {
                        match chars.next() {
                            None => return Err(wrong("a quoted word does not end", at)),
                            Some(d) if d == c => break step(d),
                            Some(d) => {
                                step(d);
                                quoted.push(d);
                            }
                        }
                    }
                    Token::Quoted(quoted)
                }
                _ => {
                    let mut word = String::from(c);
                    let ends = |d: &char| d.is_whitespace() || "():\"'".contains(*d);
                    while let Some(d) = chars.next_if(|d| !ends(d)) {
                        step(d);
                        word.push(d);
                    }
                    Token::Word(word)
                }
            };
            tokens.push(Placed {
                token,
                line: at.0,
                column: at.1,
            });
        }
        Ok(Self {
            tokens: tokens.into_iter().peekable(),
            terms: 0,
            depth: 0,
            end: (line, column),
        })
    }

    /// The whole search; `None` is everything.
    fn whole(mut self) -> Result<Option<Expr>, QueryError> {
        if self.tokens.len() == 0 {
            return Err(wrong("there is no search before the bar", self.end));
        }
        let condition = self.any()?;
        match self.tokens.next() {
            None => Ok(condition),
            Some(more) => Err(wrong("this does not belong here", (more.line, more.column))),
        }
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let is = |t: &Placed| matches!(&t.token, Token::Word(w) if w.eq_ignore_ascii_case(keyword));
        self.tokens.next_if(is).is_some()
    }

    fn any(&mut self) -> Result<Option<Expr>, QueryError> {
        let mut all = self.all()?;
        while self.keyword("or") {
            let more = self.all()?;
            // Everything, or some of it, is everything.
            all = all.zip(more).map(|(a, b)| both(a, BinaryOperator::Or, b));
        }
        Ok(all)
    }

    fn all(&mut self) -> Result<Option<Expr>, QueryError> {
        let mut all = self.one()?;
        loop {
            let joined = self.keyword("and");
            let more = match self.tokens.peek().map(|t| &t.token) {
                Some(Token::Word(w)) if !joined => !w.eq_ignore_ascii_case("or"),
                Some(Token::Quoted(_) | Token::Open) => true,
                _ => joined,
            };
            if !more {
                return Ok(all);
            }
            all = match (all, self.one()?) {
                (Some(a), Some(b)) => Some(both(a, BinaryOperator::And, b)),
                (a, b) => a.or(b),
            };
        }
    }

    fn one(&mut self) -> Result<Option<Expr>, QueryError> {
        let end = self.end;
        let placed = self.tokens.next();
        let placed = placed.ok_or_else(|| wrong("the search ends too early", end))?;
        let at = (placed.line, placed.column);
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(wrong("the search nests too deep", at));
        }
        let made = match placed.token {
            Token::Open => {
                let inner = self.any()?;
                match self.tokens.next().map(|t| t.token) {
                    Some(Token::Close) => inner,
                    _ => return Err(wrong("a parenthesis is not closed", at)),
                }
            }
            Token::Word(word) if word.eq_ignore_ascii_case("not") => {
                let inner = self.one()?.unwrap_or_else(|| truth(true));
                Some(Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    expr: Box::new(Expr::Nested(Box::new(inner))),
                })
            }
            Token::Word(word) => self.term(word, false, at)?,
            Token::Quoted(word) => self.term(word, true, at)?,
            Token::Close | Token::Colon => return Err(wrong("a word is missing here", at)),
        };
        self.depth -= 1;
        Ok(made)
    }

    /// `word`, or `word: value`.
    fn term(
        &mut self,
        word: String,
        quoted: bool,
        at: (u64, u64),
    ) -> Result<Option<Expr>, QueryError> {
        self.terms += 1;
        if self.terms > TERMS {
            return Err(wrong("the search has too many terms", at));
        }
        if !quoted
            && (word.starts_with(['<', '>', '=', '#', '[']) || word.eq_ignore_ascii_case("in"))
        {
            return Err(wrong("a search knows words, and key: value", at)
                .with_hint("put comparisons into the WHERE after the bar"));
        }
        if self.tokens.next_if(|t| t.token == Token::Colon).is_none() {
            return Ok(match word.as_str() {
                "*" if !quoted => None,
                _ => Some(has(WHOLE, word)),
            });
        }
        match self.tokens.next().map(|t| t.token) {
            Some(Token::Word(value)) if value.starts_with(['<', '>', '=', '[']) => {
                Err(wrong("a search knows words, and key: value", at)
                    .with_hint("put comparisons into the WHERE after the bar"))
            }
            Some(Token::Word(value) | Token::Quoted(value)) => Ok(Some(has(&word, value))),
            _ => Err(wrong("a value is missing after this key", at)),
        }
    }
}

fn wrong(what: &str, at: (u64, u64)) -> QueryError {
    QueryError::invalid(format!("in the search before the bar: {what}")).at(at.0, at.1)
}

fn truth(value: bool) -> Expr {
    Expr::Value(Value::Boolean(value).into())
}

fn both(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }))
}

fn has(key: &str, value: String) -> Expr {
    let key = Expr::Identifier(Ident::with_quote('"', key));
    let value = Expr::Value(Value::SingleQuotedString(value).into());
    call("search_has", vec![key, value])
}

#[cfg(test)]
mod tests;
