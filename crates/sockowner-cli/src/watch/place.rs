//! What stands for the network namespace that is watched (`--netns`): a name can become another's while it is watched.

use std::path::PathBuf;

use crate::args::General;

/// What a file is recognised by: device and inode number.
type Stamp = (u64, u64);

/// What became of the place since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Same,
    /// Nothing stands for the namespace any more; who has it open still sees it.
    Gone,
    /// The name stands for another one.
    Other,
}

/// A place on the command line, as it was when this was made. One without files stands for the program's own namespace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    shown: String,
    files: Vec<File>,
}

#[derive(Debug, PartialEq, Eq)]
struct File {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// It is a process's, whose number may become another's: that is nobody's wish to look elsewhere.
    is_of_process: bool,
}

impl Place {
    /// What `general` names. To be made before the namespace is opened: what changes in between is then seen.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(general: &General) -> Self {
        let Some(place) = general.netns.as_deref().and_then(std::ffi::OsStr::to_str) else {
            return Self::default();
        };
        let number = place.strip_prefix("pid:").unwrap_or(place);
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let named = || format!("/run/netns/{place}");
        let paths = match (place.contains('/'), is_number) {
            (true, _) => vec![place.to_owned()],
            (false, true) if number == place => vec![named(), format!("/proc/{number}/ns/net")],
            (false, true) => vec![format!("/proc/{number}/ns/net")],
            (false, false) => vec![named()],
        };
        let file = |path: String| {
            let is_of_process = path.starts_with("/proc/");
            let path = PathBuf::from(path);
            File { stamp: stamp(&path), path, is_of_process }
        };
        Self { shown: place.escape_debug().to_string(), files: paths.into_iter().map(file).collect() }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_: &General) -> Self {
        Self::default()
    }

    /// What became of it.
    pub(crate) fn fate(&self) -> Fate {
        let changed = self.files.iter().filter_map(|file| {
            let now = stamp(&file.path);
            match now {
                _ if now == file.stamp => None,
                Some(_) if !file.is_of_process => Some(Fate::Other),
                _ => Some(Fate::Gone),
            }
        });
        // A name goes before a process's number.
        changed.min_by_key(|fate| *fate != Fate::Other).unwrap_or(Fate::Same)
    }

    /// It stood for the network namespace with this inode number.
    pub(crate) fn stood_for(&self, netns: u64) -> bool {
        self.files.is_empty() || self.files.iter().any(|file| file.stamp.is_some_and(|(_, ino)| ino == netns))
    }

    /// Why what is watched is not what is called so.
    pub(crate) fn no_more(&self) -> String {
        format!("'{}' does not stand for this network namespace any more", self.shown)
    }

    /// What is watched has just begun to be another one.
    pub(crate) fn is_another(&self) -> String {
        format!("'{}' is another network namespace than before", self.shown)
    }
}

#[cfg(target_os = "linux")]
fn stamp(path: &std::path::Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(target_os = "linux"))]
fn stamp(_: &std::path::Path) -> Option<Stamp> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;
    use crate::args::SourceName;

    fn place(netns: Option<&str>) -> Place {
        let netns = netns.map(Into::into);
        Place::of(&General { source: SourceName::Auto, strict: false, json: false, netns })
    }

    #[test]
    fn a_name_may_go_and_become_anothers() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("blue"), dir.path().join("green"));
        fs::write(&path, "").unwrap();
        fs::write(&other, "").unwrap();
        let place = place(path.to_str());
        assert_eq!(place.fate(), Fate::Same);
        fs::remove_file(&path).unwrap();
        assert_eq!(place.fate(), Fate::Gone);
        fs::rename(&other, &path).unwrap();
        assert_eq!(place.fate(), Fate::Other);
    }

    #[test]
    fn it_stands_for_one_namespace() {
        use std::os::unix::fs::MetadataExt as _;
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        for own_place in [None, Some("/proc/self/ns/net"), Some(&*format!("pid:{}", std::process::id()))] {
            assert!(place(own_place).stood_for(own), "{own_place:?}");
        }
        assert!(!place(Some("/proc/self/ns/net")).stood_for(own + 1));
        assert!(!place(Some("/proc/self/ns/mnt")).stood_for(own));
    }

    #[test]
    fn a_process_that_has_gone_is_nobody_else() {
        let mut place = place(Some(&format!("pid:{}", std::process::id())));
        assert_eq!(place.fate(), Fate::Same);
        place.files[0].stamp = Some((0, 0));
        assert_eq!(place.fate(), Fate::Gone);
    }

    #[test]
    fn digits_may_be_a_name_and_a_process() {
        let paths = |netns| place(Some(netns)).files.into_iter().map(|file| file.path).collect::<Vec<_>>();
        assert_eq!(paths("42"), ["/run/netns/42", "/proc/42/ns/net"].map(PathBuf::from));
        assert_eq!(paths("pid:42"), ["/proc/42/ns/net"].map(PathBuf::from));
        assert_eq!(paths("blue"), ["/run/netns/blue"].map(PathBuf::from));
        assert_eq!(place(None).fate(), Fate::Same);
    }
}
