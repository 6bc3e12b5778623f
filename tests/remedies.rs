//! Remedies that are commands of others, carried out as they are printed.

#[path = "support/command.rs"]
mod command;

use std::fs;

use command::{Ran, Z170, command as program, run, vgapt, without_options};

fn define(arguments: &[&str]) -> Ran {
    run(&mut vgapt(["--root", Z170, "define", "new"].iter().chain(arguments)))
}

fn remedy(told: &str, of: &str) -> String {
    let told = without_options(told);
    let behind = told.split(of).nth(1).unwrap_or_else(|| panic!("no '{of}' in:\n{told}"));
    let remedy = behind.split("remedy: ").nth(1).unwrap_or_else(|| panic!("no remedy of '{of}' in:\n{told}"));
    remedy.lines().next().unwrap().to_owned()
}

/// One window is the remedy for both: the guest has neither picture nor input.
#[test]
fn a_display_is_put_in() {
    let bare = ["--os", "linux", "--dry-run"];
    let told = define(&bare).stderr;
    let remedy = remedy(&told, "no graphics card and no other display, and no keyboard and mouse");
    assert!(!told.contains("no keyboard and no mouse"), "said once: {told}");
    let options: Vec<&str> = remedy.split_once("on this host with ").unwrap().1.split(' ').collect();
    let with = define(&[&bare[..], &options[..]].concat()).with(0);
    let told = with.stderr.split("\nnext: ").next().unwrap();
    assert!(!told.contains("display") && !told.contains("keyboard"), "{told}");
    assert!(with.stderr.contains("in a window on this host (VNC)"), "{}", with.stderr);
}

/// Of the two drivers of a boot framebuffer a kernel has one.
#[test]
fn the_boot_framebuffer_is_given_up() {
    let source = fs::read_to_string("src/readiness/cards.rs").unwrap();
    let remedy = source.split('"').find(|text| text.starts_with("for d in ")).expect("the remedy is a loop");
    for present in [&["simple-framebuffer"][..], &["efi-framebuffer"], &[]] {
        let directory = tempfile::tempdir().unwrap();
        let drivers = directory.path().join("bus/platform/drivers");
        for driver in
            ["simple-framebuffer", "efi-framebuffer"].into_iter().filter(|driver| *driver == "efi-framebuffer" || present.contains(driver))
        {
            fs::create_dir_all(drivers.join(driver)).unwrap();
        }
        for driver in present {
            fs::write(drivers.join(driver).join(format!("{driver}.0")), "").unwrap();
        }
        let remedy = remedy.replace("/sys/", &format!("{}/", directory.path().display()));
        let ran = run(program("sh").args(["-ec", &remedy])).with(0);
        assert_eq!(ran.stderr, "");
        for driver in ["simple-framebuffer", "efi-framebuffer"] {
            let written = fs::read_to_string(drivers.join(driver).join("unbind")).ok();
            assert_eq!(written, present.contains(&driver).then(|| format!("{driver}.0\n")), "{present:?}");
        }
    }
}

#[test]
fn the_domains_there_are_are_named() {
    let told = run(&mut vgapt(["--root", Z170, "show", "nosuch"])).with(3).saying(&["remedy: "]).stderr;
    assert_eq!(remedy(&told, "no domain 'nosuch'"), "the domains here are test; or create it: vgapt define nosuch");
    let told = run(&mut vgapt(["--root", Z170, "show", "test"])).with(1).saying(&["remedy: "]).stderr;
    let remedy = remedy(&told, "'test' is not managed by vgapt");
    assert!(remedy == "add a card to it: vgapt attach test --gpu auto", "{remedy}");
}
