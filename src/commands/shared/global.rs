//! The options that all commands share.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

use std::path::PathBuf;

use clap::ValueEnum;

/// Options that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Connect to this libvirt [default: $LIBVIRT_DEFAULT_URI, else uri_default of libvirt.conf, else qemu:///system]
    #[arg(short, long, global = true, value_name = "URI")]
    pub connect: Vec<String>,
    /// Read the host from this directory, or from a file that 'vgapt capture' wrote, instead of from /
    #[arg(long, global = true, value_name = "PATH")]
    pub root: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour the output
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print more: what was read from where, and more about the cards that are passed through
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Print less: no notes, no warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When to colour the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
