//! What a gate says when its store is not what it signed.

use super::gate::{Setup, Upstream, metrics};
use crate::support::patience::until;

/// S4-07: whoever can write to the store, and has no gate's key, cannot have a gate sign another history.
#[test]
fn a_history_made_anew_is_named_and_not_signed() {
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "");
    let verify = |gate: &super::gate::Gate| {
        let (status, verdict) = gate.admin_call("GET", "/admin/audit-logs/verify", "");
        assert_eq!(status, 200, "{verdict}");
        verdict
    };
    let gate = setup.start();
    gate.create_key("first");
    gate.terminate();
    let gate = setup.start();
    assert_eq!(verify(&gate)["valid"], true);
    gate.terminate();

    let data = setup.path().join("data");
    let store = || rusqlite::Connection::open(data.join("portcullis.db")).unwrap();
    let signed = |of: &rusqlite::Connection| -> i64 {
        let count = "SELECT count(*) FROM checkpoints";
        of.query_row(count, [], |row| row.get(0)).unwrap()
    };
    let before = store();
    assert!(signed(&before) > 0);
    before.execute("DELETE FROM checkpoints", []).unwrap();
    drop(before);

    let gate = setup.start();
    let verdict = verify(&gate);
    assert_eq!(verdict["valid"], false, "{verdict}");
    assert_eq!(verdict["fault"]["kind"], "rewritten", "{verdict}");
    gate.create_key("second");
    let raised = "portcullis_alarm{alarm=\"audit_broken\"} 1";
    until("the alarm is raised", || {
        metrics(gate.admin).lines().any(|line| line == raised)
    });
    let said = gate.terminate();
    assert!(
        said.contains("the audit log is not what was signed"),
        "{said}"
    );
    assert_eq!(signed(&store()), 0);
}
