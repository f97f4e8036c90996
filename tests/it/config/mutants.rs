//! Bad configurations do not stop the gate: they are refused, and say where.

use portcullis::config::Faults;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{SAMPLE, load};

/// One thing that happens to a file.
#[derive(Debug, Clone)]
enum Mutation {
    Delete(Index, usize),
    Insert(Index, String),
    Repeat(Index, Index),
    Swap(Index, Index),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let piece = prop_oneof![
        "[ -~]{1,8}",
        "\\PC{1,4}",
        prop::sample::select(vec![
            ":",
            " ",
            "\n",
            "\t",
            "- ",
            "{",
            "}",
            "[",
            "]",
            "\"",
            "'",
            "&a ",
            "*a",
            "!t ",
            "${",
            "${X}",
            "${X:-y}",
            "|",
            ">",
            "#",
            "%",
            "---\n",
            "...",
            "\u{0}",
            "\r\n",
            "\u{feff}",
            "?",
            "<<: *a",
            "null",
            "~",
            "-1",
            "99999999999999999999",
            "1e309",
            "0s",
            "𝕏",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        (any::<Index>(), 1_usize..40).prop_map(|(at, count)| Mutation::Delete(at, count)),
        (any::<Index>(), piece).prop_map(|(at, text)| Mutation::Insert(at, text)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        any::<Index>().prop_map(Mutation::Cut),
    ]
}

fn mutate(text: &str, mutation: &Mutation) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let place = |index: &Index, length: usize| index.index(length + 1);
    match mutation {
        Mutation::Delete(at, count) => {
            let at = place(at, chars.len());
            chars.drain(at..(at + count).min(chars.len()));
        }
        Mutation::Insert(at, text) => {
            let at = place(at, chars.len());
            chars.splice(at..at, text.chars());
        }
        Mutation::Cut(at) => chars.truncate(place(at, chars.len())),
        Mutation::Repeat(from, to) | Mutation::Swap(from, to) => {
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            if !lines.is_empty() {
                let (from, to) = (from.index(lines.len()), to.index(lines.len()));
                if matches!(mutation, Mutation::Swap(..)) {
                    lines.swap(from, to);
                } else {
                    lines.insert(to, lines[from]);
                }
            }
            return lines.concat();
        }
    }
    chars.into_iter().collect()
}

fn check_places(text: &str, faults: &Faults) -> Result<(), TestCaseError> {
    prop_assert!(!faults.faults.is_empty());
    let lines: Vec<&str> = text.lines().collect();
    for fault in &faults.faults {
        let place = fault
            .place
            .ok_or(TestCaseError::fail("a fault without a place"))?;
        prop_assert!((1..=lines.len().max(1)).contains(&place.line), "{fault:?}");
        let length = lines
            .get(place.line - 1)
            .map_or(0, |line| line.chars().count());
        prop_assert!(
            (1..=length + 1).contains(&place.column),
            "{fault:?} {length}"
        );
        prop_assert!(place.width >= 1 && !fault.message.is_empty(), "{fault:?}");
    }
    prop_assert!(!faults.to_string().is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutant_loads_or_says_where_it_is_wrong(mutations in prop::collection::vec(mutation(), 1..6)) {
        let text = mutations
            .iter()
            .fold(SAMPLE.to_owned(), |text, mutation| mutate(&text, mutation));
        if let Err(faults) = load(&text) {
            check_places(&text, &faults)?;
        }
    }

    #[test]
    fn any_text_loads_or_says_where_it_is_wrong(text in "[a-z:{}\\[\\]\"'&*!|>%@`#,\\-? \n\t0-9$~]{0,200}") {
        if let Err(faults) = load(&text) {
            check_places(&text, &faults)?;
        }
    }
}
