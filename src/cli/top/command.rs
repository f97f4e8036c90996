//! The loop: what comes from the gate and from the keyboard, and what is drawn of it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event as Input, EventStream};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, LocalBoxStream};
use futures_util::{FutureExt, Stream, StreamExt};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout_at};

use super::board::{Board, By};
use super::columns::{title, value};
use super::draw::{Drawn, Picture};
use super::press::Then;
use super::screen::Screen;
use super::view::{Column, View};
use crate::api::live::{Dropped, EVENT_DROPPED, EVENT_GATES, EVENT_SUMMARY, Gates, Summary};
use crate::cli::client::Client;
use crate::cli::command::Conversation;
use crate::cli::failure::Failure;
use crate::cli::live::{Event, Feed, Turn, Which};
use crate::cli::output::Output;
use crate::cli::render::{Cell, Table};

/// What to show, and how.
#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    which: Which,
    /// What rows are of
    #[arg(long, value_enum, default_value_t = By::Key)]
    by: By,
    /// The column that rows are ordered by
    #[arg(long, value_enum, default_value_t = Column::Requests)]
    sort: Column,
    /// Print the counts of a few seconds as a table, and end; so it is wherever this is no terminal
    #[arg(long)]
    once: bool,
}

impl Conversation for Top {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let mut query = self.which.query(client).await?;
        query.push(("summary", "1s".to_owned()));
        // Before the screen is taken: what is wrong with that is told like any failure.
        let turns = Feed::open(client, query).await?.turns();
        let mut watcher = Watcher {
            client,
            turns,
            board: Board::default(),
            view: View::new(self.by, self.sort),
            names: HashMap::new(),
            asked: HashSet::new(),
            lost: None,
            begun: Instant::now(),
        };
        if self.once || json || !output.is_seen() {
            return watcher.once(json, output).await;
        }
        watcher.screen(output.has_color()).await
    }
}

struct Watcher<'c> {
    client: &'c Client,
    turns: LocalBoxStream<'c, Turn>,
    board: Board,
    view: View,
    /// What keys and owners are called.
    names: HashMap<String, String>,
    /// Whose names were asked for.
    asked: HashSet<String>,
    lost: Option<String>,
    begun: Instant,
}

/// A name that was asked for: whose, and what it is, if there is one.
type Asked<'c> = BoxFuture<'c, (String, Option<String>)>;

impl<'c> Watcher<'c> {
    /// Shows it on the whole terminal until someone has seen enough.
    async fn screen(&mut self, has_color: bool) -> Result<(), Failure> {
        let mut ends = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
        ];
        let mut screen = Screen::take()?;
        let mut input = EventStream::new();
        let mut ticks = interval(DRAW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut names: FuturesUnordered<Asked<'c>> = FuturesUnordered::new();
        let mut drawn = Drawn::default();
        let mut frozen: Option<(Board, Duration)> = None;
        loop {
            let [terminate, hang_up, interrupt] = &mut ends;
            let step = tokio::select! {
                biased;
                _ = terminate.recv() => return Ok(()),
                _ = hang_up.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                step = next_step(&mut ticks, &mut input, &mut names, &mut self.turns) => step,
            };
            match step {
                Step::Draw => self.board.forget(self.now()),
                Step::Input(input) => {
                    let Some(input) = input else { return Ok(()) };
                    if self.take_input(&input?, drawn.page) == Then::Quit {
                        return Ok(());
                    }
                    if self.view.is_paused != frozen.is_some() {
                        let still = || (self.board.clone(), self.now());
                        frozen = self.view.is_paused.then(still);
                    }
                }
                // What comes is drawn by the clock.
                Step::Name(id, name) => {
                    self.names.extend(name.map(|name| (id, name)));
                    continue;
                }
                Step::Turn(turn) => {
                    self.take_turn(turn)?;
                    continue;
                }
            }
            let (board, now) = frozen
                .as_ref()
                .map_or((&self.board, self.now()), |(board, at)| (board, *at));
            let picture = Picture {
                board,
                view: &self.view,
                names: &self.names,
                url: self.client.address(),
                lost: self.lost.as_deref(),
                now,
                has_color,
            };
            screen.terminal.draw(|frame| drawn = picture.draw(frame))?;
            // Where it was scrolled beyond the end, the way back is not longer for that.
            self.view.above = drawn.above;
            self.ask_names(&drawn, &mut names);
        }
    }

