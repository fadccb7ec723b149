//! The promises of SECURITY in kdumpconv(1): which files are written and who may read them, what
//! reaches a terminal, and what a hostile dump can make the command do.

mod files;
mod hostile;
mod words;
