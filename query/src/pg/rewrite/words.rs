//! Frills of names and operators.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    Value, ValueWithSpan,
};

use super::{call, folded, text};
use crate::catalog::PG_CATALOG;
use crate::pg::{PATTERN, REG_IN};

/// Columns that hold the name of a function, `-` for none; PostgreSQL compares
/// them with numbers.
const REGPROC: &[&str] = &[
    "typinput",
    "typoutput",
    "typreceive",
    "typsend",
    "typmodin",
    "typmodout",
    "typanalyze",
    "typsubscript",
];

pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(function) => {
            let name = folded(&function.name);
            match name.as_slice() {
                [schema, name] if schema == PG_CATALOG => {
                    function.name = ObjectName::from(Ident::new(name.as_str()));
                }
                // Words that are functions without parentheses; the engine
                // wants these.
                [word]
                    if function.args == FunctionArguments::None
                        && super::super::functions::has(word) =>
                {
                    *expr = call(word, vec![]);
                }
                _ => {}
            }
        }
        Expr::Identifier(ident)
            if ident.quote_style.is_none()
                && ident.value.eq_ignore_ascii_case("current_schema") =>
        {
            *expr = call("current_schema", vec![]);
        }
        Expr::BinaryOp { left, op, right } => {
            if let BinaryOperator::PGCustomBinaryOperator(names) = op
                && let Some(plain) = operator(names)
            {
                *op = plain;
            }
            if matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq) {
                compare(left, right);
                compare(right, left);
            }
        }
        Expr::Like {
            pattern,
            escape_char,
            ..
        }
        | Expr::ILike {
            pattern,
            escape_char,
            ..
        } => {
            // The engine knows the backslash alone.
            if let Some(escape) = escape_char.take() {
                let written = std::mem::replace(pattern.as_mut(), Expr::value(Value::Null));
                **pattern = call(PATTERN, vec![written, Expr::Value(escape)]);
            }
        }
        _ => {}
    }
}

/// `typreceive <> 0`: with no function; `typinput = 'array_in'::regproc`.
fn compare(column: &Expr, number: &mut Expr) {
    let name = match column {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(idents) => idents.last(),
        _ => None,
    };
    let is_regproc = name.is_some_and(|n| REGPROC.contains(&n.value.as_str()));
    let is_zero =
        matches!(number, Expr::Value(ValueWithSpan { value: Value::Number(n, _), .. }) if n == "0");
    if !is_regproc {
        return;
    }
    if is_zero {
        *number = text("-");
    }
    if let Expr::Function(function) = &*number
        && folded(&function.name) == [REG_IN]
        && let FunctionArguments::List(list) = &function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))) =
            list.args.get(1)
        && let Value::SingleQuotedString(name) = &value.value
    {
        let name = name.rsplit('.').next().unwrap_or_default();
        *number = text(name);
    }
}

fn operator(names: &[String]) -> Option<BinaryOperator> {
    let sign = match names {
        [sign] => sign,
        [schema, sign] if schema.eq_ignore_ascii_case(PG_CATALOG) => sign,
        _ => return None,
    };
    Some(match sign.as_str() {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        ">" => BinaryOperator::Gt,
        "<=" => BinaryOperator::LtEq,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "||" => BinaryOperator::StringConcat,
        _ => return None,
    })
}
