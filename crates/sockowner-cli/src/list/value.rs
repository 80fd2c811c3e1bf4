//! What a column tells of an endpoint, whatever it is written as.
//!
//! Every text is as people see it: nothing in it can move the cursor, break a line or pass for another column, and of
//! units and containers it says who named them.

use std::borrow::Cow;

use sockowner::{Address, Component, Container, Entry, Process, RoleEvidence, RoleKind, Service};

use super::held::Held;
use crate::field::Field;
use crate::text::{shown, shown_name, shown_os, shown_word};
use crate::{address, clock, explain, naming, netns};

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// There is none, or it is not known.
    Nothing,
    Number(u64),
    Flag(bool),
    Text(Cow<'a, str>),
    /// With its port.
    Address(Address),
    /// Without.
    Host(&'a Address),
}

/// What `field` tells of `entry`.
pub(super) fn value(field: Field, entry: &Entry) -> Value<'_> {
    let (socket, endpoint) = (&entry.socket, &entry.socket.endpoint);
    let remote = endpoint.remote.as_ref();
    let known = entry.record.known();
    match field {
        Field::Proto => Value::Text(naming::protocol(endpoint)),
        Field::State => Value::Text(naming::state(endpoint.state)),
        Field::Local => Value::Address(address::local(socket)),
        Field::Remote => remote.copied().map_or(Value::Nothing, Value::Address),
        Field::User => text(naming::user(socket.uid, entry.user.as_deref())),
        Field::Process => text(Held::of(entry).into_text()),
        Field::Unit => text(naming::place(entry)),
        Field::Protocol => Value::Text(endpoint.protocol.as_str().into()),
        Field::Family => Value::Text(endpoint.family.as_str().into()),
        Field::LocalAddress => Value::Host(&endpoint.local),
        Field::LocalPort => Value::Number(endpoint.local.port.into()),
        Field::RemoteAddress => remote.map_or(Value::Nothing, Value::Host),
        Field::RemotePort => number(remote.map(|remote| remote.port)),
        Field::Netns => number(socket.netns),
        Field::NetnsName => text(netns::name(entry)),
        Field::Interface => {
            text(socket.interface.map(|interface| shown(&interface.to_string()).into_owned().into()))
        }
        Field::Inode => number(cfg!(target_os = "linux").then_some(socket.inode)),
        Field::Cookie => number(cfg!(target_os = "linux").then_some(socket.cookie)),
        Field::Uid => number(socket.uid),
        Field::Cgroup => {
            let path = entry.cgroup.as_ref().and_then(|cgroup| cgroup.path.as_deref());
            text(path.map(|path| shown_os(path.as_os_str())))
        }
        Field::CgroupId => number(entry.cgroup.as_ref().map(|cgroup| cgroup.id)),
        Field::Service => service(entry.service.as_deref()),
        Field::Container => container(entry.container.as_deref()),
        Field::Holders => text(holders(entry)),
        Field::Reason => text(entry.attribution.reason().map(|reason| reason.as_str().into())),
        Field::Creator | Field::Binder | Field::Listener | Field::Acceptor => role(kind(field), entry),
        Field::CreatorPid | Field::BinderPid | Field::ListenerPid | Field::AcceptorPid => {
            number(entry.record.role(kind(field)).and_then(|role| role.process.pid))
        }
        Field::BinderComponent | Field::ListenerComponent | Field::AcceptorComponent => {
            let role = entry.record.role(kind(field));
            text(role.and_then(|role| role.component.as_deref()).map(component))
        }
        Field::CreatedAt => text(known.and_then(|known| clock::utc(known.created_at?)).map(Cow::from)),
        Field::ClosedAt => text(known.and_then(|known| clock::utc(known.closed_at?)).map(Cow::from)),
        Field::Changed => Value::Flag(entry.changed),
        Field::Exited => {
            let owner = entry.attribution.primary_owner();
            owner.map_or(Value::Nothing, |_| Value::Flag(entry.attribution.has_exited()))
        }
        Field::Evidence => {
            text(entry.attribution.primary_owner().map(|(_, evidence)| evidence.as_str().into()))
        }
        of_owner => match entry.attribution.primary_owner() {
            Some((owner, _)) => owner_value(of_owner, owner),
            None => Value::Nothing,
        },
    }
}

