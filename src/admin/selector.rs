//! Which keys a rule or a policy is asked to be about.

use crate::api;
use crate::domain::key::Risk;
use crate::domain::lifecycle::FieldFault;
use crate::domain::selector::Selector;

/// What a selector says; every key, where there is none. What cannot be read is told of in `faults`.
pub(crate) fn read(
    asked: Option<api::rotation::Selector>,
    pointer: &str,
    faults: &mut Vec<FieldFault>,
) -> Selector {
    let Some(asked) = asked else {
        return Selector::All;
    };
    let given = [
        ("key_id", asked.key_id),
        ("owner", asked.owner),
        ("product", asked.product),
        ("label", asked.label),
        ("risk", asked.risk),
    ];
    let mut given = given
        .into_iter()
        .filter_map(|(field, text)| Some((field, text?)));
    let (Some((field, text)), None) = (given.next(), given.next()) else {
        let detail =
            "a selector names exactly one of `key_id`, `owner`, `product`, `label`, `risk`";
        faults.push(FieldFault::new(pointer, "ambiguous", detail));
        return Selector::All;
    };
    let read = match field {
        "key_id" => text.parse().ok().map(Selector::Key),
        "owner" => text.parse().ok().map(Selector::Owner),
        "product" => (!text.is_empty()).then_some(Selector::Product(text)),
        "label" => Selector::label(&text).map(|(name, value)| Selector::Label { name, value }),
        _ => Risk::from_word(&text).map(Selector::Risk),
    };
    read.unwrap_or_else(|| {
        let detail = match field {
            "key_id" => "not the id of a key",
            "owner" => "not the id of an owner",
            "product" => "a product has a name",
            "label" => "a label is `name` or `name=value`",
            _ => "`high`, `standard` or `low`",
        };
        faults.push(FieldFault::new(
            format!("{pointer}/{field}"),
            "form",
            detail,
        ));
        Selector::All
    })
}
