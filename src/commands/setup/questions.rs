//! The questions on a terminal. Nothing is asked that was answered, and nothing is changed here.

use anyhow::Result;
use dialoguer::console::Term;
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Confirm, Input, Select};

use super::answers::Answers;
use super::found::Found;
use super::proposals::{self, DISK_SIZE};
use crate::commands::Context;
use crate::commands::shared::options::with_unit;
use crate::commands::shared::request_file::domain_name;
use crate::domain::{Cpus, Display, GpuChoice};
use crate::host::Allow;
use crate::interrupt::Interrupted;
use crate::model::{Size, UsbDevice, is_device_by_name};
use crate::output;
use crate::passthrough;
use crate::problem::Problem;

/// What an interrupt at a question leaves.
const UNCHANGED: &str = "nothing was changed";

/// Asks what is not answered, in the order in which a machine is put together.
pub(super) fn ask(context: &Context, mut answers: Answers, found: &Found) -> Result<Answers> {
    let mut existing = known(context, &mut answers)?;
    if answers.lacks_card() {
        answers.request.gpu = vec![GpuChoice::At(card(found)?)];
    }
    if existing {
        return on_the_host(answers, found);
    }
    if answers.request.os.is_none() {
        let systems = proposals::systems();
        let at = select("Guest system", &systems, 0)?;
        answers.request.os = Some(systems[at].clone());
    }
    if answers.name.is_none() {
        let proposal = answers.request.os.as_ref().map(ToString::to_string).unwrap_or_default();
        answers.name = Some(named(&proposal)?);
        existing = known(context, &mut answers)?;
    }
    if existing {
        return on_the_host(answers, found);
    }
    let name = answers.name.clone().unwrap_or_default();
    if answers.request.disk.is_empty() {
        answers.request.disk = vec![absolute(&input("Disk (an image, or a block device)", &proposals::disk(&name))?)];
    }
    if answers.disk_size.is_none() && !found.has(&answers.request.disk[0]) && !is_device_by_name(&answers.request.disk[0]) {
        answers.disk_size = Some(parsed("Size of the new disk", &DISK_SIZE.short(), with_unit)?);
    }
    if answers.request.cdrom.is_none() && !answers.request.without.no_cdrom {
        answers.request.cdrom = disc("Installer", proposals::installers(found))?;
    }
    if answers.request.virtio_iso.is_none() && answers.is_windows() && !answers.request.without.no_virtio_iso {
        answers.request.virtio_iso = disc("CD with the virtio drivers for Windows", proposals::drivers(found))?;
    }
    if answers.request.memory.is_none() {
        let proposal = proposals::memory(found).map_or_else(|| "8G".to_owned(), Size::short);
        answers.request.memory = Some(parsed("Memory", &proposal, Size::asked)?);
    }
    if answers.request.cpus.is_none() {
        let proposal = proposals::cpus(found).to_string();
        answers.request.cpus = Some(parsed("Processors (threads; auto: those of one L3 cache)", &proposal, str::parse::<Cpus>)?);
    }
    answers = on_the_host(answers, found)?;
    let has_choice = answers.request.extras.display.is_none() || !found.inputs.is_empty() || usb_input(found).next().is_some();
    if !answers.has_input() && has_choice {
        input_devices(&mut answers, found)?;
    }
    if proposals::needs_window(&answers, found) {
        let question = format!("No monitor can show the guest. Show it in {}?", window(&answers, found));
        let is_wanted = confirm(&question, true)?;
        answers.request.extras.display = Some(if is_wanted { proposals::WINDOW } else { Display::None });
    }
    Ok(answers)
}

/// The domain of this name, if there is one: it is changed, and what it has is not asked.
fn known(context: &Context, answers: &mut Answers) -> Result<bool> {
    let Some(name) = answers.name.clone() else { return Ok(false) };
    let Some(existing) = Found::domain(context, &name)? else { return Ok(false) };
    *answers = std::mem::take(answers).of_existing(&name, &existing);
    Ok(true)
}

