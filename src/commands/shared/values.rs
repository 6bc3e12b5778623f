//! The values of options that are defined in `host`, and their help texts.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::host::{Allow, Bind, PageSize};

impl ValueEnum for Bind {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Boot, Self::Start]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Boot => PossibleValue::new("boot").help("At boot, before any other driver: the host never uses it"),
            Self::Start => PossibleValue::new("start").help("When the domain starts: until then the host uses it"),
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
            Self::Gib1 => PossibleValue::new("1G").help("1 GiB: can be reserved only at boot"),
        })
    }
}

impl ValueEnum for Allow {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::OnlyDisplay => "The host has no display then",
            Self::DiskInUse => "The host loses a controller whose disk is mounted or in use",
            Self::DefaultRoute => "The host loses the network card of its default route",
            Self::LastKeyboard => "The host loses its last keyboard",
            Self::BlockedGroup => "The group contains other devices that the host uses",
            Self::HostFunction => "The host loses a part of the chipset or the processor that no guest needs",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}
