//! Automatic rotation by two gates over one Redis, as a client sees it that reads its secret from a file.

use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::admin::Key;
use crate::support::redis::RedisServer;
use crate::support::{Gateway, Upstream, eventually};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Two gates, each with a file sink in a folder, and a key that rotates every 30 days with a minute's grace.
struct Two {
    _redis: RedisServer,
    gates: Vec<Gateway>,
    key: Key,
}

impl Two {
    async fn start(upstream: &Upstream, folders: [&Path; 2]) -> Self {
        let redis = RedisServer::start();
        let mut gates = Vec::new();
        for (node, folder) in ["gate-1", "gate-2"].into_iter().zip(folders) {
            let sinks = format!(
                "sinks: {{ files: {{ kind: file, path: \"{}/{{id}}\" }} }}",
                folder.display()
            );
            let gate = Gateway::routing("/", upstream)
                .node(node)
                .admin_token("a-token-that-all-gates-know-0123456789")
                .setting(&sinks)
                .redis(&redis.url());
            gates.push(gate.start().await);
        }
        let key = gates[0].create_key().await;
        let rule = json!({"interval_days": 30, "keep_previous": false, "grace": "1m"});
        let path = "/admin/keys/rotation/enable";
        let reply = gates[0].admin(Method::POST, path, Some(rule)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let two = Self {
            _redis: redis,
            gates,
            key,
        };
        two.both_know(1).await;
        two
    }

    fn secret_in(&self, folder: &Path) -> Option<String> {
        let file = folder.join(self.key.id.trim_start_matches("key_"));
        let text = std::fs::read_to_string(file).ok()?;
        Some(text.trim_end().to_owned())
    }

    /// Both clocks are turned on.
    fn turn(&self, span: Duration) {
        self.gates.iter().for_each(|gate| gate.clock.turn(span));
    }

    async fn both_know(&self, version: u64) {
        for gate in &self.gates {
            eventually("the gate knows the version", async || {
                (told(gate, &self.key).await["version"] == version).then_some(())
            })
            .await;
        }
    }

    /// What a client holds is admitted by both.
    async fn admit(&self, secret: &str) {
        for gate in &self.gates {
            let reply = gate.get("/").header("x-api-key", secret).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }

    /// How often the key was rotated, as the audit log has it.
    async fn rotations(&self) -> usize {
        let path = format!(
            "/admin/audit-logs?key_id={}&type=key_rotation&limit=1000",
            self.key.id
        );
        let found = self.gates[0].admin(Method::GET, &path, None).await;
        assert_eq!(found.status, 200, "{}", found.text());
        found.json()["items"].as_array().unwrap().len()
    }
}

async fn told(gate: &Gateway, key: &Key) -> Value {
    let path = format!("/admin/keys/{}", key.id);
    gate.admin(Method::GET, &path, None).await.json()
}

/// Ten rotations with a folder that both share: at no time is the client refused, and each is done once.
// S3-02 S3-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_never_refused_while_two_gates_rotate_its_key() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let two = Two::start(&upstream, [folder.path(), folder.path()]).await;
    let mut secret = two.key.secret.clone();
    for version in 2..=11 {
        two.turn(DAY * 30);
        eventually("the key has its next version", async || {
            if let Some(held) = two.secret_in(folder.path()) {
                secret = held;
            }
            two.admit(&secret).await;
            (told(&two.gates[0], &two.key).await["version"] == version).then_some(())
        })
        .await;
        two.both_know(version).await;
        secret = two.secret_in(folder.path()).unwrap();
        two.admit(&secret).await;
        // The grace of the one before is over.
        two.turn(Duration::from_secs(61));
        two.admit(&secret).await;
    }
    assert_eq!(two.rotations().await, 10);
}

/// Each gate has a disk of its own: one of them has the sink from the first rotation on, and the other puts
/// nothing onto its disk, where it would grow old unseen.
// S3-02 S0-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_disks_one_has_the_sink_and_the_other_is_left_alone() {
    let upstream = Upstream::echo().await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let paths = [folders[0].path(), folders[1].path()];
    let mut two = Two::start(&upstream, paths).await;
    let mut at = None;
    for version in 2..=4 {
        two.turn(DAY * 30);
        two.both_know(version).await;
        let held = paths.map(|folder| two.secret_in(folder));
        let with: Vec<usize> = (0..2).filter(|it| held[*it].is_some()).collect();
        assert_eq!(with.len(), 1, "in one place");
        assert_eq!(*at.get_or_insert(with[0]), with[0], "and always there");
        two.turn(Duration::from_secs(61));
        two.admit(held[with[0]].as_ref().unwrap()).await;
    }

    // A rotation by hand at the other one is done, and says that the sink does not have it.
    let here = at.unwrap();
    let path = format!("/admin/keys/{}/rotate", two.key.id);
    let ask = Some(json!({"grace": "72h", "reason": "regular"}));
    let reply = two.gates[1 - here].admin(Method::POST, &path, ask).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["sink"]["delivered"], false);
    assert!(two.secret_in(paths[1 - here]).is_none());
    two.both_know(5).await;
    let ask = Some(json!({"grace": "0s", "reason": "regular"}));
    let reply = two.gates[here].admin(Method::POST, &path, ask).await;
    assert_eq!(reply.json()["sink"]["delivered"], true);

    // The gate that has the sink goes: its key is not rotated, and nobody is locked out.
    let secret = two.secret_in(paths[here]).unwrap();
    two.both_know(6).await;
    drop(two.gates.remove(here));
    two.turn(DAY * 40);
    let left = &two.gates[0];
    let walks = left.metric("portcullis_key_walks_total").await;
    left.clock.turn(Duration::from_secs(120));
    eventually("all keys are looked at", async || {
        let now = left.metric("portcullis_key_walks_total").await;
        (now > walks).then_some(())
    })
    .await;
    two.admit(&secret).await;
    assert!(two.secret_in(paths[1 - here]).is_none());
    assert_eq!(told(left, &two.key).await["version"], 6);
    eventually("it says so", async || {
        let status = left.admin(Method::GET, "/admin/status", None).await.json();
        let alarms = status["alarms"].as_array().unwrap();
        let mut codes = alarms.iter().map(|alarm| &alarm["code"]);
        codes.any(|code| code == "sink_elsewhere").then_some(())
    })
    .await;
}
