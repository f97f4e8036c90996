//! When a key was revoked, by whom and why: the audit log knows.

use crate::api::audit::Entry;
use crate::api::keys::Key;
use crate::api::page::Page;
use crate::cli::client::Client;
use crate::cli::failure::Failure;

/// The end of a key.
pub(super) struct End {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) reason: Option<String>,
}

/// How the key ended; `None` for one that has not been revoked, or where the log tells nothing of it.
///
/// # Errors
/// What the admin API says, unless it is that this token may not read the log.
pub(super) async fn of(key: &Key, client: &Client) -> Result<Option<End>, Failure> {
    if key.status != "revoked" {
        return Ok(None);
    }
    let query = [
        ("key_id", key.id.to_string()),
        ("type", "key_revocation".to_owned()),
        ("outcome", "done".to_owned()),
    ];
    let page: Page<Entry> = match client.get(&["admin", "audit-logs"], &query).await {
        Ok(answer) => answer.read()?,
        Err(Failure::Refused(_)) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    // The newest first; those of one version alone ended no key.
    let mut whole = page
        .items
        .iter()
        .filter(|entry| entry.number("key_version").is_none());
    Ok(whole.next().map(|entry| {
        let text = |place| entry.text(place).unwrap_or("?").to_owned();
        let by = match (entry.text("/actor/name"), entry.text("/actor/id")) {
            (Some(name), Some(id)) => format!("{name} ({id})"),
            _ => text("/actor/id"),
        };
        End {
            at: text("/timestamp"),
            by,
            reason: entry.text("/reason").map(str::to_owned),
        }
    }))
}