    /// Prints it once.
    async fn once(&mut self, json: bool, output: &mut Output) -> Result<(), Failure> {
        let mut until = Instant::now() + FIRST_WITHIN;
        let mut is_begun = false;
        while let Ok(turn) = timeout_at(until, self.turns.next()).await {
            if let Some(Turn::Lost(failure)) = turn {
                return Err(failure);
            }
            self.take_turn(turn)?;
            if !is_begun && !self.board.is_empty() {
                is_begun = true;
                until = Instant::now() + ONCE_FOR;
            }
        }
        let lines = self.board.lines(self.view.by, self.now());
        let mut names = FuturesUnordered::new();
        let ids = self.view.arrange(lines.clone(), &self.names);
        let ids = ids.iter().filter_map(|line| match &line.id {
            super::board::Id::One(id) => Some(id.clone()),
            _ => None,
        });
        let drawn = Drawn {
            ids: ids.take(NAMES_ONCE).collect(),
            ..Drawn::default()
        };
        loop {
            self.ask_names(&drawn, &mut names);
            let Some((id, name)) = names.next().await else {
                break;
            };
            self.names.extend(name.map(|name| (id, name)));
        }
        let lines = self.view.arrange(lines, &self.names);
        if json {
            let rows = lines.iter().map(|line| line.as_json(&self.names));
            let total = self.board.total();
            return output.json(&serde_json::json!({
                "by": title(Column::Name, self.view.by).to_lowercase(),
                "gates": self.board.standing,
                "dropped": self.board.dropped(self.now()),
                "total": total.as_json(&self.names),
                "items": rows.collect::<Vec<_>>(),
            }));
        }
        let header = Column::ALL.map(|column| title(column, self.view.by));
        let mut table = Table::new(&header);
        for line in &lines {
            let cells = Column::ALL.map(|column| Cell::text(value(line, column, &self.names)));
            table.row(cells.into());
        }
        output.table(&table)?;
        for gate in &self.board.standing.missing {
            let gate = crate::cli::render::visible(gate);
            output.note(&format!(
                "{gate} does not answer: its requests are not counted"
            ))?;
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn take_input(&mut self, input: &Input, page: usize) -> Then {
        match input {
            Input::Key(key) => self.view.press(*key, page),
            Input::Paste(text) => {
                self.view.paste(text);
                Then::GoOn
            }
            // A size that changes is asked for when it is drawn.
            _ => Then::GoOn,
        }
    }

    fn take_turn(&mut self, turn: Option<Turn>) -> Result<(), Failure> {
        match turn {
            Some(Turn::Event(event)) => self.take_event(&event),
            Some(Turn::Lost(failure)) => {
                let text = failure.render();
                let text = text.strip_prefix("error: ").unwrap_or(&text);
                self.lost = text.lines().next().map(str::to_owned);
                Ok(())
            }
            Some(Turn::Back) => {
                self.lost = None;
                Ok(())
            }
            Some(Turn::Over(failure)) => Err(failure),
            None => Err(Failure::StreamEnded),
        }
    }

    /// Takes in what an event says; those of names unknown here are of a newer gate, and passed over.
    fn take_event(&mut self, event: &Event) -> Result<(), Failure> {
        let now = self.now();
        match event.name.as_str() {
            EVENT_SUMMARY => {
                let summary: Summary =
                    serde_json::from_str(&event.data).map_err(Failure::Unreadable)?;
                self.board.add(summary, now);
            }
            EVENT_GATES => {
                let gates: Gates =
                    serde_json::from_str(&event.data).map_err(Failure::Unreadable)?;
                self.board.standing = gates;
            }
            EVENT_DROPPED => {
                let dropped: Dropped =
                    serde_json::from_str(&event.data).map_err(Failure::Unreadable)?;
                self.board.drop_some(dropped.count, now);
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks what those that are to be seen are called, a few at a time and each once.
    fn ask_names(&mut self, drawn: &Drawn, asking: &mut FuturesUnordered<Asked<'c>>) {
        if self.asked.len() > NAMES_KEPT {
            self.asked.clear();
            self.names.clear();
        }
        for id in &drawn.ids {
            let kind = match self.view.by {
                By::Key => "keys",
                By::Owner => "users",
                By::Route => return,
            };
            if asking.len() >= NAMES_AT_ONCE {
                return;
            }
            if self.asked.insert(id.clone()) {
                asking.push(name_of(self.client, kind, id.clone()).boxed());
            }
        }
    }
}

/// What happens next on the screen.
enum Step {
    /// It is time to draw.
    Draw,
    /// Someone does something with the terminal; `None` when it is gone.
    Input(Option<std::io::Result<Input>>),
    /// What one is called.
    Name(String, Option<String>),
    /// What comes from the gate.
    Turn(Option<Turn>),
}

/// However much comes from the gate, the picture is drawn and the keyboard is heard. Nothing is lost if it is not
/// waited for to the end.
async fn next_step(
    ticks: &mut Interval,
    input: &mut (impl Stream<Item = std::io::Result<Input>> + Unpin),
    names: &mut FuturesUnordered<Asked<'_>>,
    turns: &mut LocalBoxStream<'_, Turn>,
) -> Step {
    tokio::select! {
        biased;
        _ = ticks.tick() => Step::Draw,
        input = input.next() => Step::Input(input),
        Some((id, name)) = names.next(), if !names.is_empty() => Step::Name(id, name),
        turn = turns.next() => Step::Turn(turn),
    }
}

async fn name_of(client: &Client, kind: &'static str, id: String) -> (String, Option<String>) {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let answer = client.get(&["admin", kind, &id], &[]).await;
    // Without its name it goes by its id.
    let named = answer.and_then(|answer| answer.read::<Named>());
    (id, named.ok().map(|named| named.name))
}

const DRAW_EVERY: Duration = Duration::from_millis(250);
/// How long the first counts may take: a gate begins to count when it is asked to.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
/// Of how long counts are printed once.
const ONCE_FOR: Duration = Duration::from_millis(3_200);
const NAMES_AT_ONCE: usize = 4;
const NAMES_KEPT: usize = 10_000;
/// How many names are asked for where the table is printed once.
const NAMES_ONCE: usize = 50;

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn what_always_comes_keeps_neither_the_picture_nor_the_keyboard_waiting() {
        let mut turns = stream::repeat_with(|| Turn::Back).boxed_local();
        let mut names = FuturesUnordered::new();
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut idle = stream::pending();
        let (mut drawn, mut told) = (0, 0);
        while drawn < 3 {
            match next_step(&mut ticks, &mut idle, &mut names, &mut turns).await {
                Step::Draw => drawn += 1,
                Step::Turn(Some(Turn::Back)) => told += 1,
                _ => panic!("nothing else happens"),
            }
            // As it is where more comes than can be taken in.
            tokio::task::yield_now().await;
        }
        assert!(told > 0);

        let mut busy = stream::repeat_with(|| Ok(Input::FocusGained));
        let mut seldom = interval(Duration::from_secs(3_600));
        seldom.tick().await;
        let step = next_step(&mut seldom, &mut busy, &mut names, &mut turns).await;
        assert!(matches!(step, Step::Input(Some(Ok(_)))));
    }
}
