//! The last hours by minute, as a test has them.

use portcullis::control::usage::{Counted, Minutes};
use portcullis::domain::id::KeyId;
use portcullis::domain::time::Timestamp;
use portcullis::domain::usage::UsageBucket;

/// The minutes that a test put there.
#[derive(Default)]
pub(super) struct FewMinutes(std::sync::Mutex<Vec<(KeyId, UsageBucket)>>);

impl FewMinutes {
    pub(super) fn put(&self, key: KeyId, bucket: UsageBucket) {
        self.0.lock().unwrap().push((key, bucket));
    }
}

impl Minutes for FewMinutes {
    fn usage(&self, key: KeyId, from: Timestamp, to: Timestamp) -> Vec<UsageBucket> {
        let all = self.0.lock().unwrap();
        let wanted = all
            .iter()
            .filter(|(of, bucket)| *of == key && (from..to).contains(&bucket.start));
        wanted.map(|(_, bucket)| bucket.clone()).collect()
    }

    fn each(&self, from: Timestamp, to: Timestamp, take: &mut dyn FnMut(Counted<'_>)) {
        for (key, bucket) in self.0.lock().unwrap().iter() {
            if (from..to).contains(&bucket.start) {
                take(Counted {
                    key: *key,
                    start: bucket.start,
                    route: &bucket.route,
                    tally: &bucket.tally,
                });
            }
        }
    }
}
