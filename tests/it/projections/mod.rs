//! Read models on both engines.

mod activities;
mod lifecycle;
mod lists;
mod rebuild;
mod rows;
mod world;
