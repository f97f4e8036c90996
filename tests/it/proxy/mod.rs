//! The gate from outside: what a client sends, what the upstream sees, what comes back.

mod refusals;
