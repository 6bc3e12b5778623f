//! The words of options whose values are the host's, and their help.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::host::{Allow, Bind, PageSize};

impl ValueEnum for Bind {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Boot, Self::Start]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Boot => PossibleValue::new("boot").help("At boot, before any other driver: the host never has it"),
            Self::Start => PossibleValue::new("start").help("When the domain starts: until then the host has it"),
        })
    }
}

impl ValueEnum for PageSize {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Mib2, Self::Gib1]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Mib2 => PossibleValue::new("2M").help("2 MiB: can be reserved at any time"),
            Self::Gib1 => PossibleValue::new("1G").help("1 GiB: only at boot"),
        })
    }
}

impl ValueEnum for Allow {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::OnlyDisplay => "The host is left without a display",
            Self::DiskInUse => "A controller goes whose disk is mounted or in use",
            Self::DefaultRoute => "The network card of the default route goes",
            Self::LastKeyboard => "The last keyboard goes",
            Self::BlockedGroup => "A group goes in which the host uses other devices",
            Self::HostFunction => "A part of the chipset or the processor goes that no guest needs",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}
