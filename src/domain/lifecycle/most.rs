//! How many of each thing a key or a product may have. Whoever reads a list asks here before it looks at the items.

/// Products of a key.
pub const PRODUCTS: usize = 32;
/// Scopes of a key, a product or a policy.
pub const SCOPES: usize = 128;
/// Methods of a key, repetitions included.
pub const METHODS: usize = 32;
/// Paths of a key.
pub const PATHS: usize = 128;
/// Networks of a key.
pub const NETWORKS: usize = 256;
/// Routes of a product.
pub const ROUTES: usize = 256;
/// Rate limits of a key or a product.
pub const RATE_LIMITS: usize = 8;
/// Quotas of a key or a product.
pub const QUOTAS: usize = 8;
/// Labels of a key.
pub const LABELS: usize = 32;
/// Types of owner that a policy names, repetitions included.
pub const OWNER_KINDS: usize = 16;
