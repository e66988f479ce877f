//! Restore drills: a backup is restored into a copy, the copy is looked into, measured, removed
//! without a trace, and the whole is put on record.
//!
//! [`machine`] runs the steps of any [`source::Source`]; [`dump`] is the one for `pg_dump` archives
//! in S3, restored into a [`scratch`] PostgreSQL, and [`rds`] the one for RDS and Aurora. Copies in the
//! cloud are asked for by [`make`] and deleted by [`remove`], after every [`guard`], and nowhere else. What a run is about to make is in its [`journal`]
//! before it is made, so that [`sweep`] can finish what a killed run began. Records lie in a
//! [`chain`]. Only `probe*.rs` speaks SQL.

pub mod before;
pub mod chain;
pub mod checks;
pub mod driver;
pub mod dump;
pub mod dynamodb;
pub mod expect;
pub mod folder;
pub mod guard;
pub mod journal;
pub mod label;
pub mod lock;
pub mod machine;
pub mod make;
pub mod metrics;
pub mod pace;
pub mod price;
pub mod probe;
#[cfg(feature = "mysql")]
pub mod probe_mysql;
pub mod probe_seed;
pub mod rds;
pub mod record;
pub mod remove;
pub mod restore_test;
pub mod review;
pub mod scratch;
pub mod source;
pub mod spec;
pub mod status;
pub mod sweep;
pub mod testing_plan;
pub mod tools;
pub mod trigger;
pub mod tunnel;
pub mod validate;
pub mod validate_sql;
pub mod validate_table;
pub mod way;
