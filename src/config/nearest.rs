//! The known word that an unknown one was probably meant to be.

/// The known word nearest to `word`, if it is near: about one slip in three characters.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word: Vec<char> = word.to_lowercase().chars().take(LENGTH_MAX + 1).collect();
    if word.len() > LENGTH_MAX {
        return None;
    }
    let bound = (word.len() / 3).max(1);
    known
        .into_iter()
        .map(|known| (slips(&word, &known.chars().collect::<Vec<_>>()), known))
        .filter(|(slips, _)| *slips <= bound)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}

/// "; did you mean `x`?", or nothing.
pub(super) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// How many characters must be added, dropped, changed or swapped with their neighbour.
fn slips(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, typed) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, meant) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let changed = at(&last, column).saturating_add(usize::from(typed != meant));
            let mut best = changed
                .min(at(&last, column + 1).saturating_add(1))
                .min(at(&current, column).saturating_add(1));
            let swapped = row > 0
                && column > 0
                && from.get(row - 1) == Some(meant)
                && to.get(column - 1) == Some(typed);
            if swapped {
                best = best.min(at(&before, column - 1).saturating_add(1));
            }
            current.push(best);
        }
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

const LENGTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["listeners", "admin", "routes", "rate_limits"];
        for (typed, meant) in [
            ("listener", Some("listeners")),
            ("lsiteners", Some("listeners")),
            ("Routes", Some("routes")),
            ("rate-limit", Some("rate_limits")),
            ("admn", Some("admin")),
            ("telemetry", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }

    #[test]
    fn a_swap_is_one_slip() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(slips(&chars("drian"), &chars("drain")), 1);
        assert_eq!(slips(&chars("drain"), &chars("drain")), 0);
        assert_eq!(slips(&chars(""), &chars("abc")), 3);
    }
}
