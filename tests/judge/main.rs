//! The judge is judged: its builder, its oracle, its strict reader.

mod builder;
mod model;
mod roundtrip;
mod strict;
