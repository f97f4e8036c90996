//! What the process lets others see of its memory.

use super::gate::{Setup, Upstream};

/// S3-20: nothing that passes through the gate is left in an image of it.
#[test]
fn a_running_gate_leaves_no_core_file() {
    let upstream = Upstream::start(0);
    let gate = Setup::new(upstream.address, "").start();
    let limits = gate.proc("limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    gate.terminate();
}
