//! The integration tests: one binary, its files named after what they prove.

mod alarms;
mod architecture;
mod commands;
mod contract;
mod emulator;
mod faults;
mod mistakes;
mod moto;
mod other_emulators;
mod properties;
mod saved_plans;
mod scenarios;
mod support;
