//! Read models on both engines.

mod activities;
mod fill;
mod lifecycle;
mod lists;
mod rebuild;
mod rows;
mod scale;
mod world;
