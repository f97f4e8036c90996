//! The admin API, over HTTP, with the first token.

use http::Method;
use serde_json::{Value, json};

use super::client::{Ask, Reply};
use super::clock::eventually;
use super::gateway::Gateway;

/// A key, and its secret.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// `key_…`.
    pub id: String,
    /// What a client shows.
    pub secret: String,
    /// `usr_…`.
    pub owner: String,
    /// What may be shown.
    pub fingerprint: String,
}

impl Gateway {
    /// Makes a key that may do anything no scope is asked for.
    pub(crate) async fn create_key(&self) -> Key {
        self.create_key_with(json!({})).await
    }

    /// Waits until this gate knows a key that another one made; nothing is spent of its limits.
    pub(crate) async fn hears_of(&self, key: &Key) {
        eventually("the gate knows the key", async || {
            let reply = self.get("/.portcullis/me").with(key).await;
            (reply.status == 200).then_some(())
        })
        .await;
    }

    /// Makes a key with these fields.
    pub(crate) async fn create_key_with(&self, fields: Value) -> Key {
        let mut body = json!({"name": "k", "owner": {"name": "Billing", "type": "team"}});
        let wanted = body.as_object_mut().unwrap();
        wanted.extend(fields.as_object().unwrap().clone());
        let reply = self.admin(Method::POST, "/admin/keys", Some(body)).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let made = reply.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Key {
            id: text(&made["key"]["id"]),
            secret: text(&made["secret"]),
            owner: text(&made["key"]["owner"]["id"]),
            fingerprint: text(&made["key"]["fingerprint"]),
        }
    }

    /// Rotates a key as `body` asks; the key with its new secret, and the whole answer.
    pub(crate) async fn rotate(&self, key: &Key, body: Value) -> (Key, Value) {
        let path = format!("/admin/keys/{}/rotate", key.id);
        let reply = self.admin(Method::POST, &path, Some(body)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let rotated = reply.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = Key {
            secret: text(&rotated["secret"]),
            fingerprint: text(&rotated["key"]["fingerprint"]),
            ..key.clone()
        };
        (key, rotated)
    }

    /// Revokes a key.
    pub(crate) async fn revoke(&self, key: &Key) {
        let path = format!("/admin/keys/{}", key.id);
        let reply = self.admin(Method::DELETE, &path, None).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Suspends a key, or resumes it.
    pub(crate) async fn pause(&self, key: &Key, how: &str) {
        let path = format!("/admin/keys/{}/{how}", key.id);
        let reply = self.admin(Method::POST, &path, None).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Changes a key.
    pub(crate) async fn patch(&self, key: &Key, fields: Value) {
        let path = format!("/admin/keys/{}", key.id);
        let reply = self.admin(Method::PATCH, &path, Some(fields)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Calls the admin API.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let ask = self.ask_admin(method, path);
        match body {
            Some(body) => ask.json(&body).await,
            None => ask.await,
        }
    }

    /// A call of the admin API.
    pub(crate) fn ask_admin(&self, method: Method, path: &str) -> Ask {
        Ask::new(self.admin_address(), method, path)
            .header("authorization", &format!("Bearer {}", self.token()))
    }

    /// The value of a metric, its labels as they stand there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let reply = self.admin(Method::GET, "/metrics", None).await;
        let line = reply
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        assert!(line.is_some(), "there is no {name} in {}", reply.text());
        line.unwrap().parse().unwrap()
    }
}
