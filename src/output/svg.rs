//! Which guest uses which core, as an SVG picture of nested boxes.

use super::topology::{CacheBox, CpuUse, NodeBox, TopologyView};

const BOX: usize = 58;
const GAP: usize = 8;
const LINE: usize = 20;
/// Cores in one row.
const ROW: usize = 12;

/// Colours for people with any colour vision (Okabe and Ito, 2008), each with a word beside it.
const GUEST: &str = "#009e73";
const EMULATOR: &str = "#56b4e9";
const UNUSED: &str = "#e69f00";
const HOST: &str = "#d9d9d9";

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

pub fn svg(seats: &TopologyView) -> String {
    let mut picture = Picture { body: String::new(), width: 0, y: GAP };
    picture.text(GAP, 16, &seats.title());
    picture.y += LINE + GAP;
    for node in seats.nodes() {
        draw_node(&mut picture, seats, &node);
    }
    for card in seats.cards.iter().filter(|card| card.node.is_none()) {
        picture.text(GAP, 12, &format!("{} (NUMA node unknown)", card.label));
        picture.y += LINE;
    }
    for (colour, word) in
        [(GUEST, "the guest"), (EMULATOR, "the host and the emulator"), (UNUSED, "unused sibling of a guest CPU"), (HOST, "the host")]
    {
        let y = picture.y;
        picture.body.push_str(&format!("<rect x=\"{GAP}\" y=\"{y}\" width=\"14\" height=\"14\" fill=\"{colour}\" stroke=\"#333\"/>\n"));
        picture.text(GAP + 22, 12, word);
        picture.y += LINE;
    }
    let Picture { body, width, y } = picture;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{}\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n",
        y + GAP
    )
}

fn draw_node(picture: &mut Picture, seats: &TopologyView, node: &NodeBox<'_>) {
    let top = picture.y;
    picture.y += GAP / 2;
    picture.text(2 * GAP, 13, &format!("package {}, NUMA node {}", node.package, node.number));
    picture.y += LINE;
    for card in seats.cards.iter().filter(|card| card.node == Some(node.number)) {
        let groups: Vec<String> = card.groups.iter().map(u32::to_string).collect();
        picture.text(2 * GAP, 12, &format!("{} (IOMMU group {})", card.label, groups.join(", ")));
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
    picture.text(3 * GAP, 12, &format!("L3 {} MiB", cache.kib >> 10));
    picture.y += LINE;
    for row in cache.cores.chunks(ROW) {
        let threads = row.iter().map(|core| core.cpus.len()).max().unwrap_or(1);
        for (column, core) in row.iter().enumerate() {
            for (thread, cpu) in core.cpus.iter().enumerate() {
                let (colour, word) = match seats.seat(*cpu) {
                    CpuUse::Guest(vcpu) => (GUEST, format!("v{vcpu}")),
                    CpuUse::Unused => (UNUSED, "unused".to_owned()),
                    CpuUse::Emulator => (EMULATOR, "host".to_owned()),
                    CpuUse::Host => (HOST, "host".to_owned()),
                };
                let (x, y) = (3 * GAP + column * (BOX + GAP), picture.y + thread * LINE);
                picture.body.push_str(&format!(
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX}\" height=\"{LINE}\" fill=\"{colour}\" stroke=\"#333\"/>\n<text x=\"{}\" y=\"{}\" font-size=\"11\">{cpu}: {word}</text>\n",
                    x + 4,
                    y + 14
                ));
            }
        }
        picture.y += threads * LINE + GAP;
    }
    let width = cache.cores.len().min(ROW) * (BOX + GAP) + GAP;
    picture.frame(2 * GAP, top, width);
    picture.y += GAP;
}
