//! What users write: TOML files, laid over one another, every value with its place.

pub mod later;
pub mod load;
pub mod node;
pub mod policy;
pub mod resolve;
pub mod schema;
pub mod source;
pub mod values;
pub mod workspace;

pub use load::Loaded;
pub use resolve::Resolved;
pub use source::{Diagnostic, Level, Origin, Sources};
