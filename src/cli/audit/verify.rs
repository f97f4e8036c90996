//! Verifies a file: an export or an archive, with no gate at hand.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::api::audit::Verdict;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::domain::audit::chain::Head;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::verify::{Link, Trust, Walk};

/// Walks the chain in a file, which only the holders of `keys` may have signed; anybody, where there are
/// none. Its lines are in order of time, which a clock may have been set back in, and are put in the
/// chain's own; requests stand outside of it and are passed over; a chain that begins later than the first
/// entry is verified from where it begins.
///
/// # Errors
/// If the file cannot be read, or a line of it is no entry.
pub(super) fn file(
    path: &Path,
    keys: Vec<[u8; 32]>,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let trust = if keys.is_empty() {
        Trust::Nobody
    } else {
        Trust::Only(keys)
    };
    let unreadable = |error| Failure::Usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut progress = Progress::of(length, "bytes");
    let mut lines = BufReader::with_capacity(1 << 20, file).lines();
    let (mut links, mut checkpoints) = (Vec::new(), Vec::new());
    let (mut read, mut number, mut requests) = (0, 0, 0_u64);
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        for line in lines.by_ref().take(PIECE) {
            let line = line.map_err(unreadable)?;
            read += line.len() as u64 + 1;
            piece.push(line);
        }
        if piece.is_empty() {
            break;
        }
        for line in read_all(&piece)? {
            number += 1;
            match line {
                Ok(Line::Entry(link)) => links.push(link),
                Ok(Line::Checkpoint(checkpoint)) => checkpoints.push(*checkpoint),
                Ok(Line::Request) => requests += 1,
                Err(why) => {
                    let path = path.display();
                    return Err(Failure::Usage(format!("line {number} of {path}: {why}")));
                }
            }
        }
        progress.at(read, output)?;
    }
    progress.end(output)?;
    links.sort_by_key(|link| link.at.seq);
    let start = links.first().filter(|first| first.at.seq > 1);
    let start = start.map_or_else(Head::default, |first| Head {
        seq: first.at.seq - 1,
        hash: first.previous,
    });
    let mut walk = Walk::new(start, &checkpoints);
    links.into_iter().for_each(|link| walk.pass(link));
    if requests > 0 {
        output.note(&format!(
            "{} outside the chain: whether any of that was altered is not known.",
            match requests {
                1 => "1 line of a request stands".to_owned(),
                many => format!("{many} lines of requests stand"),
            }
        ))?;
    }
    Ok(Verdict::from(&walk.end().trusting(&trust)))
}

/// What a line of a file may be.
enum Line {
    Entry(Link),
    Checkpoint(Box<Checkpoint>),
    Request,
}

/// Reads lines, on as many threads as there are cores.
fn read_all(lines: &[String]) -> Result<Vec<Result<Line, String>>, Failure> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = lines.len().div_ceil(threads).max(1);
    let read = thread::scope(|scope| {
        let parts: Vec<_> = lines
            .chunks(share)
            .map(|part| scope.spawn(|| part.iter().map(|line| read(line)).collect::<Vec<_>>()))
            .collect();
        let read: thread::Result<Vec<_>> = parts
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        read
    });
    let read = read.map_err(|_| Failure::Usage("a thread that reads has ended".to_owned()))?;
    Ok(read.into_iter().flatten().collect())
}

fn read(line: &str) -> Result<Line, String> {
    if let Some(link) = Link::as_written(line) {
        return Ok(Line::Entry(link));
    }
    let form: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if form.get("type").and_then(Value::as_str) == Some("request") {
        return Ok(Line::Request);
    }
    match Checkpoint::read(&form) {
        Ok(Some(checkpoint)) => Ok(Line::Checkpoint(Box::new(checkpoint))),
        Ok(None) => Link::of_form(form)
            .map(Line::Entry)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// How many lines are read together.
const PIECE: usize = 8_192;
