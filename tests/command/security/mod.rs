//! What the README promises of security: whose file is written and who may read it, what reaches a
//! terminal, and what a hostile dump can make the command do.

mod files;
mod hostile;
mod words;
