//! All who asked the same: the answer is made once, and its bytes go to each of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use metrics::{Counter, counter, gauge};
use slab::Slab;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::revision::Revision;
use crate::live::payload::{Dress, Ending, Payload};
use crate::live::peer::{Delivered, Peer};
use crate::live::subscription::{NEW, Subscription};

/// Members that one task serves. A larger group has more of them, which the runtime spreads over the cores.
const ROOM: usize = 1_024;
/// Members served before others may have their turn on this core.
const TURN: usize = 64;

/// What makes two subscriptions the same: a hash of all that the answer depends on.
pub type Key = [u8; 32];

/// What a group is told, in order.
#[derive(Debug)]
pub enum News {
    /// The newest.
    Payload(Arc<Payload>),
    /// Something that must reach every member, in order.
    Event(Arc<Payload>),
    /// There will be nothing: the list of errors, as JSON.
    Errors(bytes::Bytes),
}

/// What somebody who joins has seen before.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    /// Nothing older than this is owed: the source has it already, and gives it to the group next.
    pub least: Option<Revision>,
    /// The number of the last step of an alert that was told; [`NEW`] when what there was is past.
    pub told: i64,
}

impl Default for Past {
    fn default() -> Self {
        Self { least: None, told: NEW }
    }
}

/// Where a group's payloads come from.
pub type Source = BoxStream<'static, News>;

/// There are as many groups as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} different operations are being watched, which is the limit (max_groups); watch one of them, or come back later"
)]
pub struct TooManyGroups(usize);

/// All groups.
#[derive(Debug, Clone)]
pub struct Groups {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    by_key: Mutex<HashMap<Key, Arc<Group>>>,
    most: usize,
    sent: Counter,
}

/// All who asked the same.
pub struct Group {
    key: Key,
    newest: watch::Sender<Newest>,
    members: Mutex<Members>,
    /// Cancelled with the last member: the source is let go.
    left: CancellationToken,
    groups: Weak<Shared>,
}

type Newest = (u64, Option<Arc<Payload>>);

#[derive(Default)]
struct Members {
    rooms: Vec<Arc<Room>>,
    count: usize,
    ending: Option<Arc<Ending>>,
}

#[derive(Default)]
struct Room {
    members: Mutex<Slab<Member>>,
}

#[derive(Clone)]
struct Member {
    peer: Arc<Peer>,
    subscription: Arc<Subscription>,
}

/// A place in a group. Dropping it gives it up; after that nothing more is sent.
#[derive(Debug)]
pub struct Place {
    subscription: Arc<Subscription>,
    peer: Weak<Peer>,
    room: Weak<Room>,
    index: usize,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group")
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}

impl Groups {
    /// At most so many at a time.
    pub fn new(most: usize) -> Self {
        let sent = counter!("pipewatch_payloads_sent_total");
        Self { shared: Arc::new(Shared { by_key: Mutex::default(), most, sent }) }
    }

    /// Joins the group of this key, or founds it on the source. The newest payload comes at once, if there is any yet.
    ///
    /// # Errors
    /// When it would be one group too many.
    pub fn join(
        &self,
        key: Key,
        source: impl FnOnce() -> Source,
        peer: &Arc<Peer>,
        dress: &'static Dress,
        id: &str,
    ) -> Result<Place, TooManyGroups> {
        self.join_at(key, source, peer, dress, id, Past::default())
    }

