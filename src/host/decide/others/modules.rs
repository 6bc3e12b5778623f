//! Module options: files of modprobe, lists of modules, driverctl.

use super::external::{DRIVERS, ExternalBinding, Lapse, union};
use super::scripts::named;
use crate::host::decide::bound::MODPROBE;
use crate::host::decide::{initramfs, modprobe};
use crate::host::plan::Command;
use crate::host::text::shell;
use crate::model::{Finding, Host, InitramfsTool, ONLY_CONF, PciDevice, Setup, at_least};

/// Lists of modules that are loaded early, each followed by its options.
const MODULE_LISTS: [&str; 2] = ["/etc/initramfs-tools/modules", "/etc/modules"];

/// Further lists of modules: directories, how names in them end; files.
const LISTS: [(&str, &str); 4] = [
    ("/etc/modules-load.d", ".conf"),
    ("/etc/dracut.conf.d", ".conf"),
    ("/etc/mkinitcpio.conf.d", ".conf"),
    ("/etc/initramfs-tools/conf.d", ""),
];
const FILES: [&str; 4] = ["/etc/modules", "/etc/initramfs-tools/modules", "/etc/mkinitcpio.conf", "/etc/dracut.conf"];
const NO_MODULE: &str = "vfio_virqfd";

/// Mistakes in the lists of modules from which the tools build an initramfs; `run` is what the plan runs.
pub(in crate::host::decide) fn of_initramfs(host: &Host, setup: &Setup, run: &[Command]) -> Vec<Finding> {
    let runs = |name: &str| run.iter().filter_map(|command| command.argv.first()).any(|program| program.contains(name));
    let runs_dracut = ["dracut", "sdbootutil", "rpm-ostree"].into_iter().any(runs);
    gone(host, setup, runs("mkinitcpio"), runs_dracut).into_iter().chain(joined(setup, runs_dracut)).collect()
}

/// `vfio_virqfd` became a part of vfio in Linux 6.2. Where it is still listed, mkinitcpio ends with an error (`add_module` in its
/// functions), so that what `prepare` does is rolled back. dracut goes on, but dracut-install ends there, so that the modules
/// behind it are left out, and vgapt's file is the last or nearly so.
fn gone(host: &Host, setup: &Setup, runs_mkinitcpio: bool, runs_dracut: bool) -> Option<Finding> {
    let kernels = setup.kernels.iter().map(|kernel| kernel.release.as_str()).chain(host.platform.kernel.as_deref());
    kernels.into_iter().find(|release| at_least(release, 6, 2) == Some(true))?;
    let files = FILES.iter().filter_map(|path| Some((*path, setup.files.text_lossy(path)?)));
    let all = files.chain(LISTS.into_iter().flat_map(|(directory, ending)| setup.files.texts_lossy(directory, ending)));
    let names_it = |text: &str| text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(NO_MODULE));
    let named: Vec<&str> = all.filter(|(_, text)| names_it(text)).map(|(path, _)| path).collect();
    if named.is_empty() {
        return None;
    }
    let is_of = |tool: &str| named.iter().any(|path| path.contains(tool));
    let is_forced = dracut_files(setup)
        .iter()
        .any(|(_, text)| shell::assignments(text, "force_drivers").iter().any(|one| text[one.inside.clone()].contains(NO_MODULE)));
    let outcome = match () {
        () if is_of("mkinitcpio") => "and mkinitcpio fails where it is listed",
        () if is_of("dracut") => "and dracut leaves out the modules that stand behind it in the same list",
        () => "and each boot, or each build of an initramfs, reports that it is missing",
    };
    let message = format!("{NO_MODULE} is listed in {}: it does not exist since Linux 6.2, {outcome}", named.join(", "));
    let remedy = format!("sed -i 's/{NO_MODULE}//' {}", named.join(" "));
    let fails = (is_of("mkinitcpio") && runs_mkinitcpio) || (is_forced && runs_dracut);
    Some(if fails {
        Finding::error("vfio-virqfd", message, format!("{remedy}, and run vgapt prepare again"))
    } else {
        Finding::warning("vfio-virqfd", message, remedy)
    })
}

