//! Secrets that were taken over open the gate like any other, so no client need change.

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Gateway, Upstream};

/// What became of each line.
async fn import(gateway: &Gateway, query: &str, lines: &[Value]) -> Vec<Value> {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let reply = gateway
        .ask_admin(Method::POST, &format!("/admin/keys/import{query}"))
        .header("content-type", "application/x-ndjson")
        .body(body)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let lines = reply.text().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sha256(secret: &str) -> String {
    let digest = Sha256::digest(secret);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(fields: Value) -> Value {
    let mut line = json!({"name": "old", "owner": {"name": "Billing", "type": "team"}});
    let into = line.as_object_mut().unwrap();
    into.extend(fields.as_object().unwrap().clone());
    line
}

async fn status(gateway: &Gateway, secret: &str) -> u16 {
    gateway.get("/").header("x-api-key", secret).await.status
}

/// A secret of any form, by its text or by its hash alone.
#[tokio::test]
async fn a_secret_that_was_taken_over_opens_the_gate_as_it_is() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("scopes: [orders:read]")
        .start()
        .await;
    // One has our prefix, and not our form.
    let plain = [
        "k0ng-7f3a-5f4dcc3b",
        "pk_live_not-of-ours",
        "5f4dcc3b-5aa7-65d6-1d83",
    ];
    let scopes = json!(["orders:read"]);
    let mut lines: Vec<Value> = plain
        .iter()
        .map(|secret| line(json!({"secret": secret, "scopes": scopes})))
        .collect();
    lines.push(line(
        json!({"sha256": sha256("a-secret-hashed-only"), "scopes": scopes}),
    ));
    lines.push(line(json!({"secret": "with-no-scope-at-all"})));
    for secret in plain {
        assert_eq!(status(&gateway, secret).await, 401, "{secret}");
    }

    let told = import(&gateway, "", &lines).await;

    assert!(
        told.iter().all(|line| line["outcome"] == "done"),
        "{told:?}"
    );
    for secret in plain.into_iter().chain(["a-secret-hashed-only"]) {
        assert_eq!(status(&gateway, secret).await, 200, "{secret}");
    }
    assert_eq!(status(&gateway, "with-no-scope-at-all").await, 403);
    assert_eq!(status(&gateway, "k0ng-7f3a-5f4dcc3c").await, 401);
    assert_eq!(upstream.requests(), 4);
    // What was taken over is revoked like any other.
    let path = format!("/admin/keys/{}", told[0]["key_id"].as_str().unwrap());
    gateway.admin(Method::DELETE, &path, None).await;
    assert_eq!(status(&gateway, plain[0]).await, 401);
}

/// With a pepper, hashes from elsewhere are the second scheme, where the file says so.
#[tokio::test]
async fn hashes_from_elsewhere_are_found_beside_a_pepper() {
    let upstream = Upstream::echo().await;
    let pepper = "pepper: { id: 1, key: \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\" }";
    let beside = Gateway::routing("/", &upstream)
        .setting(&format!("keys: {{ {pepper}, previous_pepper: none }}"))
        .start()
        .await;
    let hashed = line(json!({"sha256": sha256("a-secret-hashed-only")}));
    let text = line(json!({"secret": "a-secret-known-in-full"}));
    let told = import(&beside, "", &[hashed.clone(), text.clone()]).await;
    assert!(
        told.iter().all(|line| line["outcome"] == "done"),
        "{told:?}"
    );
    for secret in ["a-secret-hashed-only", "a-secret-known-in-full"] {
        assert_eq!(status(&beside, secret).await, 200, "{secret}");
    }
    let twin = line(json!({"secret": "a-secret-hashed-only"}));
    let told = import(&beside, "", &[twin]).await;
    assert_eq!(told[0]["code"], "duplicate_secret", "by its other hash");

    let alone = Gateway::routing("/", &upstream)
        .setting(&format!("keys: {{ {pepper} }}"))
        .start()
        .await;
    let told = import(&alone, "", &[hashed, text]).await;
    assert_eq!(told[0]["errors"][0]["pointer"], "/sha256");
    assert_eq!(told[1]["outcome"], "done");
    assert_eq!(status(&alone, "a-secret-hashed-only").await, 401);
    assert_eq!(status(&alone, "a-secret-known-in-full").await, 200);
}
