//! The task that takes counts from the cores, once a second, while someone watches them.

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::state::tap::Second;

use super::here::{EVERY, total};
use super::service::LiveService;

impl LiveService {
    /// Shows counts to whoever watches them, for as long as it is polled.
    pub(crate) async fn count(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut begun: Option<Instant> = None;
        let mut before = 0;
        loop {
            let now = ticks.tick().await.max(Instant::now());
            if !self.tap.is_counting() {
                if begun.take().is_some() {
                    drop(self.tap.take_counts());
                }
                continue;
            }
            let counted = self.tap.take_counts();
            // Counting began somewhere within the first second: of how long it was nothing is known.
            if let Some(begun) = begun {
                let second = Second {
                    span: now.duration_since(begun),
                    before,
                    counted,
                };
                before += total(&second);
                self.tap.show_counts(second);
            }
            begun = Some(now);
        }
    }
}