/// dracut's configuration in the order in which it is read.
fn dracut_files(setup: &Setup) -> Vec<(&str, &str)> {
    let folders = ["/etc/dracut.conf.d", "/usr/lib/dracut/dracut.conf.d"];
    let mut more: Vec<(&str, &str)> = folders.into_iter().flat_map(|folder| setup.files.texts_lossy(folder, ".conf")).collect();
    more.sort_by_key(|(path, _)| path.rsplit('/').next().unwrap_or_default());
    setup.files.text_lossy("/etc/dracut.conf").map(|text| ("/etc/dracut.conf", text)).into_iter().chain(more).collect()
}

/// Lists of dracut that are joined without a blank: dracut takes the words at the seam for one (dracut.conf(5) asks for blanks at
/// both ends).
fn joined(setup: &Setup, runs_dracut: bool) -> Vec<Finding> {
    const NAMES: [&str; 3] = ["force_drivers", "add_drivers", "omit_drivers"];
    let texts = dracut_files(setup);
    let mut findings = Vec::new();
    for name in NAMES {
        let mut end = String::new();
        for (path, text) in &texts {
            for one in shell::assignments(text, name) {
                let value = text[one.inside.clone()].trim_matches(['"', '\'']);
                let begin = value.split_whitespace().next().unwrap_or_default();
                let is_joined = one.adds && !end.is_empty() && !begin.is_empty() && !value.starts_with(char::is_whitespace);
                if is_joined && [end.as_str(), begin].iter().any(|word| word.contains("vfio") || word.contains("pci-stub")) {
                    let line = text[..one.inside.start].matches('\n').count() + 1;
                    let message = format!(
                        "{path}, line {line} begins without a blank, so dracut makes one word of the end of {name} and its beginning: {end}{begin}, which is no module"
                    );
                    let remedy = format!("write a blank at both ends of each {name}+=\" … \" in dracut's configuration");
                    findings.push(if runs_dracut && name == "force_drivers" {
                        let message = format!("{message}, and dracut leaves out the modules that stand behind it");
                        Finding::error("dracut-list", message, format!("{remedy}, and run vgapt prepare again"))
                    } else {
                        Finding::warning("dracut-list", message, remedy)
                    });
                }
                end = if value.ends_with(char::is_whitespace) {
                    String::new()
                } else {
                    value.split_whitespace().next_back().unwrap_or_default().to_owned()
                };
            }
        }
    }
    findings
}

/// Options and the install line of the drivers. Of several lines with ids the last one takes effect.
pub(super) fn of_modprobe(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let configuration = modprobe::read(setup, &[]);
    let is_ours = |line: &&modprobe::Line| line.path == MODPROBE;
    let mut found = Vec::new();
    for driver in DRIVERS {
        let with_ids = giving_ids(&configuration, driver).filter(|_| !setup.is_built_in(driver));
        if let Some(line) = with_ids.last() {
            let other = ExternalBinding {
                behind_space: behind_space(&line.rest),
                ..ExternalBinding::new(line.place(), &line.words()).by_ids(driver)
            };
            found.push(with(other, host, ids(&line.rest).unwrap_or_default()));
        }
        // A line that keeps the module out binds nothing.
        let is_others = |line: &&modprobe::Line| !is_ours(line) && !line.loads_nothing();
        if let Some(line) = configuration.first("install", driver).filter(is_others) {
            let mut other = ExternalBinding { is_install_line: true, ..ExternalBinding::new(line.place(), &line.words()) };
            let first = line.rest.split_whitespace().next().filter(|program| setup.missing_programs.contains(*program));
            other.missing_program = first.map(str::to_owned);
            let programs = line.rest.split(|c: char| c.is_whitespace() || ";&|(){}\"'".contains(c));
            let texts = programs.filter_map(|path| setup.files.text_lossy(path));
            other.takes = union(texts.map(|text| named(host, text)).chain([named(host, &line.rest)]));
            found.push(other);
        }
        // Old guides map a card's alias to the driver.
        let aliases = configuration.of("alias").filter(|line| line.rest.replace('-', "_") == driver && !is_ours(line));
        found.extend(aliases.map(|line| {
            let takes = host.pci.iter().filter(|device| modprobe::fits(&line.name, &device.modalias())).map(|device| device.address);
            ExternalBinding { takes: takes.collect(), ..ExternalBinding::new(line.place(), &line.words()).to(driver).certain() }
        }));
    }
    found
}

