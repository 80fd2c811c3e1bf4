//! `sockowner watch`: a live view of the list. And one view of it as text, for scripts.

mod keys;
mod model;
mod order;
mod place;
mod row;
mod source;
mod terminal;
mod ui;
mod view;

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use sockowner::{Entry, Query};

use self::model::{Item as _, Model};
use self::place::Place;
use self::source::{Again, Ask, Asked as _, Details, News, Plan, Refresher, Shared, lock};
use self::terminal::{Guard, Real};
use self::ui::{Kind, Kinds, Page as Text, Ui, Wish, is_living};
use crate::args::{General, List, Watch};
use crate::explain::Page;
use crate::text::tamed;
use crate::{Status, json, list};

/// How long a mark stays at least.
const HOLD: Duration = Duration::from_secs(3);
/// How often keys and news are looked for; while an answer is awaited, more often.
const PATIENCE: Duration = Duration::from_millis(100);
const IMPATIENCE: Duration = Duration::from_millis(10);

const DRAWING: &str = "draw on the terminal";

/// Watches what the command line asks for.
pub(crate) fn run(asked: &Watch, general: &General) -> anyhow::Result<Status> {
    if asked.once {
        return list::run(&asked.list, general);
    }
    if let Some(option) = of_form(&asked.list, general) {
        bail!("{option} is about how a list is printed: with 'watch' it needs --once");
    }
    if let Some(why) = terminal::refusal() {
        bail!(why);
    }
    let plan = Plan {
        general: general.clone(),
        filter: asked.list.filter(),
        is_plain: is_plain(&asked.list),
        is_everywhere: asked.list.is_of_all_namespaces(),
        interval: asked.interval,
    };
    #[cfg(target_os = "linux")]
    let ending = crate::call::Ending::awaited_at_terminal().context("wait for signals")?;
    // Where nothing can be asked, that is said on an ordinary screen.
    let place = Place::of(&plan.general);
    let query = Query::open(&plan.general, false)?;
    let shared: Shared = Arc::new(Mutex::new(Model::new(HOLD.max(2 * plan.interval))));
    let (ask, asks) = sync_channel(16);
    let (tell, news) = sync_channel(16);
    terminal::give_back_on_panic();
    #[cfg(target_os = "linux")]
    terminal::end_with_it().context("start a thread")?;
    let guard = Guard::new(Real).context("take the terminal")?;
    let refresher = Refresher::new(plan, Arc::clone(&shared), place, query);
    std::thread::Builder::new()
        .name("refresh".into())
        .spawn(move || refresher.run(&asks, &tell))
        .context("start a thread")?;
    let kinds = Kinds { has_namespaces: asked.list.is_of_all_namespaces(), has_mptcp: false };
    let ui = Ui { kinds, ..Ui::default() };
    let mut live = Live { ui, shared, ask, colours: terminal::has_colours(), awaits: true };
    let ended = live.run(&news, || {
        #[cfg(target_os = "linux")]
        return ending.come();
        #[cfg(not(target_os = "linux"))]
        Ok(None)
    });
    drop(guard);
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "no signal ends it there"))]
    if let Some(signal) = ended? {
        #[cfg(target_os = "linux")]
        crate::call::end_by(signal);
    }
    Ok(Status::Found)
}

/// An option about how a list is printed.
fn of_form(list: &List, general: &General) -> Option<&'static str> {
    let given = [
        (general.json, "--json"),
        (list.jsonl, "--jsonl"),
        (list.csv, "--csv"),
        (!list.columns.is_empty(), "-o"),
        (!list.sort.is_empty(), "--sort"),
        (list.no_header, "--no-header"),
    ];
    given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
}

/// What is asked for can be told from sockets, but for their owners, and one that stays is told from a later one of its name:
/// under Wine nothing tells that.
fn is_plain(list: &List) -> bool {
    let List { pid, user, unit, container, exe, .. } = list;
    !cfg!(windows)
        && !list.is_of_all_namespaces()
        && !list.no_owners
        && pid.is_empty()
        && user.is_empty()
        && unit.is_empty()
        && container.is_empty()
        && exe.is_empty()
}

/// The view while it lives.
struct Live {
    ui: Ui,
    shared: Shared,
    ask: SyncSender<Ask>,
    colours: bool,
    /// An answer is to come.
    awaits: bool,
}

