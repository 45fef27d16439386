//! Who is where. One green thread has all of it, and hears of everything in one order.

use greenlight::channel::{Receiver, Sender, TrySendError};
use greenlight::context::Context;
use greenlight::net::TcpStream;
use greenlight::select;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One text for all who get it.
pub type Line = Arc<str>;

pub enum Event {
    Came { id: u64, nick: String, outbox: Sender<Line>, door: TcpStream },
    Said { id: u64, line: String },
    Left { id: u64, why: String },
}

struct Member {
    nick: String,
    room: String,
    outbox: Sender<Line>,
    door: TcpStream,
}

#[derive(Default)]
pub struct Hub {
    members: BTreeMap<u64, Member>,
}

const FIRST_ROOM: &str = "lobby";

impl Hub {
    /// Serves until `stop` ends. Dropped then, it closes the outboxes.
    pub fn run(mut self, events: &Receiver<Event>, stop: &Context) {
        loop {
            select! {
                recv(events) -> event => match event {
                    Ok(event) => self.take(event),
                    Err(_) => return,
                },
                wait(stop.done()) -> _ => {
                    let everybody = self.members.keys().copied().collect::<Vec<_>>();
                    return self.tell(everybody, "* the server stops");
                }
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Came { id, nick, outbox, door } => {
                let nick = self.free_nick(&nick, id);
                let greeting = format!("* you are {nick}, in {FIRST_ROOM}");
                self.members.insert(id, Member { nick: nick.clone(), room: FIRST_ROOM.into(), outbox, door });
                self.tell([id], greeting);
                self.tell_others(id, format!("* {nick} came"));
            }
            Event::Said { id, line } => self.said(id, &line),
            Event::Left { id, why } => self.leave(id, &why),
        }
    }

    fn said(&mut self, id: u64, line: &str) {
        // It may have been dropped when this was on its way.
        let Some(Member { nick, room, .. }) = self.members.get(&id) else { return };
        let (command, rest) = line.split_once(' ').map_or((line, ""), |(command, rest)| (command, rest.trim()));
        match command {
            "" => {}
            "/quit" => self.leave(id, "left"),
            "/who" => {
                let names: BTreeSet<_> = self.room(room).map(|(_, member)| &*member.nick).collect();
                let who = format!("* in {room}: {}", names.into_iter().collect::<Vec<_>>().join(", "));
                self.tell([id], who);
            }
            "/rooms" => {
                let rooms: BTreeSet<_> = self.members.values().map(|member| &*member.room).collect();
                let rooms = format!("* rooms: {}", rooms.into_iter().collect::<Vec<_>>().join(", "));
                self.tell([id], rooms);
            }
            "/join" if is_name(rest) => {
                let (gone, came) = (format!("* {nick} went to {rest}"), format!("* {nick} came"));
                self.tell_others(id, gone);
                let Some(member) = self.members.get_mut(&id) else { return };
                rest.clone_into(&mut member.room);
                self.tell_others(id, came);
                self.tell([id], format!("* you are in {rest}"));
            }
            "/nick" if is_name(rest) => {
                let (before, now) = (nick.clone(), self.free_nick(rest, id));
                let Some(member) = self.members.get_mut(&id) else { return };
                member.nick.clone_from(&now);
                self.tell([id], format!("* you are {now}"));
                self.tell_others(id, format!("* {before} is now {now}"));
            }
            _ if command.starts_with('/') => {
                self.tell([id], "* /join ROOM, /nick NAME, /who, /rooms, /quit");
            }
            _ => {
                let everybody = self.room(room).map(|(id, _)| id).collect::<Vec<_>>();
                let line = format!("{nick}: {line}");
                self.tell(everybody, line);
            }
        }
    }

    fn leave(&mut self, id: u64, why: &str) {
        let line = self.members.get(&id).map(|member| format!("* {} {why}", member.nick));
        if let Some(line) = line {
            self.tell_others(id, line);
            // With the outbox goes the writer.
            self.members.remove(&id);
        }
    }

    fn room<'a>(&'a self, room: &'a str) -> impl Iterator<Item = (u64, &'a Member)> {
        self.members.iter().filter(move |(_, member)| member.room == room).map(|(id, member)| (*id, member))
    }

    fn tell_others(&mut self, id: u64, line: String) {
        let Some(member) = self.members.get(&id) else { return };
        let others = self.room(&member.room).map(|(other, _)| other).filter(|other| *other != id).collect::<Vec<_>>();
        self.tell(others, line);
    }

    /// Never waits: whoever has no room for the line is dropped, and those in the same room are told.
    fn tell(&mut self, ids: impl IntoIterator<Item = u64>, line: impl Into<Line>) {
        let line = line.into();
        for id in ids {
            let Some(member) = self.members.get(&id) else { continue };
            if let Err(TrySendError::Full(_)) = member.outbox.try_send(line.clone()) {
                // Its writer is stuck in the socket: so both are woken.
                member.door.close();
                self.leave(id, "was too slow, and is dropped");
            }
        }
    }

    /// `nick`, or what is most like it and neither taken nor no name.
    fn free_nick(&self, nick: &str, id: u64) -> String {
        let nick = if is_name(nick) { nick } else { "somebody" };
        let taken = |name: &str| self.members.iter().any(|(other, member)| *other != id && member.nick == name);
        let mut candidates = std::iter::once(nick.to_owned()).chain((2..).map(|number| format!("{nick}{number}")));
        candidates.find(|name| !taken(name)).expect("there are more numbers than members")
    }
}

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.chars().count())
        && !name.contains(|c: char| c.is_whitespace() || c == '/' || c == ':' || c == '*')
}