/// How the host does without its only display.
fn on_the_host(mut answers: Answers, found: &Found) -> Result<Answers> {
    if proposals::is_only_display(&answers, found) && !answers.request.handover && !answers.allow.contains(&Allow::OnlyDisplay) {
        explain(
            "The host has no other display. Handing it over stops the desktop while the guest runs, and starts it again afterwards; \
             without that, the host is reached by ssh only.",
        )?;
        answers.request.handover = confirm("Hand the host's display over?", true)?;
        if !answers.request.handover {
            answers.allow.push(Allow::OnlyDisplay);
        }
    }
    Ok(answers)
}

/// The card, discrete ones first; with what it means for the host.
fn card(found: &Found) -> Result<crate::model::PciAddress> {
    let cards = proposals::cards(found);
    let choice = passthrough::choose(&found.cards);
    let proposed = choice.card().or(choice.sole()).map(|card| card.address);
    let lines: Vec<String> = cards
        .iter()
        .map(|card| {
            let name = output::card_name(card);
            let why = if Some(card.address) == proposed { " (proposed)" } else { "" };
            format!("{} {name}: {}{why}", card.address.short(), proposals::meaning(card))
        })
        .collect();
    if cards.is_empty() {
        return proposals::card(found);
    }
    let first = cards.iter().position(|card| Some(card.address) == proposed).unwrap_or_default();
    Ok(cards[select("Graphics card for the guest", &lines, first)?].address)
}

/// One of the discs that were found, another one, or none.
fn disc(what: &str, mut lines: Vec<String>) -> Result<Option<String>> {
    let known = lines.len();
    lines.extend(["another file".to_owned(), "none".to_owned()]);
    let at = select(what, &lines, usize::from(known == 0))?;
    match at.checked_sub(known) {
        None => Ok(Some(lines[at].clone())),
        Some(0) => Ok(Some(absolute(&input(&format!("{what}: path"), "")?))),
        Some(_) => Ok(None),
    }
}

fn usb_input(found: &Found) -> impl Iterator<Item = &UsbDevice> {
    found.host.usb.iter().filter(|device| device.drivers.iter().any(|name| name == "usbhid"))
}

/// Where a window can be seen: a host without a display has none.
fn window(answers: &Answers, found: &Found) -> &'static str {
    if proposals::is_only_display(answers, found) { "a window on another machine, by ssh" } else { "a window on this host" }
}

/// Keyboard and mouse: switched between host and guest, passed through, through a window, or none.
fn input_devices(answers: &mut Answers, found: &Found) -> Result<()> {
    let hid: Vec<&UsbDevice> = usb_input(found).collect();
    let mut lines = Vec::new();
    if !found.inputs.is_empty() {
        lines.push(("switch keyboard and mouse between host and guest with both control keys".to_owned(), 0));
    }
    if !hid.is_empty() {
        lines.push(("pass USB devices through: the guest has them alone while it runs".to_owned(), 1));
    }
    if answers.request.extras.display.is_none() {
        let window = window(answers, found);
        lines.push((format!("{window}, which also shows the guest"), 2));
    }
    lines.push(("none: I use them over the network".to_owned(), 3));
    let shown: Vec<&str> = lines.iter().map(|(text, _)| text.as_str()).collect();
    match lines[select("Keyboard and mouse", &shown, 0)?].1 {
        0 => answers.request.extras.evdev = chosen("Devices to switch", &found.inputs)?.into_iter().cloned().collect(),
        1 => {
            let named: Vec<String> =
                hid.iter().map(|device| format!("{} {}", device.id, device.name.as_deref().unwrap_or("without a name"))).collect();
            let names = chosen("Devices to pass through", &named)?;
            let is_chosen = |named: &String| names.contains(&named);
            answers.request.usb = hid.iter().zip(&named).filter(|(_, named)| is_chosen(named)).map(|(device, _)| device.id).collect();
        }
        2 => answers.request.extras.display = Some(proposals::WINDOW),
        _ => {}
    }
    Ok(())
}

/// The width of the terminal.
fn width() -> usize {
    usize::from(Term::stderr().size().1)
}

