//! The module of one process, in as few calls as can be: callers ask for it once a row.

use std::os::windows::ffi::OsStrExt;
use std::path::Path;

use super::call::Kernel;
use super::door::{Door, is_gone, is_refused};
use super::permission::may_be_told;
use super::processes::{SYSTEM, has_ended, has_no_image, image, list, open};
use super::services;
use super::wine::bridge;
use crate::{Error, ErrorKind, Identity, Module, Result};

pub(crate) fn module_of(identity: &Identity) -> Result<Module> {
    module(&Kernel, identity)
}

pub(super) fn module<D: Door>(door: &D, identity: &Identity) -> Result<Module> {
    look(door, identity).map_err(|error| error.context(format!("name the module of pid {}", identity.pid)))
}

fn look<D: Door>(door: &D, identity: &Identity) -> Result<Module> {
    let pid = identity.pid;
    if pid == 0 {
        return Err(not_found("it is no process"));
    }
    if door.is_wine() {
        if pid & bridge::FLAG != 0 {
            return native(door, identity);
        }
    } else if pid == SYSTEM {
        return Ok(Module::Kernel);
    }
    // The system opens the process of the next lower number that is one for a number that none can have.
    if pid % 4 != 0 && listed(door, pid)?.is_none() {
        return Err(not_found("there is no such process"));
    }
    let (process, created) = match open(door, pid) {
        Ok(opened) => opened,
        Err(error) if is_gone(&error) => return Err(not_found("there is no such process")),
        Err(error) if is_refused(&error) => {
            if identity.start_ticks.is_some() || identity.bound_at.is_some() {
                let created = listed(door, pid)?.ok_or_else(|| not_found("there is no such process"))?;
                prove(identity, created)?;
            }
            return Ok(Module::NotPermitted);
        }
        Err(error) => return Err(Error::io("open the process", error)),
    };
    prove(identity, created)?;
    let path = match image(door, &process) {
        Ok(path) => path,
        Err(error) if has_ended(door, &process, &error) => return Err(not_found("it has ended")),
        Err(error) if is_refused(&error) || has_no_image(&error) => return Ok(Module::NotPermitted),
        Err(error) => return Err(Error::io("ask for the path of its executable", error)),
    };
    if !is_told(door, &path)? {
        return Ok(Module::NotPermitted);
    }
    let tag = identity.service_tag.and_then(|tag| services::tag(tag.into()));
    // Its process is held, so the service's is this one. Where it cannot be had, the process is still the owner.
    let service = tag.and_then(|tag| services::named(door, pid, tag).ok().flatten());
    Ok(service.map_or(Module::Process(path), Module::Service))
}

/// Whether the caller may be told of a process with this executable.
fn is_told<D: Door>(door: &D, path: &Path) -> Result<bool> {
    let told = door.system_directory().and_then(|directory| {
        let units: Vec<_> = path.as_os_str().encode_wide().collect();
        may_be_told(&units, &directory, || door.is_administrator())
    });
    told.map_err(|error| Error::io("ask what the caller may be told", error))
}

/// The process that was created then is the one that is meant.
fn prove(identity: &Identity, created: u64) -> Result<()> {
    let is_other = identity.start_ticks.is_some_and(|ticks| ticks != created);
    let is_later = identity.bound_at.is_some_and(|bound_at| bound_at != 0 && created > bound_at);
    if is_other || is_later { Err(not_found("its number is another process's now")) } else { Ok(()) }
}

/// When the process with this number was created, as the list of all has it.
fn listed<D: Door>(door: &D, pid: u32) -> Result<Option<u64>> {
    let (listed, _) = list(door).map_err(|error| Error::io("list the processes", error))?;
    Ok(listed.into_iter().find(|listed| listed.pid == pid).map(|listed| listed.created))
}

/// A process outside of Wine.
fn native<D: Door>(door: &D, identity: &Identity) -> Result<Module> {
    let Some(native) = door.native_process(identity.pid)? else {
        return Err(not_found("there is no such native process, or nobody to ask"));
    };
    if identity.start_ticks.is_some_and(|ticks| ticks != native.start_ticks) {
        return Err(not_found("its number is another process's now"));
    }
    Ok(native.path.map_or(Module::NotPermitted, Module::Process))
}

fn not_found(why: &str) -> Error {
    Error::new(ErrorKind::NotFound, why)
}
