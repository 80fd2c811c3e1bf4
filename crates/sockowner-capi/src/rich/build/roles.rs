//! Who created, bound, listened on and accepted a socket, as it was recorded.

use std::ffi::c_char;
use std::fmt::Write as _;
use std::ptr::null;
use std::sync::Arc;

use sockowner::{ComponentFrame, Entry, RoleKind};

use super::super::layout::{Component, Frame, NO_OFFSET, Role, Roles};
use super::{Builder, nanoseconds};

impl Builder {
    pub(super) fn roles(&mut self, entry: &Entry) -> *const Roles {
        let reasons = RoleKind::ALL.map(|kind| entry.role_reason(kind));
        let is_known = entry.record.known().is_some();
        if let Some(&made) = self.nobody.get(&reasons).filter(|_| !is_known) {
            return made;
        }
        let [creator, binder, listener, acceptor] = RoleKind::ALL.map(|kind| match entry.record.role(kind) {
            Some(role) => self.role(role),
            None => null(),
        });
        let [creator_reason, binder_reason, listener_reason, acceptor_reason] =
            reasons.map(|reason| self.maybe_word(reason.map(sockowner::RoleReason::as_str)));
        let made = self.arena.keep(Roles {
            size: size_of::<Roles>(),
            creator,
            binder,
            listener,
            acceptor,
            creator_reason,
            binder_reason,
            listener_reason,
            acceptor_reason,
            reserved: [0; 4],
        });
        if !is_known {
            self.nobody.insert(reasons, made);
        }
        made
    }

    fn role(&mut self, role: &sockowner::Role) -> *const Role {
        let process = &*role.process;
        let made = Role {
            size: size_of::<Role>(),
            name: self.shared_name(Some(&process.name)),
            comm: self.shared_name(Some(&process.comm)),
            path: self.shared_name(process.path.as_ref().map(|path| path.as_os_str())),
            evidence: self.word(role.evidence.as_str()),
            service: self.service(role.service.as_ref()),
            container: self.container(role.container.as_ref()),
            component: role.component.as_ref().map_or(null(), |component| self.component(component)),
            start_ticks: process.start.ticks,
            start_time: process.start.time.map_or(0, nanoseconds),
            time: role.time.map_or(0, nanoseconds),
            exe_device: process.file.map_or(0, |file| file.device),
            exe_inode: process.file.map_or(0, |file| file.inode),
            cgroup_id: process.cgroup,
            pid: process.pid.unwrap_or(0),
            tid: role.tid.unwrap_or(0),
            uid: process.effective_uid,
            implicit: role.implicit.into(),
            deleted: process.deleted.into(),
            kernel_thread: process.kernel_thread.into(),
            reserved: [0; 4],
        };
        self.arena.keep(made)
    }

    fn component(&mut self, component: &Arc<sockowner::Component>) -> *const Component {
        if let Some(&made) = self.components.get(&Arc::as_ptr(component)) {
            return made;
        }
        let frames: Vec<_> = component.chain.iter().map(|frame| self.frame(frame)).collect();
        let made = Component {
            size: size_of::<Component>(),
            name: self.name(&component.name),
            path: component.path.as_ref().map_or(null(), |path| self.name(path.as_os_str())),
            build_id: self.build_id(component.build_id.as_deref()),
            offset: component.offset.unwrap_or(NO_OFFSET),
            evidence: self.word(component.evidence.as_str()),
            frame_count: frames.len(),
            frames: self.arena.list(frames),
            generated: component.generated.into(),
            reserved32: 0,
            reserved: [0; 4],
        };
        let made = self.arena.keep(made);
        self.components.insert(Arc::as_ptr(component), made);
        made
    }

    fn frame(&mut self, frame: &ComponentFrame) -> *const Frame {
        let made = Frame {
            size: size_of::<Frame>(),
            name: self.name(&frame.name),
            path: frame.path.as_ref().map_or(null(), |path| self.name(path.as_os_str())),
            build_id: self.build_id(frame.build_id.as_deref()),
            offset: frame.offset,
            reserved: [0; 2],
        };
        self.arena.keep(made)
    }

    /// In hexadecimal digits.
    fn build_id(&mut self, bytes: Option<&[u8]>) -> *const c_char {
        let Some(bytes) = bytes else { return null() };
        let mut digits = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing to a String does not fail.
            let _ = write!(digits, "{byte:02x}");
        }
        self.text(Some(&digits))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use sockowner::ComponentEvidence;

    use super::*;

    fn text(text: *const c_char) -> Option<String> {
        // SAFETY: NULL, or a text that the builder keeps.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_component_is_told_once_with_its_frames() {
        let mut told = sockowner::Component::new("libnio.so", ComponentEvidence::CallTarget);
        told.path = Some("/lib/libnio.so".into());
        told.build_id = Some(vec![0, 0xab]);
        told.offset = Some(16);
        told.generated = true;
        told.chain = vec![ComponentFrame::new("libc.so.6", 7), ComponentFrame::new("", 8)];
        let told = Arc::new(told);
        let mut builder = Builder::default();
        let made = builder.component(&told);
        assert_eq!(builder.component(&Arc::clone(&told)), made);
        // SAFETY: the builder keeps it.
        let made = unsafe { &*made };
        assert_eq!(text(made.name).as_deref(), Some("libnio.so"));
        assert_eq!(text(made.path).as_deref(), Some("/lib/libnio.so"));
        assert_eq!(text(made.build_id).as_deref(), Some("00ab"));
        assert_eq!(text(made.evidence).as_deref(), Some("call_target"));
        assert_eq!((made.size, made.offset, made.generated), (size_of::<Component>(), 16, 1));
        // SAFETY: the builder keeps as many, and what they point to.
        let frames = unsafe { std::slice::from_raw_parts(made.frames, made.frame_count) };
        // SAFETY: as above.
        let frames: Vec<_> = frames.iter().map(|frame| unsafe { &**frame }).collect();
        let told: Vec<_> = frames.iter().map(|frame| (text(frame.name).unwrap(), frame.offset)).collect();
        assert_eq!(told, [("libc.so.6".to_owned(), 7), (String::new(), 8)]);
        assert_eq!((text(frames[0].path), text(frames[0].build_id)), (None, None));
    }

    #[test]
    fn what_is_not_known_of_a_component_is_null() {
        let bare = Arc::new(sockowner::Component::new("x", ComponentEvidence::ExecutableOnly));
        let mut builder = Builder::default();
        // SAFETY: the builder keeps it.
        let made = unsafe { &*builder.component(&bare) };
        assert_eq!((text(made.path), text(made.build_id), made.offset), (None, None, NO_OFFSET));
        assert!(made.frames.is_null() && made.frame_count == 0);
    }
}
