//! `top`: a live table of keys, owners or routes, over all gates through one of them.
//!
//! What is shown comes from counts that the gates make once a second, of which nothing is left out however many
//! requests pass: it is as right at ten thousand a second as at ten.
//!
//! | file | |
//! |---|---|
//! | `command` | the loop: what comes from the gate and from the keyboard |
//! | `board` | the counts of the last seconds, and the rows made of them |
//! | `view` | what of it is to be seen: kind, order, filter, place |
//! | `press` | what a key of the keyboard does |
//! | `draw`, `foot` | the screen, and what can be pressed |
//! | `columns` | the columns of the table |
//! | `figures` | numbers, in few characters |
//! | `screen` | the terminal, which is left as it was |

mod board;
mod columns;
mod command;
mod draw;
mod figures;
mod foot;
mod press;
mod screen;
mod view;

pub(super) use command::Top;
