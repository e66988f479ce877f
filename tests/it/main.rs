//! The integration tests: one binary, its files named after what they prove.

mod architecture;
mod commands;
mod faults;
mod mistakes;
mod properties;
mod saved_plans;
mod scenarios;
mod support;
