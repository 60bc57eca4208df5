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
use crate::push::connection::{Delivered, Peer};
use crate::push::limits::Account;
use crate::push::message::{Dress, Ending, Payload};
use crate::push::quota::{Limits, Slots};
use crate::push::subscription::{NEW, Subscription};

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
pub enum TooManyGroups {
    /// In all.
    #[error("the server has {0} different subscriptions, which is the limit (max_groups); try again later")]
    All(usize),
    /// From one address.
    #[error(
        "this address has {0} different subscriptions, which is the limit (a tenth of max_groups); end one, or try again later"
    )]
    Address(usize),
    /// On one connection.
    #[error("this connection has {0} subscriptions, which is the limit (max_subscriptions); end one, or open another")]
    Connection(usize),
}

/// All groups.
#[derive(Debug, Clone)]
pub struct Groups {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    limits: Limits,
    sent: Counter,
}

#[derive(Debug, Default)]
struct Table {
    by_key: HashMap<Key, Arc<Group>>,
    /// How many of them count against the limit.
    counted: usize,
    slots: Slots,
}

impl Table {
    fn insert(&mut self, group: &Arc<Group>) {
        self.counted += usize::from(group.is_counted);
        if let Some(ended) = self.by_key.insert(group.key, Arc::clone(group)) {
            self.counted -= usize::from(ended.is_counted);
        }
        gauge!("pipewatch_groups").set(count(self.by_key.len()));
    }

    fn remove(&mut self, group: &Group) {
        if self.by_key.get(&group.key).is_some_and(|found| std::ptr::eq(Arc::as_ptr(found), group)) {
            self.by_key.remove(&group.key);
            self.counted -= usize::from(group.is_counted);
            gauge!("pipewatch_groups").set(count(self.by_key.len()));
        }
    }
}

/// A membership that counts on an account. Dropping it gives it back.
#[derive(Debug)]
struct Slot {
    key: Key,
    account: Account,
    shared: Arc<Shared>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.shared.table).slots.give_back(self.key, &self.account);
    }
}

/// All who asked the same.
pub struct Group {
    key: Key,
    /// Whether it counts against the limits: the groups of the plain status do not.
    is_counted: bool,
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
    /// Boxed: most members are on no account that is limited.
    slot: Option<Box<Slot>>,
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
    /// At most `most` at a time, a tenth of them for one address, and `per_connection` memberships of one connection.
    pub fn new(most: usize, per_connection: usize) -> Self {
        let sent = counter!("pipewatch_payloads_sent_total");
        let limits = Limits { all: most, per_address: (most / 10).max(1), per_connection };
        Self { shared: Arc::new(Shared { table: Mutex::default(), limits, sent }) }
    }

    /// Joins the group of this key, or founds it on the source. The newest payload comes at once, if there is any yet that
    /// is of the least revision or a later one.
    ///
    /// # Errors
    /// When it would be one group too many.
    pub fn join(
        &self,
        key: Key,
        source: impl FnOnce() -> Source,
        peer: &Arc<Peer>,
        (dress, id): (&'static Dress, &str),
        least: Option<Revision>,
    ) -> Result<Place, TooManyGroups> {
        let (shared, account) = (&self.shared, peer.account());
        let mut table = lock(&shared.table);
        table.slots.check(&key, &account, shared.limits)?;
        if table.counted >= shared.limits.all && !table.by_key.contains_key(&key) {
            return Err(TooManyGroups::All(shared.limits.all));
        }
        let mut place = shared.enter(&mut table, key, true, source, peer, (dress, id, NEW));
        if account.address.is_some() || account.connection.is_some() {
            table.slots.take(key, &account);
            place.slot = Some(Box::new(Slot { key, account, shared: Arc::clone(shared) }));
        }
        drop(table);
        deliver_newest(&place, peer, least);
        Ok(place)
    }

    /// The same for the plain status, which there is always room for, and for who has a past.
    pub fn join_plain(
        &self,
        key: Key,
        source: impl FnOnce() -> Source,
        peer: &Arc<Peer>,
        dress: &'static Dress,
        past: Past,
    ) -> Place {
        let place = self.shared.enter(&mut lock(&self.shared.table), key, false, source, peer, (dress, "", past.told));
        deliver_newest(&place, peer, past.least);
        place
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.shared.table).by_key.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn deliver_newest(place: &Place, peer: &Arc<Peer>, least: Option<Revision>) {
    let (version, newest) = place.subscription.group.newest();
    if let Some(payload) = newest
        && payload.revision >= least
    {
        peer.deliver(&place.subscription, version, &payload, &mut Vec::new());
    }
}

impl Shared {
    /// A place in the group of this key, which is founded on the source where there is none.
    fn enter(
        self: &Arc<Self>,
        table: &mut Table,
        key: Key,
        is_counted: bool,
        source: impl FnOnce() -> Source,
        peer: &Arc<Peer>,
        (dress, id, told): (&'static Dress, &str, i64),
    ) -> Place {
        if let Some(place) = table.by_key.get(&key).and_then(|group| group.admit(peer, dress, id, told)) {
            return place;
        }
        let group = Group::new(key, is_counted, self);
        table.insert(&group);
        let place = group.admit(peer, dress, id, told).expect("a group that was just made has not ended");
        // Its founder is there for all that comes.
        tokio::spawn(group.relay(source()));
        place
    }
}

impl Group {
    fn new(key: Key, is_counted: bool, shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            key,
            is_counted,
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
        Some(Place { subscription, peer: Arc::downgrade(peer), room: Arc::downgrade(&room), index, slot: None })
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
        let mut table = lock(&shared.table);
        if lock(&self.members).count > 0 {
            return;
        }
        self.left.cancel();
        table.remove(self);
    }

    fn forget(&self) {
        if let Some(shared) = self.groups.upgrade() {
            lock(&shared.table).remove(self);
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
        drop(self.slot.take());
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
