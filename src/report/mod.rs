//! Reports: what people review, put together from what audits and earlier runs say. Pure: time,
//! costs and history are inputs; `render` makes pages of them.

pub mod cost;
pub mod summary;
pub mod tags;