/// Lines that vgapt does not manage and that give ids to a driver.
fn giving_ids<'a>(configuration: &'a modprobe::Configuration, driver: &'static str) -> impl Iterator<Item = &'a modprobe::Line> {
    let is_one = move |line: &&modprobe::Line| line.name == driver && line.path != MODPROBE && ids(&line.rest).is_some();
    configuration.of("options").filter(is_one)
}

/// Lines that give ids to a built-in driver: the kernel ignores modprobe options for it.
pub(super) fn without_effect(setup: &Setup) -> Vec<Finding> {
    let configuration = modprobe::read(setup, &[]);
    let built_in = DRIVERS.into_iter().filter(|driver| setup.is_built_in(driver));
    let finding = |line: &modprobe::Line| {
        let (says, driver) = (line.says(), line.name.replace('_', "-"));
        Finding::warning(
            "not-read",
            format!("{says}, which has no effect: {driver} is part of this kernel, and modprobe options apply to modules only"),
            format!("nothing; remove it from {} if no other kernel needs it", line.place()),
        )
    };
    built_in.flat_map(|driver| giving_ids(&configuration, driver)).map(finding).collect()
}

/// Files that somebody meant for these tools, and that they do not read, since their names do not end in `.conf` (modprobe.d(5),
/// dracut.conf(5)).
pub(super) fn without_ending(setup: &Setup) -> Vec<Finding> {
    let files = ONLY_CONF.into_iter().flat_map(|folder| setup.files.texts_lossy(folder, ""));
    let mut found = Vec::new();
    for (path, text) in files.filter(|(path, _)| !path.rsplit('/').next().unwrap_or_default().contains('.')) {
        let binds = |line: &&str| !line.trim_start().starts_with('#') && (line.contains("vfio") || line.contains("pci-stub"));
        let Some(line) = text.lines().find(binds) else { continue };
        found.push(Finding::warning(
            "not-read",
            format!("{path} says `{}`, which has no effect: of the files there only those are read whose names end in .conf", line.trim()),
            format!("remove {path}, and bind the card: vgapt prepare"),
        ));
    }
    found
}

/// Lines such as `vfio_pci ids=…` in a list of modules. initramfs-tools and the scripts of other inits take options
/// there; systemd-modules-load reads the whole line as a name, and loads nothing (modules-load.d(5)).
pub(super) fn of_module_lists(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let texts = MODULE_LISTS.iter().filter_map(|path| Some((*path, setup.files.text_lossy(path)?)));
    let texts = texts.chain(setup.files.texts_lossy("/etc/modules-load.d", ".conf"));
    let lines = texts.flat_map(|(path, text)| text.lines().enumerate().map(move |(index, line)| (path, index + 1, line)));
    lines
        .filter_map(|(path, number, line)| {
            let (module, options) = line.trim().split_once([' ', '\t'])?;
            let driver = DRIVERS.into_iter().find(|driver| *driver == module.replace('-', "_"))?;
            let ids = ids(options).filter(|_| !setup.is_built_in(driver))?;
            let other = ExternalBinding::new(format!("{path}, line {number}"), line).by_ids(driver);
            let is_name = path.starts_with("/etc/modules") && (path.contains(".d/") || setup.has("systemctl"));
            let of_tool = path == initramfs::MODULES;
            let lapse = of_tool.then(|| initramfs::unread(host, setup, InitramfsTool::InitramfsTools)).flatten().map(Lapse::Idle);
            Some(if is_name {
                ExternalBinding { takes_no_options: true, ..other }
            } else {
                with(ExternalBinding { lapse, ..other }, host, ids)
            })
        })
        .collect()
}

/// driverctl stores a file for each address, with the driver in it.
pub(super) fn of_driverctl(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let files = setup.files.texts_lossy("/etc/driverctl.d", "").filter(|(_, text)| !text.trim().is_empty());
    files
        .map(|(path, text)| {
            let address = path.rsplit('/').next().unwrap_or_default().parse().ok();
            let takes = address.filter(|address| host.device(*address).is_some()).into_iter().collect();
            ExternalBinding {
                takes,
                ..ExternalBinding::new(format!("{path}, line 1"), &format!("driverctl set-override: {}", text.trim()))
                    .to(text.trim())
                    .certain()
            }
        })
        .collect()
}

