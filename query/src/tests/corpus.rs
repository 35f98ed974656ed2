//! The attacks of `tests/attacks`: each one told by a full store is what a store
//! of the principal's own would tell.

use std::path::Path;

use cairn_schemas::Withheld;
use cairn_schemas::control::Principal;

use super::fixture::{
    A, B, C, Organization, auditor, auditor_of_all, organization, organization_without, small,
};
use super::oracle::{Told, ask, difference, everything};

/// A line each; lines that begin with `--` and a blank tell what a group tries.
pub(crate) fn attacks() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/attacks");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sql"))
        .collect();
    files.sort();
    let mut all = vec![];
    for file in files {
        let class = file.file_stem().unwrap().to_string_lossy().into_owned();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            if !line.trim().is_empty() && !line.starts_with("-- ") {
                all.push((class.clone(), line.to_owned()));
            }
        }
    }
    all
}

/// What is withheld from the masked auditor; with its carriers, [`NEVER`].
pub(crate) const WITHHELD: &[&str] = &["source_ip", "user_name"];

/// The same columns, as a store that never held them.
pub(crate) const NEVER: &[&str] = &[
    "additional_event_data",
    "detail",
    "error_message",
    "principal_arn",
    "principal_id",
    "raw",
    "raw_base64",
    "request_parameters",
    "resource_name",
    "resources",
    "response_elements",
    "source_ip",
    "user_identity",
    "user_name",
];

pub(crate) fn masked() -> Principal {
    Principal {
        withheld: Withheld::of(WITHHELD).unwrap(),
        ..auditor(&[A])
    }
}

#[expect(clippy::disallowed_methods, reason = "chooses the long form of a test")]
pub(crate) fn asked(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => otherwise,
    }
}

/// Every n-th attack, in the short form of a test.
fn every(n: u64) -> Vec<(String, String)> {
    let n = asked("CAIRN_SCOPE_EVERY", n) as usize;
    attacks().into_iter().step_by(n.max(1)).collect()
}

/// Asks both stores, compares all that they tell, and looks for `markers`:
/// values that the principal may not see.
async fn compare(
    asking: Vec<(String, String)>,
    [full, alone]: [&Organization; 2],
    principal: &Principal,
    markers: &[&str],
) {
    let (mut wrong, mut answered) = (vec![], 0);
    let asked = asking.len();
    for (class, sql) in asking {
        let began = tokio::time::Instant::now();
        let (told, expected) = tokio::join!(
            everything(full, principal, &sql),
            everything(alone, principal, &sql)
        );
        if began.elapsed().as_secs() > 5 {
            println!("slow {:?}: {sql}", began.elapsed());
        }
        if let Some(difference) = difference(&sql, &told, &expected) {
            println!("[{class}] {difference}");
            wrong.push(sql.clone());
        }
        let text = match &told.answer {
            Told::Rows(_, rows) => rows.join("\n"),
            Told::Error(e) => format!("{e:?}"),
        };
        for marker in markers {
            // What the statement itself says it may be told again.
            if text.contains(marker) && !sql.contains(marker.trim_end_matches('|')) {
                wrong.push(format!("{sql} tells {marker}"));
            }
        }
        answered += usize::from(matches!(told.answer, Told::Rows(..)));
    }
    println!(
        "{asked} attacks, {answered} answered, {} differences",
        wrong.len()
    );
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_tells_what_a_store_of_ones_own_would() {
    let (full, alone) = (organization(&[A, B, C]).await, organization(&[A]).await);
    assert!(attacks().len() >= 500, "the corpus is not all there");
    let markers = ["secret-", "id-1|", "b-only"];
    compare(every(1), [&full, &alone], &auditor(&[A]), &markers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_on_withheld_columns_tell_what_a_store_without_them_would() {
    let effective: Vec<_> = masked().withheld.columns().into_iter().collect();
    assert_eq!(effective, NEVER);
    let full = organization(&[A, B, C]).await;
    let never = organization_without(&[A], NEVER, small()).await;
    let mut asking = every(5);
    asking.extend(attacks().into_iter().filter(|(class, _)| class == "masks"));
    let markers = [
        "secret-",
        "10.0.0.",
        "\"userName\"",
        "\"eventId\"",
        "\"UserName\"",
    ];
    compare(asking, [&full, &never], &masked(), &markers).await;
}

/// A withheld column is null, and nothing but null: who has nothing withheld
/// gets the same rows of a store that never had the column.
#[tokio::test(flavor = "multi_thread")]
async fn withheld_is_as_good_as_never_filled() {
    let full = organization(&[A, B, C]).await;
    let never = organization_without(&[A], NEVER, small()).await;
    let mut wrong = vec![];
    let of_masks = |(class, _): &(String, String)| class == "masks" || class == "statistics";
    for (class, sql) in attacks().into_iter().filter(of_masks) {
        let tells_of_tables = class == "catalogs" || sql.contains("information_schema");
        let starts = |word: &str| sql.to_uppercase().starts_with(word);
        if tells_of_tables || starts("EXPLAIN") || starts("DESC") || starts("SHOW") {
            continue;
        }
        let masked = ask(&full, &masked(), &sql).await;
        let plain = ask(&never, &auditor(&[A]), &sql).await;
        let same = match (&masked, &plain) {
            (Told::Rows(_, a), Told::Rows(_, b)) => a == b || !sql.contains("ORDER BY"),
            (Told::Error(a), Told::Error(b)) => a.code() == b.code(),
            _ => false,
        };
        if !same {
            wrong.push(format!(
                "[{class}] {sql}\n  {masked:.500?}\n  {plain:.500?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The attacks have teeth: of one who sees all, many tell something else.
#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_has_teeth() {
    let (full, alone) = (organization(&[A, B, C]).await, organization(&[A]).await);
    let (mut bites, mut asked) = (0, 0);
    for (_, sql) in every(7) {
        asked += 1;
        let all = ask(&full, &auditor_of_all(), &sql).await;
        bites += usize::from(all != ask(&alone, &auditor_of_all(), &sql).await);
    }
    println!("{bites} of {asked} attacks tell the full store from the other");
    assert!(bites * 4 > asked, "{bites} of {asked}");
}
