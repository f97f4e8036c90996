//! What is in this process's memory stays there: secrets pass through it.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Has the system write no image of this process when it dies, and lets no other process of the same user
/// look into it while it lives.
///
/// # Errors
/// If the system does not do it; a gate whose secrets may lie in a core file does not start.
pub fn keep_memory_private() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    // A handler for core files that is a program is run whatever the limit is, but not for this.
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    // S3-20
    #[test]
    fn the_process_leaves_no_image_and_cannot_be_looked_into() {
        keep_memory_private().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    }
}
