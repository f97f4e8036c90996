//! Pending versions that were used: word of each is left once, until it is dealt with.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::id::KeyId;
use crate::state::desk::Tray;

/// First uses that the control plane is to act on.
#[derive(Debug)]
pub struct FirstUses {
    tray: Tray<FirstUse>,
    underway: Underway,
}

/// What was left and not dealt with yet: every request until then is one more use.
type Underway = Arc<Mutex<HashSet<(KeyId, u16)>>>;

impl Default for FirstUses {
    fn default() -> Self {
        Self {
            tray: Tray::new(WAITING_MAX),
            underway: Arc::default(),
        }
    }
}

impl FirstUses {
    /// Leaves word that a pending version was used, unless it was left already. Where there is no room
    /// nothing is left; the next use comes here again.
    pub fn leave(&self, key: KeyId, version: u16) {
        if !self.underway.lock().insert((key, version)) {
            return;
        }
        // What does not fit is dropped, and by that no longer under way.
        let _ = self.tray.leave(FirstUse {
            key,
            version,
            underway: Arc::clone(&self.underway),
        });
    }

    /// Waits for some and moves them into `into`, which must be empty. For one taker.
    pub async fn take(&self, into: &mut Vec<FirstUse>) {
        self.tray.take(into).await;
    }
}

/// A pending version was used: it is to become current. Dropped, it is dealt with, and a later use of a
/// version that still is pending leaves another.
#[derive(Debug)]
pub struct FirstUse {
    /// Which key.
    pub key: KeyId,
    /// Which of its versions.
    pub version: u16,
    underway: Underway,
}

impl Drop for FirstUse {
    fn drop(&mut self) {
        self.underway.lock().remove(&(self.key, self.version));
    }
}

/// How many may wait at once.
const WAITING_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 10] = [1; 10];

    async fn taken(uses: &FirstUses) -> Vec<FirstUse> {
        let mut taken = Vec::new();
        uses.take(&mut taken).await;
        taken
    }

    #[tokio::test]
    async fn a_first_use_is_left_once_until_it_is_dealt_with() {
        let uses = FirstUses::default();
        let key = KeyId::from_random(KEY);
        for version in [2, 2, 3, 2] {
            uses.leave(key, version);
        }
        let both = taken(&uses).await;
        let versions: Vec<u16> = both.iter().map(|it| it.version).collect();
        assert_eq!((both[0].key, versions), (key, vec![2, 3]));
        uses.leave(key, 2);
        uses.leave(key, 4);
        assert_eq!(taken(&uses).await[0].version, 4);

        drop(both);
        uses.leave(key, 2);
        assert_eq!(taken(&uses).await[0].version, 2);
    }

    #[tokio::test]
    async fn a_first_use_that_finds_no_room_is_left_by_the_next_one() {
        let uses = FirstUses::default();
        let key = KeyId::from_random(KEY);
        let most = u16::try_from(WAITING_MAX).unwrap();
        for version in 0..=most {
            uses.leave(key, version);
        }
        assert_eq!(uses.underway.lock().len(), WAITING_MAX);
        assert_eq!(taken(&uses).await.len(), WAITING_MAX);
        assert!(uses.underway.lock().is_empty());
        uses.leave(key, most);
        assert_eq!(taken(&uses).await[0].version, most);
    }
}
