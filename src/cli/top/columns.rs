//! The columns of the table: what stands in them, and for which there is room.

use std::collections::HashMap;

use super::board::{By, Line};
use super::figures;
use super::view::{Column, shown};
use crate::cli::render::visible;

/// What stands in a cell.
pub(super) fn value(line: &Line, column: Column, names: &HashMap<String, String>) -> String {
    match column {
        Column::Name => visible(&shown(line, names)).into_owned(),
        Column::Requests => figures::rate(line.rate),
        Column::Refused => figures::share(line.refused, line.requests),
        Column::Errors => figures::share(line.errors, line.requests),
        Column::P50 => figures::took(line.p50_us),
        Column::P99 => figures::took(line.p99_us),
        Column::Bytes => figures::bytes(line.bytes),
        Column::Seen => figures::ago(line.idle_s),
        Column::Gates => line.gates.to_string(),
    }
}

/// What a column is called.
pub(super) const fn title(column: Column, by: By) -> &'static str {
    match column {
        Column::Name => match by {
            By::Key => "Key",
            By::Owner => "Owner",
            By::Route => "Route",
        },
        Column::Requests => "Req/s",
        Column::Refused => "Refused",
        Column::Errors => "5xx",
        Column::P50 => "p50",
        Column::P99 => "p99",
        Column::Bytes => "B/s",
        Column::Seen => "Seen",
        Column::Gates => "Gates",
    }
}

/// How wide a column is; that of names takes what is left besides.
pub(super) const fn width(column: Column) -> u16 {
    match column {
        Column::Name => NAME_LEAST,
        Column::Requests | Column::Refused => 8,
        Column::Errors | Column::P50 | Column::P99 => 7,
        Column::Bytes | Column::Gates => 6,
        Column::Seen => 5,
    }
}

/// The columns that there is room for; what says least goes first.
pub(super) fn fitting(room: u16) -> Vec<Column> {
    let mut columns = Column::ALL.to_vec();
    for spare in [
        Column::Gates,
        Column::Seen,
        Column::Bytes,
        Column::P50,
        Column::P99,
    ] {
        let needed: u16 = columns.iter().map(|column| width(*column) + 1).sum();
        if needed <= room + 1 {
            break;
        }
        columns.retain(|column| *column != spare);
    }
    columns
}

/// How much of a name is always shown.
pub(super) const NAME_LEAST: u16 = 17;
