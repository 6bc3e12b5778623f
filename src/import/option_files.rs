//! Files of options: `-readconfig FILE` stands for the options in the file (`qemu_config_foreach` of QEMU's util/qemu-config.c).

use super::shell::{Script, joined};
use crate::model::Reading;

/// Groups whose options are called otherwise (`QemuOptsList` of QEMU's system/vl.c).
const GROUPS: [(&str, &str); 3] = [("memory", "m"), ("smp-opts", "smp"), ("boot-opts", "boot")];

/// The most options of a file; real ones have some dozens.
const MOST: usize = 1_000;

/// The same script with the options of these files in their place; a file that is not there stays an option.
pub fn with_option_files(script: Script, files: &dyn Fn(&str) -> Reading<String>) -> Script {
    let mut argv = Vec::new();
    let (mut notes, mut refusal) = (script.notes, script.refusal);
    let mut words = script.argv.into_iter().peekable();
    while let Some(word) = words.next() {
        let path = words.next_if(|_| word.starts_with('-') && word.trim_start_matches('-') == "readconfig");
        let folder = |path: &str| if path.starts_with('/') { Some("/") } else { script.folder.as_deref() };
        let whole = path.as_deref().and_then(|path| Some(joined(folder(path)?, path)));
        match whole.as_deref().and_then(|path| files(path).known()).map(|text| options(&text)) {
            Some(Ok(options)) => {
                notes.push(format!("{}: {} options are read from it", path.unwrap_or_default(), options.len() / 2));
                argv.extend(options);
            }
            Some(Err((line, why))) => {
                let why = format!("{}, line {line}: {why}", path.unwrap_or_default());
                refusal = refusal.or(Some((why, "correct the file: QEMU reads it line by line".to_owned())));
            }
            None => argv.extend([word].into_iter().chain(path)),
        }
    }
    Script { argv, notes, refusal, ..script }
}

/// The words of the options in a file; the number of the first line that is none, and why.
fn options(text: &str) -> Result<Vec<String>, (usize, String)> {
    let mut options: Vec<String> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(head) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let (group, id) = head.split_once(' ').map_or((head, None), |(group, id)| (group, id.trim().strip_prefix('"')));
            let name = GROUPS.iter().find(|(of, _)| *of == group).map_or(group, |(_, name)| *name);
            let id = id.and_then(|id| id.strip_suffix('"')).map(|id| format!("id={id}"));
            options.extend([format!("-{name}"), id.unwrap_or_default()]);
            if options.len() > 2 * MOST {
                return Err((at + 1, format!("it has more than {MOST} options")));
            }
            continue;
        }
        let value = line.split_once('=').and_then(|(name, value)| Some((name.trim(), value.trim().strip_prefix('"')?.strip_suffix('"')?)));
        let unreadable = || (at + 1, "it is neither [GROUP \"ID\"] nor NAME = \"VALUE\"".to_owned());
        let ((name, value), option) = value.zip(options.last_mut()).ok_or_else(unreadable)?;
        let comma = if option.is_empty() { "" } else { "," };
        option.push_str(&format!("{comma}{name}={}", value.replace(',', ",,")));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_options() {
        let text = "# a comment\n[device \"usb\"]\n  driver = \"ich9-usb-ehci1\"\n  addr = \"1d.7\"\n\n[memory]\nsize = \"1024\"\n[drive]\n  file=\"/a,b\"\n";
        let words = ["-device", "id=usb,driver=ich9-usb-ehci1,addr=1d.7", "-m", "size=1024", "-drive", "file=/a,,b"];
        assert_eq!(options(text).unwrap(), words);
        for wrong in ["[a]\nb = c\n", "\nb = \"c\"\n"] {
            assert_eq!(options(wrong).unwrap_err().0, 2, "{wrong}");
        }
        assert_eq!(options(&"[device]\n".repeat(MOST + 1)).unwrap_err().0, MOST + 1);
        let argv = ["kvm", "-readconfig", "more.cfg", "-usb", "-readconfig", "/gone"].map(str::to_owned).to_vec();
        let script = Script { argv, folder: Some("/vm".to_owned()), ..Script::default() };
        let read =
            with_option_files(script, &|path| if path == "/vm/more.cfg" { Reading::Known(text.to_owned()) } else { Reading::Absent });
        assert_eq!(read.argv[1..7], words);
        assert_eq!(read.argv[7..], ["-usb", "-readconfig", "/gone"]);
        assert_eq!(read.notes, ["more.cfg: 3 options are read from it"]);
    }
}
