//! Lambdas and nested types, in words that PostgreSQL's parser reads.
//!
//! `x -> …` in an argument of a function that takes lambdas becomes a call of
//! a function that there is not, which [`mod@super::rewrite`] makes a lambda
//! again; anywhere else `->` stays the operator of JSON. `array(varchar)` and
//! `map(varchar, varchar)` after AS become the name of a type.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use crate::error::{Exceeded, QueryError};
use crate::functions::takes_lambda;

/// The name of the call that stands for a lambda.
pub(super) const LAMBDA: &str = "λ";
/// How deep lambdas may stand in one another: each multiplies lists.
const DEPTH: usize = 3;

fn word(value: &str, quoted: bool, span: Span) -> TokenWithSpan {
    let word = Word {
        value: value.to_owned(),
        quote_style: quoted.then_some('"'),
        keyword: Keyword::NoKeyword,
    };
    TokenWithSpan::new(Token::Word(word), span)
}

/// A parenthesis that is open.
struct Open {
    /// It belongs to a call of a function that takes lambdas.
    lambdas: bool,
    /// The lambda that began in it and has not ended.
    inside: bool,
}

/// The same statement for the parser.
pub(super) fn plain(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, QueryError> {
    let tokens: Vec<TokenWithSpan> = tokens
        .into_iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)))
        .collect();
    let mut made: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut open: Vec<Open> = vec![];
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let ended = match &token.token {
            Token::RParen | Token::RBracket | Token::RBrace => {
                open.pop().is_some_and(|closed| closed.inside)
            }
            Token::Comma => open
                .last_mut()
                .is_some_and(|open| std::mem::take(&mut open.inside)),
            _ => false,
        };
        if ended {
            made.push(TokenWithSpan::new(Token::RParen, token.span));
        }
        made.push(token.clone());
        at += 1;
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => open.push(Open {
                lambdas: token.token == Token::LParen && is_call(&tokens, at - 1),
                inside: false,
            }),
            Token::Comma => {
                let arrow = match open.last_mut() {
                    Some(open) if open.lambdas => arrow(&tokens, at).inspect(|_| {
                        open.inside = true;
                    }),
                    _ => None,
                };
                if let Some(arrow) = arrow {
                    begin(&mut made, &tokens[at..arrow], token.span);
                    at = arrow + 1;
                    if open.iter().filter(|open| open.inside).count() > DEPTH {
                        return Err(too_deep());
                    }
                }
            }
            Token::Word(w) if w.keyword == Keyword::AS => {
                if let Some((name, after)) = nested_type(&tokens, at) {
                    made.push(word(&name, true, token.span));
                    at = after;
                }
            }
            _ => {}
        }
    }
    Ok(made)
}

fn too_deep() -> QueryError {
    QueryError::limit(
        Exceeded::Statement,
        format!("lambdas nest deeper than {DEPTH}"),
    )
}

/// Whether the parenthesis at `at` opens the arguments of a function that
/// takes lambdas.
fn is_call(tokens: &[TokenWithSpan], at: usize) -> bool {
    match at
        .checked_sub(1)
        .and_then(|i| tokens.get(i))
        .map(|t| &t.token)
    {
        Some(Token::Word(name)) => takes_lambda(&name.value.to_ascii_lowercase()),
        _ => false,
    }
}

/// Where the arrow is, if a lambda begins at `at`: after `x`, `(x)` or `(s, x)`.
fn arrow(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    let token = |i: usize| tokens.get(i).map(|t| &t.token);
    let arrow = match (token(at)?, token(at + 1)?, token(at + 2)?) {
        (Token::Word(_), Token::Arrow, _) => at + 1,
        (Token::LParen, Token::Word(_), Token::RParen) => at + 3,
        (Token::LParen, Token::Word(_), Token::Comma) => match (token(at + 3)?, token(at + 4)?) {
            (Token::Word(_), Token::RParen) => at + 5,
            _ => return None,
        },
        _ => return None,
    };
    (token(arrow) == Some(&Token::Arrow)).then_some(arrow)
}

/// `λ(x,` in place of `x ->`, and `λ(s, x,` in place of `(s, x) ->`.
fn begin(made: &mut Vec<TokenWithSpan>, parameters: &[TokenWithSpan], span: Span) {
    made.push(word(LAMBDA, true, span));
    made.push(TokenWithSpan::new(Token::LParen, span));
    for name in parameters {
        if matches!(name.token, Token::Word(_)) {
            made.extend([name.clone(), TokenWithSpan::new(Token::Comma, span)]);
        }
    }
}

/// `array(…)` or `map(…)` at `at` as one name, and what comes after it.
fn nested_type(tokens: &[TokenWithSpan], at: usize) -> Option<(String, usize)> {
    let Token::Word(first) = &tokens.get(at)?.token else {
        return None;
    };
    let nested = matches!(first.keyword, Keyword::ARRAY | Keyword::MAP);
    if !nested || tokens.get(at + 1)?.token != Token::LParen {
        return None;
    }
    let (mut name, mut depth) = (first.value.to_ascii_lowercase(), 0);
    for (i, token) in tokens.iter().enumerate().skip(at + 1) {
        name.push_str(&token.token.to_string().to_ascii_lowercase());
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(_) | Token::Comma => {}
            _ => return None,
        }
        if depth == 0 {
            return Some((name, i + 1));
        }
    }
    None
}
