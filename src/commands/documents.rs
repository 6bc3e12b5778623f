//! The JSON Schemas of the documents that the commands print with `--json`, made from their types; docs/json holds them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::disk::{Committed, Compacted, Copied, Created, Info, Merged, Overlaid, Swapped};
use super::shared::definition::DefinedDomain;
use super::{capture, explain, export, import, measure, overview, prepare, reset, setup, show, start, status, stop, undefine, undo, why};
use crate::output::{Document, Envelope, Hosts, Listing, Outcome, SCHEMA, TopologyView, Variables};
use crate::readiness::Report;

/// The schema of one kind of answer.
type Kind = fn(&mut SchemaGenerator) -> Schema;

/// Each command and the kinds of its answer; without one it prints a document only if it fails. The command without a
/// name is a command line that names none.
const COMMANDS: [(&str, &[Kind]); 34] = [
    ("", &[of::<overview::Overview>]),
    ("list", &[of::<Listing>, of::<Hosts>, of::<Variables>]),
    ("check", &[of::<Report>]),
    ("setup", &[of::<setup::SetUp>]),
    ("prepare", &[of::<prepare::Prepared>]),
    ("undo", &[of::<undo::Undone>]),
    ("reset", &[of::<reset::CardReset>]),
    ("define", &[of::<DefinedDomain>]),
    ("attach", &[of::<DefinedDomain>]),
    ("detach", &[of::<DefinedDomain>]),
    ("show", &[of::<show::Shown>]),
    ("explain", &[of::<explain::Explained>]),
    ("start", &[of::<start::Started>]),
    ("stop", &[of::<stop::Stopped>]),
    ("status", &[of::<status::StatusOfOne>, of::<status::StatusOfAll>]),
    ("measure", &[of::<measure::Measurement>]),
    ("why", &[of::<why::Reason>]),
    ("undefine", &[of::<undefine::Undefined>]),
    ("hook", &[]),
    ("import", &[of::<import::ImportedDomain>, of::<import::AsRequest>, of::<import::Notes>]),
    ("export", &[of::<export::ForQemu>, of::<export::ForCluster>]),
    ("disk", &[]),
    ("disk create", &[of::<Created>]),
    ("disk overlay", &[of::<Overlaid>]),
    ("disk info", &[of::<Info>]),
    ("disk merge", &[of::<Merged>]),
    ("disk commit", &[of::<Committed>]),
    ("disk compact", &[of::<Compacted>]),
    ("disk copy-in", &[of::<Copied>]),
    ("disk swap", &[of::<Swapped>]),
    ("topology", &[of::<TopologyView>]),
    ("capture", &[of::<capture::Captured>]),
    ("completions", &[]),
    ("man", &[]),
];

fn of<T: JsonSchema + 'static>(generator: &mut SchemaGenerator) -> Schema {
    <Document<'static, T>>::json_schema(generator)
}

/// Each command with the schema of its documents.
pub fn schemas() -> Vec<(&'static str, Value)> {
    COMMANDS.into_iter().map(|(command, kinds)| (command, schema(command, kinds))).collect()
}

fn schema(command: &str, kinds: &[Kind]) -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let bare = <Envelope<'static>>::json_schema(&mut generator).to_value();
    // Where nothing is known, there are findings or an error, and nothing else.
    let refused = ending(&bare, &[Outcome::Refused]);
    let mut failed = ending(&bare, &[Outcome::Usage, Outcome::Failed, Outcome::Interrupted]);
    if let Some(required) = failed["required"].as_array_mut() {
        required.push("error".into());
    }
    let mut answers: Vec<Value> = kinds.iter().map(|kind| kind(&mut generator).to_value()).chain([refused, failed]).collect();
    for answer in &mut answers {
        answer["properties"]["schema"] = json!({"const": SCHEMA, "description": "The version of the documents."});
        answer["properties"]["command"] = json!({"const": Some(command).filter(|command| !command.is_empty())});
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("vgapt {command} --json").replace("  ", " "),
        "anyOf": answers,
        "$defs": generator.definitions(),
    })
}

/// The envelope where it ends with one of these outcomes.
fn ending(envelope: &Value, outcomes: &[Outcome]) -> Value {
    let mut envelope = envelope.clone();
    envelope["properties"]["outcome"] = json!({"enum": outcomes});
    envelope
}
