//! What stores promise, and what each keeps besides.

mod redis_standalone;
