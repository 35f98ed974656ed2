//! What an event names as touched. Senders are inventive here, so every odd
//! shape is passed over rather than refused: `raw` has it.

use super::Top;
use super::event::Resource;
use super::json::{At, Kind};
use super::value::Values;

/// Up to so many resources are held against each other; a list of thousands
/// keeps its repetitions, for looking at every pair would cost the square.
const COMPARED: usize = 64;

/// Every resource that the event names, in its order, each once.
pub(crate) fn collect<'a>(values: &mut Values<'a, '_>) -> Vec<Resource<'a>> {
    let mut found = Vec::new();
    single(values, &mut found);
    if let Some(at) = values.fields().at(Top::Resources) {
        listed(values, at, &mut found);
    }
    if let Some(at) = values.fields().at(Top::ReferencedResources) {
        referenced(values, at, &mut found);
    }
    found
}

/// ActionTrail's resourceType and resourceName.
fn single<'a>(values: &mut Values<'a, '_>, found: &mut Vec<Resource<'a>>) {
    let resource = Resource {
        kind: values.top(Top::ResourceType),
        name: values.top(Top::ResourceName),
        account_id: None,
    };
    add(found, resource);
}

/// CloudTrail's `[{"ARN": …, "accountId": …, "type": …}]`.
fn listed<'a>(values: &mut Values<'a, '_>, at: At, found: &mut Vec<Resource<'a>>) {
    let tape = values.tape();
    match tape.kind(at) {
        Kind::Array => tape.elements(at).for_each(|e| one(values, e, found)),
        _ => one(values, at, found),
    }
}

fn one<'a>(values: &mut Values<'a, '_>, at: At, found: &mut Vec<Resource<'a>>) {
    let tape = values.tape();
    let mut resource = Resource::default();
    match tape.kind(at) {
        Kind::Object => {
            for (key, value) in tape.members(at) {
                match tape.key(key).as_ref() {
                    "type" | "resourceType" => resource.kind = values.text(Some(value)),
                    "ARN" => resource.name = values.text(Some(value)),
                    "ARNPrefix" | "resourceName" if resource.name.is_none() => {
                        resource.name = values.text(Some(value));
                    }
                    "accountId" => resource.account_id = values.text(Some(value)),
                    _ => {}
                }
            }
        }
        Kind::Plain | Kind::Escaped => resource.name = values.text(Some(at)),
        _ => {}
    }
    add(found, resource);
}

/// ActionTrail's `{"ACS::ECS::Disk": ["d-1", …]}`.
fn referenced<'a>(values: &mut Values<'a, '_>, at: At, found: &mut Vec<Resource<'a>>) {
    let tape = values.tape();
    for (key, names) in tape.members(at) {
        let kind = tape.key(key);
        let mut name = |values: &mut Values<'a, '_>, at| {
            let name = values.text(Some(at));
            let kind = Some(kind.clone());
            add(
                found,
                Resource {
                    kind,
                    name,
                    account_id: None,
                },
            );
        };
        match tape.kind(names) {
            Kind::Array => tape.elements(names).for_each(|e| name(values, e)),
            _ => name(values, names),
        }
    }
}

fn add<'a>(found: &mut Vec<Resource<'a>>, resource: Resource<'a>) {
    let says = |text: &Option<_>| {
        text.as_ref()
            .is_some_and(|t: &super::Text<'_>| !t.is_empty())
    };
    if !says(&resource.kind) && !says(&resource.name) {
        return;
    }
    if found.len() > COMPARED || !found.contains(&resource) {
        found.push(resource);
    }
}

#[cfg(test)]
mod tests;
