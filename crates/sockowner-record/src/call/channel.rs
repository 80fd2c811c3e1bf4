//! Sockets that keep messages apart, and carry descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Timeout, set_socket_send_buffer_size, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// A message.
#[derive(Debug)]
pub(crate) struct Received {
    /// Its length.
    pub(crate) len: usize,
    /// The descriptor that came with it.
    pub(crate) descriptor: Option<OwnedFd>,
}

impl Channel {
    /// Both ends, of which neither is left to programs that are started.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// What this program was given as its standard input.
    pub(crate) fn of_stdin() -> io::Result<Self> {
        io::stdin().as_fd().try_clone_to_owned().map(Self)
    }

    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    pub(crate) fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// Makes room for messages of this length that are sent; as much as the kernel grants.
    pub(crate) fn make_room(&self, len: usize) -> io::Result<()> {
        Ok(set_socket_send_buffer_size(&self.0, len)?)
    }

    /// How long sending and receiving wait; then they fail with `WouldBlock`.
    pub(crate) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(patience))?;
        Ok(set_socket_timeout(&self.0, Timeout::Send, Some(patience))?)
    }

    /// Whether something can be received before so much time has gone by. The other end's being closed is something.
    pub(crate) fn is_ready(&self, patience: Duration) -> io::Result<bool> {
        let patience = Timespec::try_from(patience).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut fds, Some(&patience)) {
            // Then it was not so long; the next time it is.
            Err(rustix::io::Errno::INTR) => Ok(false),
            ready => Ok(ready? > 0),
        }
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.send_with(bytes, None)
    }

    /// Sends a message, with a descriptor if there is one.
    pub(crate) fn send_with(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = descriptor.as_slice();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives a message; `UnexpectedEof` where the other end is closed, `InvalidData` where it is longer than `buffer`.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                message => break message?,
            }
        };
        let mut descriptor = None;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                // All of them are taken, so that none stays open.
                for received in descriptors {
                    descriptor = Some(received);
                }
            }
        }
        if message.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Received { len: message.bytes, descriptor })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn messages_stay_apart_and_carry_a_descriptor() {
        let (one, other) = Channel::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        assert!(!other.is_ready(Duration::ZERO).unwrap());
        one.send(b"first").unwrap();
        one.send_with(b"second", Some(file.as_fd())).unwrap();
        assert!(other.is_ready(Duration::ZERO).unwrap());
        let mut buffer = [0; 16];
        let received = other.receive(&mut buffer).unwrap();
        assert_eq!((&buffer[..received.len], received.descriptor.is_none()), (&b"first"[..], true));
        let received = other.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..received.len], b"second");
        let mut content = String::new();
        File::from(received.descriptor.unwrap()).read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
    }

    #[test]
    fn what_is_too_long_or_does_not_come_is_an_error() {
        let (one, other) = Channel::pair().unwrap();
        let kind = |result: io::Result<Received>| result.unwrap_err().kind();
        one.send(b"longer than four").unwrap();
        assert_eq!(kind(other.receive(&mut [0; 4])), io::ErrorKind::InvalidData);
        other.set_patience(Duration::from_millis(1)).unwrap();
        assert_eq!(kind(other.receive(&mut [0; 4])), io::ErrorKind::WouldBlock);
        drop(one);
        // Other tests fork, and their children have it open for a moment.
        assert!(other.is_ready(Duration::from_secs(10)).unwrap());
        assert_eq!(kind(other.receive(&mut [0; 4])), io::ErrorKind::UnexpectedEof);
    }
}
