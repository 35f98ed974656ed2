//! Questions by chance: a grammar over every column, with comparisons, casts
//! that fail, aggregates, joins, windows, sets, subqueries, orders and limits.
//!
//! A question's answer has to be settled by its rows. So a limit comes with an
//! order over every column that is shown, a window's order ends with the
//! offset, and an expression that fails does so on rows of hidden accounts, or
//! on every row.

use cairn_schemas::columns::{EVENT_COLUMNS, Kind};

/// Numbers by chance, the same for the same seed on every machine (SplitMix64).
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// One time in `n`.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const TABLES: &[&str] = &[
    "history",
    "history",
    "events",
    "trails.writes",
    "trails.\"my-trail\"",
    "trails.everything",
    "cairn.public.history",
];

/// Values that rows hold, of the principal's and of others, and values that none
/// holds.
const TEXTS: &[&str] = &[
    "111111111111",
    "222222222222",
    "5333333333333333",
    "secret-222222222222-3",
    "secret-5333333333333333-1",
    "3",
    "6",
    "id-0",
    "id-1",
    "id-4",
    "id-1196",
    "CreateUser",
    "DeleteUser",
    "ram",
    "oss",
    "Write",
    "Read",
    "eu-central-1",
    "cn-hangzhou",
    "10.0.0.4",
    "10.0.0.99",
    "aliyun-cli",
    "",
    "NoPermission",
    "not json",
    "zzz",
];

const TIMES: &[&str] = &[
    "2026-11-20T00:00:00Z",
    "2026-11-20T00:01:00Z",
    "2026-11-20T06:30:00Z",
    "2026-11-20T12:00:00Z",
    "2026-11-20T19:57:00Z",
    "2026-11-21T00:00:00Z",
];

/// What fails, on rows of hidden accounts alone.
const FAILING: &[&str] = &[
    "1 / length({}user_agent)",
    "100 % length({}user_agent)",
    "CASE WHEN {}account_id = '222222222222' THEN 1 / 0 ELSE 1 END",
    "CASE WHEN {}account_id <> '111111111111' THEN CAST('x' AS INT) ELSE 2 END",
    "CAST({}user_name AS INT)",
    "CAST(CAST({}user_name AS DOUBLE) AS INT)",
    "json_length({}event_id)",
    "length(repeat('x', CASE WHEN {}account_id = '111111111111' THEN 3 ELSE 2000000000 END))",
    "make_array(1, 2, 3)[CAST({}user_name AS INT)]",
];

/// A maker of questions.
#[derive(Debug)]
pub(crate) struct Grammar {
    chance: Chance,
}

fn columns_of(kind: Kind) -> Vec<&'static str> {
    EVENT_COLUMNS
        .iter()
        .filter(|c| c.kind == kind)
        .map(|c| c.name)
        .collect()
}

