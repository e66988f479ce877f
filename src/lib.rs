//! opsctl reconciles tags, budgets, S3 lifecycle rules, alarms and backups of AWS accounts with
//! declarative stage profiles. Data flows one way; every stage hands the next a plain value:
//!
//! ```text
//! TOML ──config──▶ Desired ┐
//!                          ├─controls──▶ Findings ──plan──▶ Plan ──apply──▶ Outcomes
//! AWS ──aws (read)──▶ Inventory ┘            │                │                │
//!                                            └────────────── render ───────────┘
//! ```
//!
//! Planning is pure; observation is three-valued; actions are a closed enum; only `apply` writes.

pub mod apply;
pub mod audit;
pub mod aws;
pub mod backtest;
pub mod catalog;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod controls;
pub mod cost;
pub mod doctor;
pub mod drill;
pub mod history;
pub mod iam;
pub mod inventory;
pub mod model;
pub mod plan;
pub mod render;
pub mod report;
pub mod sandbox;
pub mod schedule;
