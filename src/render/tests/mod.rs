mod apply;
mod human;
mod markdown;
mod plans;
mod samples;
mod text;
