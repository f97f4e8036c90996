//! The scripts that run in Redis: everything that must be checked and written as one.
//!
//! Each goes by its SHA-1; a server that does not know it (a new one, or after `SCRIPT FLUSH`) is given
//! the text once. Gates of two versions have two texts and so two hashes, and never meet. Not Redis
//! Functions: those must be loaded on every master, and two versions would fight over one name.

use redis::{Cmd, FromRedisValue};

use super::connect::{Fault, Route};

/// A script and the name that Redis gives it.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    sha: String,
}

/// What a script is called with. `KEYS` must name everything it touches.
#[derive(Debug, Default)]
pub(super) struct Call {
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

/// All there are.
#[derive(Debug)]
pub(super) struct Scripts {
    /// Leaves an answer to a question.
    pub(super) answer: Script,
    /// Has a question asked.
    pub(super) ask: Script,
    /// Writes down that a gate is there, and tells which there are.
    pub(super) beat: Script,
    /// Makes an empty store, or says where the one there stands.
    pub(super) begin: Script,
    /// Lands a change.
    pub(super) commit: Script,
    /// Adds part of a batch to the counts of one shard.
    pub(super) count: Script,
    /// Settles a draw on a quota.
    pub(super) draw: Script,
    /// Takes a job, keeps it or gives it back.
    pub(super) job: Script,
    /// Settles a call on a shared limit.
    pub(super) lease: Script,
    /// Strikes a gate off the roster.
    pub(super) strike: Script,
    /// Makes a store of what was carried.
    pub(super) plant: Script,
}

impl Scripts {
    /// Hashes their texts.
    pub(super) fn new() -> Self {
        Self {
            answer: Script::new(include_str!("scripts/answer.lua")),
            ask: Script::new(include_str!("scripts/ask.lua")),
            beat: Script::new(include_str!("scripts/beat.lua")),
            begin: Script::new(include_str!("scripts/begin.lua")),
            commit: Script::new(include_str!("scripts/commit.lua")),
            count: Script::new(include_str!("scripts/count.lua")),
            draw: Script::new(include_str!("scripts/draw.lua")),
            job: Script::new(include_str!("scripts/job.lua")),
            lease: Script::new(include_str!("scripts/lease.lua")),
            strike: Script::new(include_str!("scripts/strike.lua")),
            plant: Script::new(include_str!("scripts/plant.lua")),
        }
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            sha: redis::Script::new(text).get_hash().to_owned(),
        }
    }

    /// Runs it: by name, and once by text where the name is unknown.
    ///
    /// # Errors
    /// What the way there or the script failed with. A script that fails has written nothing.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        route: Route<'_>,
        call: &Call,
    ) -> Result<T, Fault> {
        match route.ask(&call.command("EVALSHA", &self.sha)).await {
            Err(fault) if fault.is_unknown_script() => {
                route.ask(&call.command("EVAL", self.text)).await
            }
            answer => answer,
        }
    }
}

impl Call {
    /// Names a key that the script touches; returns its place among `KEYS`, from 1.
    pub(super) fn key(&mut self, name: String) -> usize {
        self.keys.push(name);
        self.keys.len()
    }

    /// Adds an argument of bytes.
    pub(super) fn bytes(&mut self, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.args.push(bytes.into());
        self
    }

    /// Adds an argument of digits.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(number.to_string())
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for arg in &self.args {
            command.arg(arg);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_so_and_carries_its_version() {
        let scripts = Scripts::new();
        for (script, name) in [
            (&scripts.beat, "beat"),
            (&scripts.begin, "begin"),
            (&scripts.commit, "commit"),
            (&scripts.count, "count"),
            (&scripts.draw, "draw"),
            (&scripts.job, "job"),
            (&scripts.lease, "lease"),
            (&scripts.strike, "strike"),
            (&scripts.plant, "plant"),
        ] {
            // `#!lua` makes Redis refuse the whole script, not its second half, when memory is short.
            let head = format!("#!lua\n-- portcullis {name} ");
            let version = script
                .text
                .strip_prefix(&head)
                .and_then(|it| it.lines().next());
            assert!(version.is_some_and(|it| it.parse::<u8>().is_ok()), "{name}");
            assert_eq!(script.sha.len(), 40);
        }
    }
}