    /// The same for who has a past.
    ///
    /// # Errors
    /// When it would be one group too many.
    pub fn join_at(
        &self,
        key: Key,
        source: impl FnOnce() -> Source,
        peer: &Arc<Peer>,
        dress: &'static Dress,
        id: &str,
        past: Past,
    ) -> Result<Place, TooManyGroups> {
        let mut by_key = lock(&self.shared.by_key);
        let found = by_key.get(&key).and_then(|group| group.admit(peer, dress, id, past.told));
        let place = if let Some(place) = found {
            place
        } else {
            if by_key.len() >= self.shared.most && !by_key.contains_key(&key) {
                return Err(TooManyGroups(self.shared.most));
            }
            let group = Group::new(key, &self.shared);
            by_key.insert(key, Arc::clone(&group));
            gauge!("pipewatch_groups").set(count(by_key.len()));
            let place = group.admit(peer, dress, id, past.told).ok_or(TooManyGroups(self.shared.most))?;
            // Its founder is there for all that comes.
            tokio::spawn(group.relay(source()));
            place
        };
        drop(by_key);
        let (version, newest) = place.subscription.group.newest();
        if let Some(payload) = newest
            && payload.revision >= past.least
        {
            peer.deliver(&place.subscription, version, &payload, &mut Vec::new());
        }
        Ok(place)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.shared.by_key).len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Group {
    fn new(key: Key, shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            key,
            newest: watch::Sender::new((0, None)),
            members: Mutex::default(),
            left: CancellationToken::new(),
            groups: Arc::downgrade(shared),
        })
    }

    /// The newest payload and its number, 0 while there is none.
    pub(super) fn newest(&self) -> Newest {
        self.newest.borrow().clone()
    }

    /// Hands on what the source gives, until it ends or everybody has left.
    async fn relay(self: Arc<Self>, mut source: Source) {
        let mut ending = Ending::Complete;
        loop {
            match self.left.run_until_cancelled(source.next()).await {
                None => return,
                Some(Some(News::Payload(payload))) => {
                    self.newest.send_modify(|(version, newest)| {
                        *version += 1;
                        *newest = Some(payload);
                    });
                }
                Some(Some(News::Event(payload))) => self.tell(&payload),
                Some(Some(News::Errors(errors))) => {
                    ending = Ending::Errors(errors);
                    break;
                }
                Some(None) => break,
            }
        }
        self.end(ending).await;
    }

    /// Sends something to every member, whether or not it keeps up.
    fn tell(&self, payload: &Payload) {
        let rooms = lock(&self.members).rooms.clone();
        let mut scratch = Vec::new();
        for room in rooms {
            let members: Vec<Member> = lock(&room.members).iter().map(|(_, member)| member.clone()).collect();
            for member in members {
                member.peer.tell(&member.subscription, payload, &mut scratch);
            }
        }
    }

    async fn end(&self, ending: Ending) {
        let ending = Arc::new(ending);
        let rooms = {
            let mut members = lock(&self.members);
            members.ending = Some(Arc::clone(&ending));
            members.rooms.clone()
        };
        self.forget();
        for room in rooms {
            let members: Vec<Member> = lock(&room.members).iter().map(|(_, member)| member.clone()).collect();
            for turn in members.chunks(TURN) {
                for member in turn {
                    member.peer.end(&member.subscription, &ending);
                }
                tokio::task::yield_now().await;
            }
        }
        self.left.cancel();
    }

    /// A place in it; `None` when it has ended.
    fn admit(self: &Arc<Self>, peer: &Arc<Peer>, dress: &'static Dress, id: &str, told: i64) -> Option<Place> {
        let mut members = lock(&self.members);
        if members.ending.is_some() || self.left.is_cancelled() {
            return None;
        }
        members.count += 1;
        let full = |room: &&Arc<Room>| lock(&room.members).len() < ROOM;
        let found = members.rooms.iter().rev().find(full).cloned();
        let room = found.unwrap_or_else(|| {
            let room = Arc::<Room>::default();
            members.rooms.push(Arc::clone(&room));
            tokio::spawn(serve(Arc::downgrade(self), Arc::clone(&room), self.newest.subscribe(), self.left.clone()));
            room
        });
        let subscription = Arc::new(Subscription::new(Arc::clone(self), dress, id, told));
        peer.subscribe(&subscription);
        let member = Member { peer: Arc::clone(peer), subscription: Arc::clone(&subscription) };
        let index = lock(&room.members).insert(member);
        Some(Place { subscription, peer: Arc::downgrade(peer), room: Arc::downgrade(&room), index })
    }

    fn leave(&self) {
        let is_last = {
            let mut members = lock(&self.members);
            members.count -= 1;
            members.count == 0 && members.ending.is_none()
        };
        if is_last {
            self.close_if_empty();
        }
    }

    /// Ends with the last member, unless one has come in the meantime.
    fn close_if_empty(&self) {
        let Some(shared) = self.groups.upgrade() else { return self.left.cancel() };
        let mut by_key = lock(&shared.by_key);
        if lock(&self.members).count > 0 {
            return;
        }
        self.left.cancel();
        self.remove_from(&mut by_key);
    }

    fn forget(&self) {
        if let Some(shared) = self.groups.upgrade() {
            self.remove_from(&mut lock(&shared.by_key));
        }
    }

    fn remove_from(&self, by_key: &mut HashMap<Key, Arc<Self>>) {
        if by_key.get(&self.key).is_some_and(|group| std::ptr::eq(Arc::as_ptr(group), self)) {
            by_key.remove(&self.key);
            gauge!("pipewatch_groups").set(count(by_key.len()));
        }
    }
}

/// Serves the members of one room, each time there is something newer.
async fn serve(group: Weak<Group>, room: Arc<Room>, mut newest: watch::Receiver<Newest>, left: CancellationToken) {
    let mut scratch = Vec::new();
    let mut turn: Vec<Member> = Vec::with_capacity(TURN);
    while let Some(Ok(())) = left.run_until_cancelled(newest.changed()).await {
        let (version, payload) = newest.borrow_and_update().clone();
        let (Some(payload), Some(group)) = (payload, group.upgrade()) else { continue };
        let mut from = 0;
        let mut sent = 0;
        loop {
            // Who joins or leaves must not wait for a whole round.
            {
                let members = lock(&room.members);
                let last = from + TURN;
                turn.extend((from..last).filter_map(|index| members.get(index)).cloned());
                from = if last < members.capacity() { last } else { usize::MAX };
            }
            for member in turn.drain(..) {
                let delivered = member.peer.deliver(&member.subscription, version, &payload, &mut scratch);
                sent += u64::from(delivered == Delivered::Sent);
            }
            if from == usize::MAX {
                break;
            }
            tokio::task::yield_now().await;
        }
        if let Some(shared) = group.groups.upgrade() {
            shared.sent.increment(sent);
        }
    }
}

impl Place {
    /// Whether the group has ended, so that the id is free again.
    pub fn has_ended(&self) -> bool {
        self.subscription.has_ended()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.upgrade() {
            peer.unsubscribe(&self.subscription);
        }
        if let Some(room) = self.room.upgrade() {
            lock(&room.members).try_remove(self.index);
        }
        self.subscription.group.leave();
    }
}

// Std mutexes: held for look-ups only, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::cast_precision_loss, reason = "a count far below 2⁵³")]
fn count(number: usize) -> f64 {
    number as f64
}
