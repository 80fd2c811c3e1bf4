//! In which order rows stand, and by what they are grouped.

/// What rows are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Listeners first, then what came last.
    #[default]
    Newest,
    Port,
    State,
    Process,
    Pid,
    User,
    Unit,
}

impl Sort {
    pub(crate) const ALL: [Self; 7] =
        [Self::Newest, Self::Port, Self::State, Self::Process, Self::Pid, Self::User, Self::Unit];

    /// Its key.
    pub(crate) const fn key(self) -> char {
        match self {
            Self::Newest => 'n',
            Self::Port => 'o',
            Self::State => 't',
            Self::Process => 'p',
            Self::Pid => 'i',
            Self::User => 'u',
            Self::Unit => 'c',
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Port => "port",
            Self::State => "state",
            Self::Process => "process",
            Self::Pid => "pid",
            Self::User => "user",
            Self::Unit => "unit",
        }
    }

    pub(crate) fn by_key(key: char) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.key() == key)
    }

    /// The one that `s` chooses next.
    pub(crate) fn next(self) -> Self {
        next(&Self::ALL, self)
    }
}

/// What rows stand together for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Group {
    #[default]
    None,
    Process,
    Unit,
    Container,
    /// Where those of several are watched.
    Namespace,
}

impl Group {
    const ALL: [Self; 5] = [Self::None, Self::Process, Self::Unit, Self::Container, Self::Namespace];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Process => "process",
            Self::Unit => "unit",
            Self::Container => "container",
            Self::Namespace => "network namespace",
        }
    }

    /// The one that `g` chooses next; namespaces where there are several.
    pub(crate) fn next(self, has_namespaces: bool) -> Self {
        match next(&Self::ALL, self) {
            Self::Namespace if !has_namespaces => Self::None,
            group => group,
        }
    }
}

fn next<T: Copy + PartialEq>(all: &[T], one: T) -> T {
    let at = all.iter().position(|&other| other == one).unwrap_or(0);
    all[(at + 1) % all.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_reached_by_one_key() {
        let mut sorts = vec![Sort::default()];
        while sorts.last() != Some(&Sort::Unit) {
            sorts.push(sorts[sorts.len() - 1].next());
        }
        assert_eq!(sorts, Sort::ALL);
        assert_eq!(Sort::Unit.next(), Sort::Newest);
        for (has_namespaces, count) in [(false, 4), (true, 5)] {
            let mut groups = vec![Group::None.next(has_namespaces)];
            while groups.last() != Some(&Group::None) {
                groups.push(groups[groups.len() - 1].next(has_namespaces));
            }
            assert_eq!(groups.len(), count);
            assert_eq!(groups.contains(&Group::Namespace), has_namespaces);
        }
    }
}
