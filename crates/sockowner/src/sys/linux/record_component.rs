//! Components as the recorder keeps them, and as they are told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use sockowner_wire::record::{ComponentRecord, ModuleRecord};

use super::call::record::Maps;
use crate::{Component, ComponentEvidence, ComponentFrame};

/// `enum component_evidence`.
const EVIDENCE: [ComponentEvidence; 5] = [
    ComponentEvidence::Cfi,
    ComponentEvidence::CallTarget,
    ComponentEvidence::CfiIndirect,
    ComponentEvidence::ReturnAddress,
    ComponentEvidence::ExecutableOnly,
];

/// The evidence's number.
pub(super) fn number_of(evidence: ComponentEvidence) -> u8 {
    let at = EVIDENCE.iter().position(|other| *other == evidence);
    at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0)
}

/// Modules that were read already: many components have one.
pub(super) type Modules = BTreeMap<u32, Option<ModuleRecord>>;

/// What the key stands for; `None` where it, or its module, was removed, or is not understood.
pub(super) fn component(maps: &Maps, key: u32, known: &mut Modules) -> io::Result<Option<Component>> {
    let Some(record) = maps.components.get(&key)? else { return Ok(None) };
    let mut module = |key: u32| -> io::Result<Option<ModuleRecord>> {
        if let Some(module) = known.get(&key) {
            return Ok(*module);
        }
        let module = if key == 0 { None } else { maps.modules.get(&key)? };
        known.insert(key, module);
        Ok(module)
    };
    let evidence = usize::from(record.evidence).checked_sub(1).and_then(|at| EVIDENCE.get(at));
    let (Some(own), Some(evidence)) = (module(record.module)?, evidence) else { return Ok(None) };
    let mut chain = Vec::new();
    for frame in record.frames() {
        let offset = frame.offset;
        let (name, path, build_id) = match (frame.module, module(frame.module)?) {
            (0, _) => Default::default(),
            (_, Some(module)) => parts(&module),
            // What is beyond was not kept.
            (_, None) => break,
        };
        chain.push(ComponentFrame { name, path, build_id, offset });
    }
    let (name, path, build_id) = parts(&own);
    Ok(Some(Component {
        name,
        path,
        build_id,
        offset: record.offset(),
        evidence: *evidence,
        generated: record.generated != 0,
        chain,
    }))
}

fn parts(module: &ModuleRecord) -> (OsString, Option<PathBuf>, Option<Vec<u8>>) {
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    (text(module.name()), module.path().map(|path| text(path).into()), module.build_id().map(<[u8]>::to_vec))
}

/// A record of the component, whose modules have been given these keys: its own, then those of the chain.
pub(super) fn record_of(component: &Component, own: u32, chain: &[u32], charged: u32) -> ComponentRecord {
    let mut record = ComponentRecord {
        offset: component.offset.unwrap_or(0),
        module: own,
        charged,
        evidence: number_of(component.evidence),
        generated: component.generated.into(),
        has_offset: component.offset.is_some().into(),
        ..ComponentRecord::default()
    };
    for ((place, frame), module) in record.chain.iter_mut().zip(&component.chain).zip(chain) {
        place.offset = frame.offset;
        place.module = *module;
        record.frames += 1;
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_has_its_numbers() {
        assert_eq!(EVIDENCE.map(number_of), [1, 2, 3, 4, 5]);
        assert!(EVIDENCE.is_sorted());
    }
}
