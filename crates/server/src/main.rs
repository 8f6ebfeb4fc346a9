//! The `icecore` binary: a server for collections of points, and tools for their archives.

mod app;
mod bandwidth;
mod cancellation;
mod cli;
mod clusters;
mod config;
mod error;
mod http;
mod jobs;
mod listen;
mod logging;
mod manage;
mod metrics;
mod pipe;
mod reload;
mod remote;
mod report;
mod serve;
mod settings;
mod shutdown;
mod stores;
#[cfg(test)]
mod testing;
mod threads;
mod tls;
mod told;
mod tools;
mod usecases;
mod verifier;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome: Result<(), Box<dyn Error>> = match cli.command {
        Some(Command::Archive(command)) => tools::archive(command).map_err(Into::into),
        Some(Command::Inspect { path, json }) => tools::inspect(&path, json).map_err(Into::into),
        Some(Command::Backup(command)) => manage::backup(command).map_err(Into::into),
        Some(Command::Jobs(command)) => manage::jobs(command).map_err(Into::into),
        Some(Command::Stores(command)) => manage::stores(command).map_err(Into::into),
        Some(Command::Bench(args)) => tools::bench(&args).map_err(Into::into),
        None => serve::run(cli.server).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error::one_line(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