/// What a field of the owner's tells of it.
fn owner_value(field: Field, owner: &Process) -> Value<'_> {
    let executable = owner.executable.as_ref();
    match field {
        Field::Pid => Value::Number(owner.pid.into()),
        Field::StartTime => text(owner.start.time.and_then(clock::utc).map(Cow::from)),
        Field::StartTicks => Value::Number(owner.start.ticks),
        Field::Name => Value::Text(shown_os(&owner.name)),
        Field::Comm => Value::Text(shown_os(&owner.comm)),
        Field::Path => text(executable.map(|executable| shown_os(executable.path.as_os_str()))),
        Field::PathVerified => executable.map_or(Value::Nothing, |found| Value::Flag(found.verified)),
        Field::Deleted => executable.map_or(Value::Nothing, |found| Value::Flag(found.deleted)),
        Field::Cmdline => {
            text(owner.command_line.as_deref().map(|words| explain::command_line(words).into()))
        }
        Field::OwnerUid => number(owner.uid),
        Field::OwnerUser => text(naming::user(owner.uid, owner.user.as_deref())),
        Field::OwnerService => service(owner.service.as_deref()),
        Field::OwnerContainer => container(owner.container.as_deref()),
        _ => Value::Nothing,
    }
}

fn text(text: Option<Cow<'_, str>>) -> Value<'_> {
    text.map_or(Value::Nothing, Value::Text)
}

fn number<'a>(number: Option<impl Into<u64>>) -> Value<'a> {
    number.map_or(Value::Nothing, |number| Value::Number(number.into()))
}

fn service(service: Option<&Service>) -> Value<'_> {
    text(service.map(naming::service))
}

fn container(container: Option<&Container>) -> Value<'_> {
    text(container.map(|container| naming::container(container).into()))
}

/// `812/6 813/6`; without a descriptor, where that is not known, `812`.
fn holders(entry: &Entry) -> Option<Cow<'_, str>> {
    let holders = entry.attribution.holders().iter();
    let each: Vec<_> = holders
        .map(|holder| match (holder.process.pid, holder.fd) {
            (pid, ..0) => pid.to_string(),
            (pid, fd) => format!("{pid}/{fd}"),
        })
        .collect();
    (!each.is_empty()).then(|| each.join(" ").into())
}

fn kind(field: Field) -> RoleKind {
    match field {
        Field::Binder | Field::BinderPid | Field::BinderComponent => RoleKind::Binder,
        Field::Listener | Field::ListenerPid | Field::ListenerComponent => RoleKind::Listener,
        Field::Acceptor | Field::AcceptorPid | Field::AcceptorComponent => RoleKind::Acceptor,
        _ => RoleKind::Creator,
    }
}

/// Who was in a role, and in brackets how that is known, where it is not by his call: then it may have been another. Or
/// why it is not known.
fn role(kind: RoleKind, entry: &Entry) -> Value<'_> {
    match (entry.record.role(kind), entry.role_reason(kind)) {
        (Some(role), _) if role.evidence == RoleEvidence::Call => Value::Text(shown_name(&role.process.name)),
        (Some(role), _) => {
            Value::Text(format!("{} ({})", shown_name(&role.process.name), role.evidence.as_str()).into())
        }
        (None, Some(reason)) => Value::Text(format!("({})", reason.as_str().replace('_', " ")).into()),
        (None, None) => Value::Nothing,
    }
}

/// `libcurl.so.4 (cfi)`: never without its grade.
fn component(component: &Component) -> Cow<'_, str> {
    let made = if component.generated { ", nearest file" } else { "" };
    format!("{} ({}{made})", shown_word(&component.name), component.evidence).into()
}