/// The words of a module's options; double quotes keep what is between them together (`next_arg` in the kernel's lib/cmdline.c).
fn words(options: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let is_end = move |letter: char| {
        quoted ^= letter == '"';
        !quoted && letter.is_whitespace()
    };
    options.split(is_end).filter(|word| !word.is_empty())
}

/// The value of `ids=` in a module's options; the last one takes effect.
pub(super) fn ids(options: &str) -> Option<&str> {
    words(options).filter_map(|word| word.trim_matches(['"', '\'']).strip_prefix("ids=")).last()
}

/// Ids behind a space, as in `ids=10de:1401, 10de:0fba`: the value ends at the space, and the kernel ignores the rest as an
/// unknown parameter.
fn behind_space(options: &str) -> Vec<String> {
    let ids = words(options).map(|word| word.trim_matches(','));
    ids.filter(|word| word.split(',').all(|id| Pattern::parse(id).is_some())).map(str::to_owned).collect()
}

pub(super) fn with(mut other: ExternalBinding, host: &Host, ids: &str) -> ExternalBinding {
    let ids = ids.trim_matches(['"', '\'']).split(',').map(str::trim).filter(|id| !id.is_empty());
    for id in ids {
        match Pattern::parse(id) {
            Some(pattern) => other.takes.extend(host.pci.iter().filter(|device| pattern.fits(device)).map(|device| device.address)),
            None => other.no_ids.push(id.to_owned()),
        }
    }
    other.takes.sort_unstable();
    other.takes.dedup();
    other
}

/// An id in the format of `drivers/vfio/pci/vfio_pci.c`: vendor:device, then optionally subsystem and class.
struct Pattern {
    vendor: u32,
    device: u32,
    subsystem: (u32, u32),
    class: (u32, u32),
}

impl Pattern {
    const ANY: u32 = u32::MAX;

    /// `None` for what is not an id, even if the kernel accepts it: `c5:00` is the beginning of an address.
    fn parse(id: &str) -> Option<Self> {
        let fields: Vec<&str> = id.split(':').collect();
        let numbers: Vec<u32> = fields.iter().map(|field| u32::from_str_radix(field, 16).ok()).collect::<Option<_>>()?;
        let is_vendor = |at: usize| fields.get(at).is_some_and(|field| field.len() == 4 || field.eq_ignore_ascii_case("ffffffff"));
        let (vendor, device) = (*numbers.first()?, *numbers.get(1)?);
        let get = |at: usize, otherwise: u32| numbers.get(at).copied().unwrap_or(otherwise);
        let is_one = is_vendor(0) && fields[1].len() >= 3 && vendor != 0 && vendor != 0xffff && numbers.len() <= 6;
        is_one.then(|| Self { vendor, device, subsystem: (get(2, Self::ANY), get(3, Self::ANY)), class: (get(4, 0), get(5, 0)) })
    }

    fn fits(&self, device: &PciDevice) -> bool {
        let is = |wanted: u32, number: u16| wanted == Self::ANY || wanted == u32::from(number);
        let subsystem = device.subsystem.unwrap_or_default();
        is(self.vendor, device.id.vendor)
            && is(self.device, device.id.device)
            && is(self.subsystem.0, subsystem.vendor)
            && is(self.subsystem.1, subsystem.device)
            && (self.class.0 ^ device.class.0) & self.class.1 == 0
            && !device.is_bridge()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id() {
        for id in ["0000:00", "0300", "c5:00", "0000:0000", "x", "10de", "10de:1401:1:2:3:4:5", "10de:1g01"] {
            assert!(Pattern::parse(id).is_none(), "{id}");
        }
        for id in ["10de:1401", "10DE:FFFFFFFF", "1002:67df:1da2:e366"] {
            assert!(Pattern::parse(id).is_some(), "{id}");
        }
    }

    #[test]
    fn ids_and_spaces() {
        for (options, taken, left) in [
            ("ids=10de:1401,10de:0fba disable_vga=1", "10de:1401,10de:0fba", &[][..]),
            ("disable_vga=1 ids=10de:1401, 10de:0fba,1b21:2142", "10de:1401,", &["10de:0fba,1b21:2142"]),
            ("ids=\"10de:1401, 10de:0fba\" disable_vga=1", "10de:1401, 10de:0fba", &[]),
        ] {
            assert_eq!(ids(options).map(|ids| ids.trim_start_matches('"')), Some(taken));
            assert_eq!(behind_space(options), left, "{options}");
        }
    }
}
