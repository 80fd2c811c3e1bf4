//! What `schema/sockowner-1.json` says of a document.

use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

const SCHEMA: &str = include_str!("../../../../schema/sockowner-1.json");
const ID: &str = "urn:sockowner:schema:1";

/// The published schema, and one that allows no key beside those it names.
pub(crate) struct Schema {
    schemas: Schemas,
    document: SchemaIndex,
    line: SchemaIndex,
    whole_document: SchemaIndex,
    whole_endpoint: SchemaIndex,
}

impl Schema {
    pub(crate) fn get() -> &'static Self {
        static READ: LazyLock<Schema> = LazyLock::new(Schema::read);
        &READ
    }

    fn read() -> Self {
        let published: Value = serde_json::from_str(SCHEMA).unwrap();
        let mut whole = published.clone();
        close(&mut whole);
        whole["$id"] = format!("{ID}:whole").into();
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(ID, published).unwrap();
        compiler.add_resource(&format!("{ID}:whole"), whole).unwrap();
        let mut schemas = Schemas::new();
        let mut compile = |place: &str| {
            let found = compiler.compile(&format!("{ID}{place}"), &mut schemas);
            found.unwrap_or_else(|error| panic!("{place}: {error:#}"))
        };
        let [document, line, whole_document, whole_endpoint] =
            ["", "#/$defs/line", ":whole", ":whole#/$defs/endpoint"].map(&mut compile);
        Self { schemas, document, line, whole_document, whole_endpoint }
    }

    /// Why this is not what `--json` prints: neither by the schema, nor without a key that it does not name.
    pub(crate) fn faults_of_document(&self, document: &Value) -> Option<String> {
        self.faults(document, self.document).or_else(|| self.faults(document, self.whole_document))
    }

    /// The same of a line of `--jsonl`.
    pub(crate) fn faults_of_line(&self, line: &Value) -> Option<String> {
        let mut endpoint = line.clone();
        endpoint.as_object_mut().map(|line| line.remove("schema"));
        self.faults(line, self.line).or_else(|| self.faults(&endpoint, self.whole_endpoint))
    }

    fn faults(&self, value: &Value, schema: SchemaIndex) -> Option<String> {
        self.schemas.validate(value, schema).err().map(|error| format!("{error:#}"))
    }
}

/// Forbids keys that no schema of an object names.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let names_keys = object.get("type") == Some(&"object".into()) && !object.contains_key("allOf");
            let is_endpoint = object.get("properties").is_some_and(|named| named.get("protocol").is_some());
            if object.contains_key("properties") && (names_keys || is_endpoint) {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            object.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}
