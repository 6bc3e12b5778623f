//! The host CPUs of a guest over time, as an SVG picture: for each a row of bars, and the exits below.

use std::collections::BTreeMap;

use super::colours::{EMULATOR, GUEST, HOST, STOLEN, UNUSED};
use crate::measure::{CoreTimes, Measured, Moment};

const LEFT: f64 = 90.0;
const WIDTH: f64 = 720.0;
const ROW: f64 = 60.0;
const GAP: f64 = 18.0;
const TOP: f64 = 56.0;
/// How many reasons of exits are drawn.
const REASONS: usize = 8;

/// One of its times, in percent.
type Part = fn(&CoreTimes) -> f64;

/// What a host CPU did, from the bottom of a bar, with the colour and the word.
const PARTS: [(&str, &str, Part); 4] = [
    (GUEST, "guest", |core| core.guest),
    (EMULATOR, "host", |core| core.host),
    (UNUSED, "interrupts", |core| core.interrupts + core.softirqs),
    (STOLEN, "steal", |core| core.steal),
];

pub fn measured_svg(measured: &Measured) -> String {
    let mut body = text(16.0, 26.0, 16, &format!("{}: its host CPUs for {} s", measured.name, measured.seconds));
    for (x, (colour, word, _)) in [LEFT, LEFT + 90.0, LEFT + 170.0, LEFT + 290.0].into_iter().zip(PARTS) {
        body.push_str(&rectangle(x, 36.0, 12.0, 12.0, colour));
        body.push_str(&text(x + 18.0, 46.0, 12, word));
    }
    let mut y = TOP;
    for core in &measured.cores {
        body.push_str(&rectangle(LEFT, y, WIDTH, ROW, HOST));
        body.push_str(&text(16.0, y + ROW / 2.0, 12, &format!("CPU {}", core.cpu)));
        each_moment(measured, |moment, x, width| {
            let Some(times) = moment.cores.iter().find(|times| times.cpu == core.cpu) else { return };
            let mut bottom = y + ROW;
            for (colour, _, of) in PARTS {
                let height = (of(times) / 100.0 * ROW).min(bottom - y);
                bottom -= height;
                body.push_str(&rectangle(x, bottom, width, height, colour));
            }
        });
        y += ROW + GAP;
    }
    let most = measured.moments.iter().filter_map(|moment| moment.exits).fold(0.0, f64::max);
    if most > 0.0 {
        body.push_str(&rectangle(LEFT, y, WIDTH, ROW, HOST));
        body.push_str(&text(16.0, y + ROW / 2.0, 12, "exits"));
        body.push_str(&text(LEFT + 4.0, y + 12.0, 11, &format!("at most {most:.0} a second")));
        each_moment(measured, |moment, x, width| {
            let height = moment.exits.unwrap_or_default() / most * (ROW - 16.0);
            body.push_str(&rectangle(x, y + ROW - height, width, height, UNUSED));
        });
    } else {
        body.push_str(&text(LEFT, y + 14.0, 12, "the exits are unknown, or there were none"));
    }
    y += ROW + GAP;
    y = reasons(measured, y, &mut body);
    let width = LEFT + WIDTH + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" viewBox=\"0 0 {width} {y}\" font-family=\"sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// A bar for each of the most frequent reasons, of all virtual CPUs together. Returns where the next row begins.
fn reasons(measured: &Measured, mut y: f64, body: &mut String) -> f64 {
    let mut all: BTreeMap<&str, f64> = BTreeMap::new();
    let known = measured.vcpus.iter().filter_map(|vcpu| vcpu.reasons.as_ref());
    for (name, rate) in known.flatten() {
        *all.entry(name).or_default() += rate;
    }
    let mut all: Vec<(&str, f64)> = all.into_iter().filter(|(_, rate)| *rate > 0.0).collect();
    all.sort_by(|one, other| other.1.total_cmp(&one.1));
    if measured.vcpus.iter().any(|vcpu| vcpu.reasons.is_none()) {
        body.push_str(&text(LEFT, y + 4.0, 12, "why the virtual CPUs left the guest is unknown"));
        return y + GAP;
    }
    let most = all.first().map_or(0.0, |(_, rate)| *rate);
    for (name, rate) in all.into_iter().take(REASONS) {
        body.push_str(&rectangle(LEFT, y, rate / most * WIDTH, GAP - 4.0, UNUSED));
        body.push_str(&text(LEFT + 4.0, y + 11.0, 11, &format!("{name}: {rate:.1} a second")));
        y += GAP;
    }
    y + GAP
}

/// Each slice of time with its place and its width.
fn each_moment(measured: &Measured, mut draw: impl FnMut(&Moment, f64, f64)) {
    let whole = measured.moments.last().map_or(0.0, |last| last.end);
    let mut begin = 0.0;
    for moment in measured.moments.iter().filter(|_| whole > 0.0) {
        draw(moment, LEFT + begin / whole * WIDTH, (moment.end - begin) / whole * WIDTH);
        begin = moment.end;
    }
}

fn rectangle(x: f64, y: f64, width: f64, height: f64, colour: &str) -> String {
    format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>\n")
}

fn text(x: f64, y: f64, size: u32, text: &str) -> String {
    let text = super::style::shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\">{text}</text>\n")
}
