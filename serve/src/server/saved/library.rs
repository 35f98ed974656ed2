//! The questions that come with Cairn: data, in `serve/questions`.

use std::sync::LazyLock;

use cairn_schemas::QueryName;
use cairn_schemas::saved::{Parameter, ParameterKind};
use serde::Deserialize;

/// A question of the library.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibraryQuestion {
    /// What it is called.
    pub name: QueryName,
    /// What it asks, in one line.
    pub title: String,
    /// What the answer means, and what to look at in it.
    pub says: String,
    /// The statement.
    pub sql: String,
    /// Its parameters; `since` and `until` are added where the statement has them.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The subject that it belongs to.
    #[serde(skip)]
    pub topic: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    question: Vec<LibraryQuestion>,
}

/// The subjects, and their questions.
const FILES: &[(&str, &str)] = &[
    (
        "Root, logins, users",
        include_str!("../../../questions/identity.toml"),
    ),
    (
        "Keys and roles",
        include_str!("../../../questions/keys.toml"),
    ),
    (
        "Permissions",
        include_str!("../../../questions/permissions.toml"),
    ),
    (
        "What was denied",
        include_str!("../../../questions/denied.toml"),
    ),
    (
        "Logging and guards",
        include_str!("../../../questions/guards.toml"),
    ),
    (
        "Data and secrets",
        include_str!("../../../questions/data.toml"),
    ),
    (
        "Network and machines",
        include_str!("../../../questions/network.toml"),
    ),
    (
        "What goes on",
        include_str!("../../../questions/activity.toml"),
    ),
];

/// Between when and when: of nearly every question.
fn span(name: &str) -> Option<Parameter> {
    let (default, says) = match name {
        "since" => ("-90d", "From when on."),
        "until" => ("now", "Until when."),
        _ => return None,
    };
    Some(Parameter {
        name: name.to_owned(),
        kind: ParameterKind::Timestamp,
        default: Some(default.to_owned()),
        says: says.to_owned(),
    })
}

fn read() -> Result<Vec<LibraryQuestion>, String> {
    let mut all = vec![];
    for (topic, text) in FILES {
        let file: File = toml::from_str(text).map_err(|e| format!("{topic}: {e}"))?;
        for mut question in file.question {
            question.topic = topic;
            let template = cairn_query::Template::new(&question.sql)
                .map_err(|e| format!("{}: {e}", question.name))?;
            let mut parameters: Vec<Parameter> = ["since", "until"]
                .into_iter()
                .filter(|name| template.names.iter().any(|n| n == name))
                .filter_map(span)
                .collect();
            parameters.append(&mut question.parameters);
            question.parameters = parameters;
            all.push(question);
        }
    }
    Ok(all)
}

static ALL: LazyLock<Result<Vec<LibraryQuestion>, String>> = LazyLock::new(read);

/// All of them, by subject. A build whose files cannot be read has none, and
/// fails its tests.
pub fn all() -> &'static [LibraryQuestion] {
    match ALL.as_ref() {
        Ok(all) => all,
        Err(error) => {
            tracing::error!(error = %error, "the library of questions cannot be read");
            &[]
        }
    }
}

/// The one of that name.
pub fn find(name: &QueryName) -> Option<&'static LibraryQuestion> {
    all().iter().find(|q| q.name == *name)
}

/// The page about them, in Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# Questions that come with Cairn\n\n\
         Made from `serve/questions`; a test keeps this page equal to them, and tests/e2e/test_questions.py asks each over \
         the bundled real events and compares its answer with one that is worked out without Cairn.\n\n\
         `cairn query list` lists them, `cairn query show NAME` shows the SQL, `cairn query run NAME --param since=-7d` asks. \
         Each is asked over the accounts that the token may read. `since` (default 90 days ago) and `until` (default now) bound \
         the time where a question has them; a time is ISO 8601, `now`, or so long ago: `-7d`, `-12h`, `-30m`. See \
         [saved-queries.md](saved-queries.md) for how to save your own.\n",
    );
    let mut topic = "";
    for question in all() {
        if topic != question.topic {
            topic = question.topic;
            page.push_str(&format!("\n## {topic}\n"));
        }
        let (name, title, says) = (&question.name, &question.title, &question.says);
        page.push_str(&format!("\n### `{name}`\n\n{title} {says}\n"));
        for p in &question.parameters {
            let default = match &p.default {
                Some(default) => format!(", default `{default}`"),
                None => String::new(),
            };
            if span(&p.name).is_none() {
                page.push_str(&format!(
                    "\n- `{}` ({}{default}): {}\n",
                    p.name, p.kind, p.says
                ));
            }
        }
        page.push_str(&format!("\n```sql\n{}\n```\n", question.sql.trim()));
    }
    page
}

#[cfg(test)]
mod tests;