impl Grammar {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
        }
    }

    fn column(&mut self, kind: Kind, of: &str) -> String {
        let columns = columns_of(kind);
        // The columns that a question is about more often than the others.
        let often = [
            "account_id",
            "user_name",
            "event_id",
            "source_ip",
            "event_name",
        ];
        let name = match kind == Kind::Text && self.chance.once_in(2) {
            true => self.chance.pick(&often),
            false => self.chance.pick(&columns),
        };
        format!("{of}{name}")
    }

    fn text(&mut self, of: &str, depth: usize) -> String {
        let choice = if depth == 0 {
            self.chance.below(3)
        } else {
            self.chance.below(14)
        };
        match choice {
            0..=4 => self.column(Kind::Text, of),
            5 => format!("'{}'", self.chance.pick(TEXTS)),
            6 => format!("upper({})", self.text(of, depth - 1)),
            7 => format!(
                "substr({}, {}, 3)",
                self.text(of, depth - 1),
                1 + self.chance.below(4)
            ),
            8 => format!(
                "{} || {}",
                self.text(of, depth - 1),
                self.text(of, depth - 1)
            ),
            9 => format!(
                "coalesce({}, {})",
                self.text(of, depth - 1),
                self.text(of, 0)
            ),
            10 => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.predicate(of, depth - 1),
                self.text(of, 0),
                self.text(of, 0)
            ),
            11 => format!(
                "nullif({}, '{}')",
                self.text(of, 0),
                self.chance.pick(TEXTS)
            ),
            12 => self.column(Kind::Json, of),
            _ => format!(
                "replace({}, '{}', 'q')",
                self.text(of, 0),
                self.chance.pick(&["secret", "2", "id"])
            ),
        }
    }

    fn number(&mut self, of: &str, depth: usize) -> String {
        match self.chance.below(if depth == 0 { 3 } else { 9 }) {
            0 => format!("{of}log_offset"),
            1 => format!("length({})", self.text(of, depth.min(1))),
            2 => format!("{}", self.chance.below(1300)),
            3 => format!("{} + {}", self.number(of, depth - 1), self.number(of, 0)),
            4 => format!("{} * {}", self.number(of, 0), 1 + self.chance.below(9)),
            5 => format!(
                "{} % {}",
                self.number(of, depth - 1),
                2 + self.chance.below(5)
            ),
            6 => format!(
                "strpos({}, '{}')",
                self.text(of, 0),
                self.chance.pick(&["2", "-", "e"])
            ),
            7 => format!("coalesce(TRY_CAST({}user_name AS INT), -1)", of),
            _ => self.failing(of),
        }
    }

    fn failing(&mut self, of: &str) -> String {
        self.chance.pick(FAILING).replace("{}", of)
    }

    fn predicate(&mut self, of: &str, depth: usize) -> String {
        let c = &mut self.chance;
        let comparison = c.pick(&["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"]);
        match self.chance.below(if depth == 0 { 9 } else { 17 }) {
            0 | 1 => {
                let column = self.column(Kind::Text, of);
                format!("{column} {comparison} '{}'", self.chance.pick(TEXTS))
            }
            2 => {
                let column = self.column(Kind::Text, of);
                let list: Vec<String> = (0..1 + self.chance.below(4))
                    .map(|_| format!("'{}'", self.chance.pick(TEXTS)))
                    .collect();
                let not = self.chance.pick(&["", "NOT "]);
                format!("{column} {not}IN ({})", list.join(", "))
            }
            3 => {
                let column = self.column(Kind::Text, of);
                let like = self.chance.pick(&["LIKE", "NOT LIKE", "ILIKE"]);
                let pattern =
                    self.chance
                        .pick(&["secret%", "%3", "10.0.0.1%", "id-_", "%", "2%", "Create%"]);
                format!("{column} {like} '{pattern}'")
            }
            4 => {
                let kind = [Kind::Text, Kind::Json, Kind::Bool, Kind::Time][self.chance.below(4)];
                let column = self.column(kind, of);
                format!("{column} {}", self.chance.pick(&["IS NULL", "IS NOT NULL"]))
            }
            5 => {
                let column = self.column(Kind::Time, of);
                format!("{column} {comparison} '{}'", self.chance.pick(TIMES))
            }
            6 => format!("{of}log_offset {comparison} {}", self.chance.below(1300)),
            7 => self.column(Kind::Bool, of),
            8 => format!(
                "{of}log_offset BETWEEN {} AND {}",
                self.chance.below(600),
                self.chance.below(1300)
            ),
            9 | 10 => format!(
                "({} AND {})",
                self.predicate(of, depth - 1),
                self.predicate(of, depth - 1)
            ),
            11 => format!(
                "({} OR {})",
                self.predicate(of, depth - 1),
                self.predicate(of, depth - 1)
            ),
            12 => format!("NOT ({})", self.predicate(of, depth - 1)),
            13 => format!("{} {comparison} {}", self.number(of, 1), self.number(of, 1)),
            14 => format!("{} {comparison} {}", self.text(of, 1), self.text(of, 1)),
            15 => {
                let column = self.column(Kind::Text, of);
                format!(
                    "{column} ~ '{}'",
                    self.chance.pick(&["^secret", "[0-9]+$", "3", "^10[.]"])
                )
            }
            _ => {
                let (column, table) = (self.column(Kind::Text, of), self.chance.pick(TABLES));
                let inner = self.predicate("", 0);
                let name = column.trim_start_matches(of);
                let not = self.chance.pick(&["", "NOT "]);
                format!(
                    "{column} {not}IN (SELECT {name} FROM {table} WHERE {name} IS NOT NULL AND {inner})"
                )
            }
        }
    }

    fn filter(&mut self, of: &str) -> String {
        match self.chance.below(4) {
            0 => String::new(),
            1 => format!(" WHERE {}", self.predicate(of, 0)),
            _ => format!(" WHERE {}", self.predicate(of, 2)),
        }
    }

    fn aggregate(&mut self, of: &str) -> String {
        let text = self.text(of, 1);
        let number = self.number(of, 1);
        match self.chance.below(11) {
            0 => "count(*)".to_owned(),
            1 => format!("count({text})"),
            2 => format!("count(DISTINCT {text})"),
            3 => format!("min({text})"),
            4 => format!("max({text})"),
            5 => format!("sum({number})"),
            6 => format!("avg({number})"),
            7 => format!("count(*) FILTER (WHERE {})", self.predicate(of, 1)),
            8 => format!("max({})", self.column(Kind::Time, of)),
            9 => format!("bool_or({})", self.predicate(of, 0)),
            _ => format!(
                "string_agg({}, ',' ORDER BY {of}log_offset)",
                self.column(Kind::Text, of)
            ),
        }
    }

    /// ` ORDER BY` every column shown, and a limit.
    fn ordered(&mut self, shown: usize) -> String {
        let order: Vec<String> = (1..=shown)
            .map(|n| format!("{n}{}", self.chance.pick(&["", " DESC", " NULLS FIRST"])))
            .collect();
        let limit = match self.chance.below(3) {
            0 => String::new(),
            1 => format!(" LIMIT {}", 1 + self.chance.below(20)),
            _ => format!(
                " LIMIT {} OFFSET {}",
                1 + self.chance.below(20),
                self.chance.below(310)
            ),
        };
        format!(" ORDER BY {}{limit}", order.join(", "))
    }

    /// Columns of an event that can be put in order.
    fn shown(&mut self, of: &str) -> Vec<String> {
        (0..1 + self.chance.below(4))
            .map(|_| match self.chance.below(6) {
                0 => self.column(Kind::Time, of),
                1 => self.number(of, 1),
                2 => self.column(Kind::Bool, of),
                3 => self.text(of, 2),
                _ => self.column(Kind::Text, of),
            })
            .enumerate()
            .map(|(i, e)| format!("{e} AS c{i}"))
            .collect()
    }

    fn rows(&mut self) -> String {
        let table = self.chance.pick(TABLES);
        let shown = self.shown("");
        let distinct = self.chance.pick(&["", "", "DISTINCT "]);
        let filter = self.filter("");
        // The newest or first few by one column, as people ask; the id settles ties.
        if self.chance.once_in(3) {
            let kind = [Kind::Text, Kind::Time, Kind::Long][self.chance.below(3)];
            let (by, limit) = (self.column(kind, ""), 1 + self.chance.below(12));
            let way = self.chance.pick(&["", "DESC", "DESC NULLS LAST"]);
            return format!(
                "SELECT event_id, {by} FROM {table}{filter} ORDER BY {by} {way}, log_offset LIMIT {limit}"
            );
        }
        format!(
            "SELECT {distinct}{} FROM {table}{filter}{}",
            shown.join(", "),
            self.ordered(shown.len())
        )
    }

    fn groups(&mut self) -> String {
        let (table, filter) = (self.chance.pick(TABLES), self.filter(""));
        let aggregates: Vec<String> = (0..1 + self.chance.below(3))
            .map(|i| format!("{} AS a{i}", self.aggregate("")))
            .collect();
        if self.chance.once_in(2) {
            return format!("SELECT {} FROM {table}{filter}", aggregates.join(", "));
        }
        let key = self.text("", 1);
        let grouped = match self.chance.below(5) {
            0 => format!("ROLLUP ({key}, account_id)"),
            1 => format!("GROUPING SETS (({key}), (account_id), ())"),
            _ => format!("{key}, account_id"),
        };
        let having = match self.chance.once_in(3) {
            true => format!(" HAVING count(*) > {}", self.chance.below(60)),
            false => String::new(),
        };
        let shown = 2 + aggregates.len();
        format!(
            "SELECT {key} AS k, account_id, {} FROM {table}{filter} GROUP BY {grouped}{having}{}",
            aggregates.join(", "),
            self.ordered(shown)
        )
    }

    fn join(&mut self) -> String {
        let (one, other) = (self.chance.pick(TABLES), self.chance.pick(TABLES));
        let kind = self
            .chance
            .pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let key = self
            .chance
            .pick(&["event_id", "log_offset", "event_time", "request_id"]);
        let more = match self.chance.below(3) {
            0 => format!(" AND {}", self.predicate("b.", 1)),
            1 => format!(
                " AND a.account_id {} b.account_id",
                self.chance.pick(&["=", "<>"])
            ),
            _ => String::new(),
        };
        let filter = self.filter("a.");
        let (a, b) = (self.aggregate("a."), self.aggregate("b."));
        format!(
            "SELECT count(*), {a} AS x, {b} AS y FROM {one} a {kind} {other} b ON a.{key} = b.{key}{more}{filter}"
        )
    }

    fn semi(&mut self) -> String {
        let (one, other) = (self.chance.pick(TABLES), self.chance.pick(TABLES));
        let key = self
            .chance
            .pick(&["event_id", "user_name", "source_ip", "account_id"]);
        let (not, inner) = (self.chance.pick(&["", "NOT "]), self.predicate("b.", 1));
        let what = self.aggregate("a.");
        format!(
            "SELECT {what} AS x FROM {one} a WHERE {not}EXISTS (SELECT 1 FROM {other} b WHERE b.{key} = a.{key} AND {inner})"
        )
    }

    fn window(&mut self) -> String {
        let (table, filter) = (self.chance.pick(TABLES), self.filter(""));
        let (text, number) = (self.text("", 1), self.number("", 1));
        let call = match self.chance.below(7) {
            0 => "row_number()".to_owned(),
            1 => "rank()".to_owned(),
            2 => format!("lag({text})"),
            3 => format!("lead({text}, 2)"),
            4 => format!("sum({number})"),
            5 => format!("first_value({text})"),
            _ => format!("max({text})"),
        };
        let part = match self.chance.once_in(2) {
            true => format!("PARTITION BY {} ", self.column(Kind::Text, "")),
            false => String::new(),
        };
        let (by, way) = (
            self.column(Kind::Text, ""),
            self.chance.pick(&["", " DESC"]),
        );
        format!(
            "SELECT event_id, {call} OVER ({part}ORDER BY {by}{way}, log_offset) AS w FROM {table}{filter} ORDER BY event_id, w LIMIT {}",
            1 + self.chance.below(40)
        )
    }

    fn set(&mut self) -> String {
        let kind = if self.chance.once_in(4) {
            Kind::Time
        } else {
            Kind::Text
        };
        let (a, b) = (self.column(kind, ""), self.column(kind, ""));
        let (one, other) = (self.chance.pick(TABLES), self.chance.pick(TABLES));
        let (f, g) = (self.filter(""), self.filter(""));
        let op = self.chance.pick(&[
            "UNION",
            "UNION ALL",
            "EXCEPT",
            "INTERSECT",
            "EXCEPT ALL",
            "INTERSECT ALL",
        ]);
        let set = format!("SELECT {a} AS c FROM {one}{f} {op} SELECT {b} AS c FROM {other}{g}");
        match self.chance.once_in(2) {
            true => format!("SELECT count(*), min(c), max(c) FROM ({set}) s"),
            false => format!("{set} ORDER BY 1 LIMIT {}", 1 + self.chance.below(30)),
        }
    }

    fn nested(&mut self) -> String {
        let inner = match self.chance.below(3) {
            0 => self.rows(),
            1 => self.groups(),
            _ => self.window(),
        };
        match self.chance.below(3) {
            0 => format!("SELECT count(*) FROM ({inner}) s"),
            1 => format!("WITH s AS ({inner}) SELECT count(*) FROM s a, s b"),
            _ => format!(
                "SELECT EXISTS ({inner}) AS there, (SELECT count(*) FROM history{}) AS n",
                self.filter("")
            ),
        }
    }

    fn view(&mut self) -> String {
        let what = self.chance.pick(&[
            "count(*)",
            "max(who)",
            "count(DISTINCT account)",
            "sum(n)",
            "min(at)",
        ]);
        let filter = match self.chance.below(5) {
            0 => "",
            1 => " WHERE account <> '111111111111'",
            2 => " WHERE CAST(who AS INT) > 2",
            3 => " WHERE at > '2026-11-20T06:00:00Z' OR who LIKE 'secret%'",
            _ => " WHERE 1 / (CASE WHEN account = '222222222222' THEN 0 ELSE 1 END) = 1",
        };
        format!("SELECT {what} FROM failures{filter}")
    }

    /// The next question.
    pub(crate) fn question(&mut self) -> String {
        match self.chance.below(20) {
            0..=4 => self.rows(),
            5..=9 => self.groups(),
            10..=12 => self.join(),
            13 => self.semi(),
            14 | 15 => self.window(),
            16 | 17 => self.set(),
            18 => self.nested(),
            _ => self.view(),
        }
    }
}
