//! Which guest uses which core, as an SVG picture of nested boxes, with the words of `topology.rs`.

use super::colours::{EMULATOR, GUEST, HOST, OTHER, UNUSED};
use super::topology::{CacheBox, CpuUse, NodeBox, TopologyView};

const BOX: usize = 108;
const GAP: usize = 8;
const LINE: usize = 20;
/// Cores in one row.
const ROW: usize = 8;

/// Marks an efficiency core.
const EFFICIENT: &str = "E";

/// A picture that grows downwards.
struct Picture {
    body: String,
    width: usize,
    y: usize,
}

impl Picture {
    fn text(&mut self, x: usize, size: usize, text: &str) {
        let y = self.y + size;
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.body.push_str(&format!("<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\">{escaped}</text>\n"));
        self.width = self.width.max(x + text.chars().count() * size * 6 / 10 + GAP);
    }

    fn frame(&mut self, x: usize, top: usize, width: usize) {
        let height = self.y - top;
        self.width = self.width.max(x + width + GAP);
        // Inserted first: a frame is drawn behind its contents.
        let frame = format!("<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"#666\" rx=\"4\"/>\n");
        self.body.insert_str(0, &frame);
    }
}

fn colour(used: &CpuUse) -> &'static str {
    match used {
        CpuUse::Guest(_) => GUEST,
        CpuUse::Unused => UNUSED,
        CpuUse::Other => OTHER,
        CpuUse::Emulator => EMULATOR,
        CpuUse::Host => HOST,
    }
}

pub fn svg(seats: &TopologyView) -> String {
    let mut picture = Picture { body: String::new(), width: 0, y: GAP };
    picture.text(GAP, 16, &seats.title());
    picture.y += LINE + GAP;
    if seats.cores.is_empty() {
        picture.text(GAP, 12, "the cores of this host are unknown");
        picture.y += LINE;
    }
    for node in seats.nodes() {
        draw_node(&mut picture, seats, &node);
    }
    for card in seats.cards_of(None) {
        picture.text(GAP, 12, &card.words());
        picture.y += LINE;
    }
    for used in seats.legend() {
        let y = picture.y;
        picture
            .body
            .push_str(&format!("<rect x=\"{GAP}\" y=\"{y}\" width=\"14\" height=\"14\" fill=\"{}\" stroke=\"#333\"/>\n", colour(&used)));
        picture.text(GAP + 22, 12, &format!("{}: {}", used.word(), used.meaning()));
        picture.y += LINE;
    }
    if seats.is_hybrid() {
        picture.text(GAP, 12, &format!("{EFFICIENT}: efficiency core"));
        picture.y += LINE;
    }
    let Picture { body, width, y } = picture;
    let height = y + GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn draw_node(picture: &mut Picture, seats: &TopologyView, node: &NodeBox<'_>) {
    let top = picture.y;
    picture.y += GAP / 2;
    picture.text(2 * GAP, 13, &node.words());
    picture.y += LINE;
    for card in seats.cards_of(Some(node.number)) {
        picture.text(2 * GAP, 12, &card.words());
        picture.y += LINE;
    }
    for cache in &node.caches {
        draw_cache(picture, seats, cache);
    }
    let width = node.caches.iter().map(|cache| cache.cores.len().min(ROW)).max().unwrap_or(1) * (BOX + GAP) + 3 * GAP;
    picture.frame(GAP, top, width);
    picture.y += GAP;
}

fn draw_cache(picture: &mut Picture, seats: &TopologyView, cache: &CacheBox<'_>) {
    let top = picture.y;
    picture.y += GAP / 4;
    picture.text(3 * GAP, 12, &cache.words());
    picture.y += LINE;
    for row in cache.cores.chunks(ROW) {
        let threads = row.iter().map(|core| core.cpus.len()).max().unwrap_or(1);
        for (column, core) in row.iter().enumerate() {
            let x = 3 * GAP + column * (BOX + GAP);
            for (thread, cpu) in core.cpus.iter().enumerate() {
                let (used, y) = (seats.seat(*cpu), picture.y + thread * LINE);
                let mark = if core.is_efficient { format!(" {EFFICIENT}") } else { String::new() };
                picture.body.push_str(&format!(
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX}\" height=\"{LINE}\" fill=\"{}\" stroke=\"#333\"/>\n<text x=\"{}\" y=\"{}\" font-size=\"11\">{cpu}{mark}: {}</text>\n",
                    colour(&used),
                    x + 4,
                    y + 14,
                    used.words()
                ));
            }
        }
        picture.y += threads * LINE + GAP;
    }
    let width = cache.cores.len().min(ROW) * (BOX + GAP) + GAP;
    picture.frame(2 * GAP, top, width);
    picture.y += GAP;
}
