mod alarms;
mod apply;
mod cost;
mod human;
mod markdown;
mod plans;
mod samples;
mod text;
