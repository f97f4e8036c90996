//! From what was asked of rotation to a plan, with every fault at its place.

use std::time::Duration;

use crate::domain::lifecycle::{FieldFault, Grace};
use crate::domain::rotation::RotationPlan;
use crate::domain::span::Span;

/// A plan, as far as it could be understood; the fields of its object stand below `pointer`.
pub(in crate::admin) fn plan(
    interval_days: u32,
    keep_previous: bool,
    grace: Option<&str>,
    pointer: &str,
    faults: &mut Vec<FieldFault>,
) -> RotationPlan {
    let mut fault = |field: &str, code, detail: String| {
        faults.push(FieldFault::new(format!("{pointer}/{field}"), code, detail));
    };
    if !(1..=DAYS_MAX).contains(&interval_days) {
        let detail = "an interval has 1 to 3650 days".to_owned();
        fault("interval_days", "range", detail);
    }
    let grace = match grace.map(str::parse) {
        None => Duration::ZERO,
        Some(Ok(Span(span))) if Grace::new(span).is_some() => span,
        Some(Ok(_)) => {
            fault("grace", "too_long", "a grace is at most 72h".to_owned());
            Duration::ZERO
        }
        Some(Err(error)) => {
            fault("grace", "form", error.to_string());
            Duration::ZERO
        }
    };
    RotationPlan {
        interval_days,
        keep_previous,
        grace,
    }
}

/// Ten years.
const DAYS_MAX: u32 = 3_650;
