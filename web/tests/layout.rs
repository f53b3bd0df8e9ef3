//! The layout's promises, on the demo platform, on a big one and on random ones.

use proptest::prelude::*;
use topology::model::Model;
use web::layout::{BOTTOM, LEFT, Layout, RIGHT, Rect, TOP};

use crate::fixture;

/// No wire inside a card, no two cards over each other, everything on the stage.
fn check(model: &Model, layout: &Layout) -> Result<(), String> {
    for (i, a) in layout.cards.iter().enumerate() {
        let r = a.rect;
        if r.x < LEFT || r.right() > RIGHT || r.y < TOP || r.bottom() > BOTTOM || r.width < 1 || r.height < 1
        {
            return Err(format!("card {i} is off the stage: {r:?}"));
        }
        for (j, b) in layout.cards.iter().enumerate().skip(i + 1) {
            if r.touches(b.rect, 0) {
                return Err(format!("cards {i} and {j} overlap"));
            }
        }
        if a.cells.order.len() != model.components[i].instances.len() {
            return Err(format!("card {i} lost a cell"));
        }
    }
    for (i, wire) in layout.wires.iter().enumerate() {
        for pair in wire.points.windows(2) {
            if pair[0].0 != pair[1].0 && pair[0].1 != pair[1].1 {
                return Err(format!("wire {i} is slanted: {pair:?}"));
            }
            let strip = Rect {
                x: pair[0].0.min(pair[1].0),
                y: pair[0].1.min(pair[1].1),
                width: (pair[0].0 - pair[1].0).abs() + 1,
                height: (pair[0].1 - pair[1].1).abs() + 1,
            };
            for (c, card) in layout.cards.iter().enumerate() {
                let r = card.rect;
                let inner = Rect { x: r.x + 1, y: r.y + 1, width: r.width - 2, height: r.height - 2 };
                if inner.touches(strip, 0) {
                    return Err(format!("wire {i} ({:?}) enters card {c}: {:?}", wire.points, r));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_demo_platform_lies_calm() {
    let model = fixture::model(fixture::DEMO);
    let layout = Layout::of(&model);
    check(&model, &layout).unwrap();
    let bent = layout.wires.iter().filter(|wire| wire.points.len() > 2).count();
    println!("{} crossings, {bent} of {} wires bent", layout.crossings, layout.wires.len());
    assert!(layout.crossings <= 12, "{} crossings", layout.crossings);
}

#[test]
fn a_short_lane_in_the_middle_lets_wires_pass() {
    let messaging = "  messaging: { en: Messaging & OMS, zh: 消息与 OMS }\n";
    let cache = "  cache: { en: Redis";
    let text = fixture::DEMO.replace(messaging, "").replace(cache, &format!("{messaging}{cache}"));
    let model = fixture::model(&text);
    assert_eq!(model.tiers[3].name, "messaging");
    let layout = Layout::of(&model);
    check(&model, &layout).unwrap();
    println!("{} crossings", layout.crossings);
    // More than with the lane at the end, where it belongs; each is one wire going round a card.
    assert!(layout.crossings <= 14, "{} crossings", layout.crossings);
}

#[test]
fn the_same_file_gives_the_same_pixels() {
    let [a, b] =
        [fixture::model(fixture::DEMO), fixture::model(fixture::DEMO)].map(|model| Layout::of(&model));
    assert_eq!(a, b);
}

#[test]
fn sixty_components_fit() {
    let model = fixture::model(&fixture::sixty());
    assert!(model.components.len() >= 55);
    let layout = Layout::of(&model);
    check(&model, &layout).unwrap();
    println!("{} crossings of {} wires", layout.crossings, layout.wires.len());
    assert!(layout.cards.iter().all(|card| card.cells.size >= 6), "every instance has a cell");
}

fn yaml(n: usize, tiers: &[usize], edges: &[(usize, usize)], sizes: &[usize]) -> String {
    let mut text = "name: t\ncomponents:\n".to_owned();
    for i in 0..n {
        let needs: std::collections::BTreeSet<usize> =
            edges.iter().filter(|(a, b)| a % n == i && b % n != i).map(|(_, b)| b % n).collect();
        let needs: Vec<String> = needs.iter().map(|b| format!("c{b}")).collect();
        let tier = match tiers[i % tiers.len()] {
            0 => String::new(),
            t => format!("    tier: t{t}\n"),
        };
        text += &format!(
            "  c{i}:\n    instances: [\"10.0.{i}.[1-{}]:80\"]\n{tier}    probe: {{ tcp: {{}} }}\n    depends_on: [{}]\n",
            sizes[i % sizes.len()],
            needs.join(", ")
        );
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_graph_has_a_layout(
        n in 1usize..70,
        tiers in prop::collection::vec(0usize..7, 1..20),
        edges in prop::collection::vec((0usize..70, 0usize..70), 0..40),
        sizes in prop::collection::vec(1usize..120, 1..8),
    ) {
        let model = fixture::model(&yaml(n, &tiers, &edges, &sizes));
        let layout = Layout::of(&model);
        prop_assert_eq!(check(&model, &layout), Ok(()));
    }
}