impl Live {
    /// Until it is left, or a signal ends it: that one's number.
    fn run(
        &mut self,
        news: &Receiver<News>,
        signal: impl Fn() -> io::Result<Option<i32>>,
    ) -> anyhow::Result<Option<i32>> {
        let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout())).context(DRAWING)?;
        let mut is_new = true;
        loop {
            match signal().context("wait for signals")? {
                None => {}
                #[cfg(target_os = "linux")]
                Some(crate::call::STOP) => {
                    suspend(&mut terminal)?;
                    is_new = true;
                }
                signal => return Ok(signal),
            }
            if is_new {
                self.look_again();
                let (ui, model, colours) = (&mut self.ui, lock(&self.shared), self.colours);
                terminal.draw(|frame| view::draw(frame, ui, &model, colours)).context(DRAWING)?;
            }
            is_new = false;
            let patience = if self.awaits { IMPATIENCE } else { PATIENCE };
            // Without a terminal crossterm would read for ever: `end_with_it` is for one that goes after this.
            #[cfg(target_os = "linux")]
            let patience = {
                if crate::call::terminal_goes_within(patience).context("wait for keys")? {
                    return Ok(Some(crate::call::HANGUP));
                }
                Duration::ZERO
            };
            let mut patience = patience;
            while event::poll(std::mem::take(&mut patience)).context("wait for keys")? {
                is_new = true;
                match self.take(&event::read().context("read a key")?)? {
                    Wish::Quit => return Ok(None),
                    Wish::Redraw => terminal.clear().context(DRAWING)?,
                    #[cfg(target_os = "linux")]
                    Wish::Suspend => suspend(&mut terminal)?,
                    _ => {}
                }
            }
            loop {
                match news.try_recv() {
                    Ok(told) => self.hear(told)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => bail!("the thread that refreshes has ended"),
                }
                is_new = true;
            }
        }
    }

    /// A key, or anything else the terminal tells.
    fn take(&mut self, event: &Event) -> anyhow::Result<Wish> {
        let Event::Key(key) = event else { return Ok(Wish::Nothing) };
        if key.kind == KeyEventKind::Release {
            return Ok(Wish::Nothing);
        }
        let Some(action) = keys::action(self.ui.mode, *key) else { return Ok(Wish::Nothing) };
        let wish = self.ui.act(action, &lock(&self.shared));
        let ask = match &wish {
            Wish::Refresh => Ask::Refresh,
            Wish::Freeze(is_frozen) => Ask::Freeze(*is_frozen),
            Wish::Details(entry) => {
                self.ui.message = Some("looking at it ...".into());
                Ask::Details(Arc::clone(entry), Again::No)
            }
            Wish::Copy(entry) => {
                self.copy(entry)?;
                return Ok(wish);
            }
            Wish::Nothing | Wish::Quit | Wish::Redraw | Wish::Suspend => return Ok(wish),
        };
        // Who has more wishes than can be met presses again; a freeze alone must not be lost.
        if self.ask.try_send(ask).is_err()
            && let Wish::Freeze(is_frozen) = wish
        {
            self.ui.is_frozen = !is_frozen;
        }
        self.awaits = !matches!(wish, Wish::Freeze(_));
        Ok(wish)
    }

    fn copy(&mut self, entry: &Arc<Entry>) -> anyhow::Result<()> {
        let text = json::endpoint(entry)?;
        terminal::copy(&text).context("write to the terminal")?;
        // A name may hold what moves the cursor.
        let lines = tamed(&text).lines().map(str::to_owned).collect();
        let title = "as JSON; copied, where the terminal lets programs do that (OSC 52)".into();
        self.ui.read(Text {
            title,
            lines,
            kind: Kind::Copied,
            about: Some(Arc::clone(entry)),
            ..Text::default()
        });
        Ok(())
    }

    /// Has what is read about looked at again, once it is not in the list any more: it may be closed.
    fn look_again(&mut self) {
        let lost = self.ui.has_lost(&lock(&self.shared));
        if let Some(entry) = lost {
            // What cannot be asked now is asked at the next drawing.
            self.ui.page.is_listed = self.ask.try_send(Ask::Details(entry, Again::Yes)).is_err();
            self.awaits = true;
        }
    }

    fn hear(&mut self, news: News) -> anyhow::Result<()> {
        self.awaits = false;
        match news {
            News::Refreshed { missing, owners_age } => {
                self.ui.failure = None;
                self.ui.missing = missing;
                self.ui.owners_age = owners_age.map(|age| age.as_secs());
            }
            News::Failed(why) => self.ui.failure = Some(why),
            News::Details(details) => {
                self.ui.message = None;
                let is_there = self.ui.explains(&details.entry);
                // Who has left it does not want it again.
                if details.again == Again::No || is_there {
                    let is_listed = details.doubt.is_none()
                        && is_living(lock(&self.shared).mark_of(&details.entry.key()));
                    let (title, lines) = explained(&details, self.ui.wide)?;
                    let top = if is_there { self.ui.page.top } else { 0 };
                    let about = Some(details.entry);
                    self.ui.read(Text { title, lines, top, kind: Kind::Explained, about, is_listed });
                }
            }
        }
        Ok(())
    }
}

/// Gives the terminal back and stops, and has it all to draw when this process goes on.
#[cfg(target_os = "linux")]
fn suspend(terminal: &mut Terminal<CrosstermBackend<io::Stdout>>) -> anyhow::Result<()> {
    terminal::suspend().context("take the terminal")?;
    terminal.clear().context(DRAWING)
}

/// All of an endpoint, as `who` has it.
fn explained(details: &Details, wide: usize) -> anyhow::Result<(String, Vec<String>)> {
    let asked = details.entry.socket.endpoint.local.to_string();
    let mut text = Vec::new();
    // What is not divided here is where it is drawn.
    Page::new(&asked, details.hidden, Some(wide)).write(&mut text, &details.entry)?;
    let plain = anstream::adapter::strip_bytes(&text).into_vec();
    let lines = String::from_utf8_lossy(&plain).lines().map(tamed).collect();
    let title = match (&details.doubt, details.again) {
        (Some(doubt), _) => tamed(doubt),
        (None, Again::No) => "all that is known of it".to_owned(),
        (None, Again::Yes) => "not in the list any more, but not closed: all that is known of it".to_owned(),
    };
    Ok((title, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_sockets_tell_is_looked_at_without_their_owners() {
        let is_plain = |change: fn(&mut List)| {
            let mut list = List::default();
            change(&mut list);
            is_plain(&list)
        };
        assert_eq!(is_plain(|list| list.tcp = true), !cfg!(windows));
        assert!(!is_plain(|list| list.pid = vec![1]));
        // Else owners would be looked for later on.
        assert!(!is_plain(|list| list.no_owners = true));
    }
}