/// A line of a list; a list is redrawn, so that each line has to fit on one of the terminal. The beginning and the end tell it from
/// the others.
fn fitting(line: &str) -> String {
    const MARK: usize = 5;
    let room = width().saturating_sub(MARK);
    let count = line.chars().count();
    if count <= room || room < 2 {
        return line.to_owned();
    }
    let (head, tail) = ((room - 1) / 2, room / 2);
    let cut: String = line.chars().take(head).collect();
    cut + "…" + &line.chars().skip(count - tail).collect::<String>()
}

/// What the next question is about.
fn explain(text: &str) -> Result<()> {
    Ok(Term::stderr().write_line(&textwrap::fill(text, width()))?)
}

fn select(what: &str, lines: &[impl ToString], first: usize) -> Result<usize> {
    answer(
        Select::with_theme(&ColorfulTheme::default())
            .with_prompt(what)
            .items(lines.iter().map(|line| fitting(&line.to_string())))
            .default(first)
            .interact(),
    )
}

fn chosen<'l>(what: &str, lines: &'l [String]) -> Result<Vec<&'l String>> {
    let all = vec![true; lines.len()];
    let theme = ColorfulTheme::default();
    let dialog = dialoguer::MultiSelect::with_theme(&theme).with_prompt(format!("{what} (space: choose, enter: done)"));
    let at = answer(dialog.items(lines.iter().map(|line| fitting(line))).defaults(&all).interact())?;
    Ok(at.into_iter().map(|at| &lines[at]).collect())
}

fn input(what: &str, proposal: &str) -> Result<String> {
    let theme = ColorfulTheme::default();
    let dialog = Input::<String>::with_theme(&theme).with_prompt(what);
    answer(if proposal.is_empty() { dialog } else { dialog.default(proposal.to_owned()) }.interact_text())
}

fn named(proposal: &str) -> Result<String> {
    let theme = ColorfulTheme::default();
    let dialog = Input::<String>::with_theme(&theme).with_prompt("Name of the domain").default(proposal.to_owned());
    answer(dialog.validate_with(|text: &String| domain_name(text).map(drop)).interact_text())
}

/// Asks again until the answer can be parsed.
fn parsed<T>(what: &str, proposal: &str, parse: fn(&str) -> Result<T, String>) -> Result<T> {
    let theme = ColorfulTheme::default();
    let dialog = Input::<String>::with_theme(&theme).with_prompt(what).default(proposal.to_owned());
    let text = answer(dialog.validate_with(|text: &String| parse(text).map(drop)).interact_text())?;
    parse(&text).map_err(|what| Problem::new(what, "run setup again").into())
}

pub(super) fn confirm(question: &str, proposal: bool) -> Result<bool> {
    confirm_or(question, proposal, UNCHANGED)
}

/// The same, with what an interrupt leaves.
pub(super) fn confirm_or(question: &str, proposal: bool, state: &str) -> Result<bool> {
    answer_or(Confirm::with_theme(&ColorfulTheme::default()).with_prompt(question).default(proposal).interact(), state)
}

fn answer<T>(result: dialoguer::Result<T>) -> Result<T> {
    answer_or(result, UNCHANGED)
}

/// Ctrl-C ends the program; the cursor that a list hides is shown again.
fn answer_or<T>(result: dialoguer::Result<T>, state: &str) -> Result<T> {
    result.map_err(|dialoguer::Error::IO(error)| {
        // The terminal may be gone, and then there is no cursor.
        let _ = Term::stderr().show_cursor();
        match error.kind() {
            std::io::ErrorKind::Interrupted => anyhow::Error::new(Interrupted(state.to_owned())),
            _ => error.into(),
        }
    })
}

/// A path that the user typed; `~` is the home folder, as in a shell.
fn absolute(path: &str) -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let path = path.strip_prefix("~/").map_or_else(|| path.to_owned(), |rest| format!("{home}/{rest}"));
    std::path::absolute(&path).map(|path| path.to_string_lossy().into_owned()).unwrap_or(path)
}
