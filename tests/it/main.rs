//! The integration tests: one binary, its files named after what they prove.

mod architecture;
mod commands;
mod contract;
mod drill;
mod drill_machine;
mod emulator;
mod faults;
mod mistakes;
mod moto;
mod other_emulators;
mod properties;
mod saved_plans;
mod scenarios;
mod support;
