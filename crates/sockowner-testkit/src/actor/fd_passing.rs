//! Descriptors over a Unix socket (`SCM_RIGHTS`), between actors of any two users.

use std::fs::{self, Permissions};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, recvmsg,
    sendmsg, socket_with,
};

use super::server::{Outcome, context};
use super::sockets;

pub(super) fn open_inbox(path: &Path) -> Outcome<OwnedFd> {
    let (socket, name) = unix_socket(path)?;
    bind(&socket, &name).map_err(context("bind the inbox"))?;
    listen(&socket, 1).map_err(context("listen at the inbox"))?;
    fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(context("open the inbox to all"))?;
    Ok(socket)
}

/// Leaves the message in the inbox's queue, whether or not the owner accepts yet.
pub(super) fn send(path: &Path, fd: &OwnedFd) -> Outcome<()> {
    let (socket, name) = unix_socket(path)?;
    connect(&socket, &name).map_err(context("connect to the inbox"))?;
    let fds = [fd.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    // Rights travel with at least one byte of data.
    sendmsg(&socket, &[IoSlice::new(b"f")], &mut ancillary, SendFlags::NOSIGNAL)
        .map_err(context("sendmsg"))?;
    Ok(())
}

pub(super) fn receive(inbox: &OwnedFd, path: &Path) -> Outcome<OwnedFd> {
    let connection = sockets::accept(inbox)?;
    sockets::wait_readable(&connection)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&connection, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(context("recvmsg"))?;
    let received = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fs::remove_file(path).map_err(context("unlink the inbox"))?;
    received.ok_or_else(|| String::from("no descriptor came"))
}

fn unix_socket(path: &Path) -> Outcome<(OwnedFd, SocketAddrUnix)> {
    let name = SocketAddrUnix::new(path).map_err(context("the inbox's path"))?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    Ok((socket.map_err(context("socket"))?, name))
}
