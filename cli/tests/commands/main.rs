//! The binary as its users meet it: what it prints, where, and with which exit code.

mod configuration;
mod crm;
mod evaluation;
mod parked;
mod people;
mod simulation;
mod support;
