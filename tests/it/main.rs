//! The integration tests: one binary, its files named after what they prove.

mod alarms;
mod alarms_aws;
mod alarms_ministack;
mod alarms_moto;
mod architecture;
mod audit;
mod budgets;
mod budgets_aws;
mod commands;
mod contract;
mod contract_money;
mod cost;
mod cost_sources;
mod drill;
mod drill_machine;
mod emulator;
mod export_files;
mod faults;
mod mistakes;
mod moto;
mod other_emulators;
mod properties;
mod restore_tests;
mod saved_plans;
mod scenarios;
mod support;
