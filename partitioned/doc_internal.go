// SPDX-License-Identifier: Apache-2.0

package partitioned

/*
This file is for whoever changes the engine. The package comment in doc.go is for its users.

# Files, from the top down. Calls run downwards.

	queue, map            the public types: NewUnstarted, Start, Flush; Map's methods
	push, route           what is known of a push before any lock: weights, hashes, parts
	admission             the one path of every push; shares                writes part.stream, part.freed
	stall                 keys that have stalled                            owns progress, trouble.stalledAt
	evict, discard, expire OverflowDropOldest, Discard, and Expired
	pause                 what is paused from outside                       owns pauses
	restore               what an earlier run has kept                      owns stream.excess
	ranking               with OverflowDropOldest, which streams hold most    owns stream.rank
	waitlist, waiters, fullstreams, serve   who waits for capacity, and who is admitted next   own waits, waiter, stream.blocked
	consumer, cut, settle a consumer's round: claim, cut, book, process, settle      owns call
	outcome, sort         the errors of single items; the order of a batch
	partition, accounts   a lock, its streams, its counters                 owns partition, accounts
	stream, flight        the state of one key's data, its transitions, its batches in flight    own stream
	memories              keys whose last call failed, or that keep to MinInterval   owns memories, stream.remembered
	limits                how many consumers may be at work; asks the Limiter    owns limits
	scheduler, heap       which stream a free consumer takes                owns node
	backlog, buffer, tombstones, marks   the data of one stream, and its age        own backlog, drain, buffer, marks
	withdraw              what a caller that gave up takes back
	inprocess             which calls would wait for themselves
	index, generation, table, memory    how a Map finds its entries, and the versions it remembers
	standing              the versions of a batch of which something comes again under another key     owns completion.stands
	gate, lock, completion              the units taken; a mutex that spins; who is told

# The path of a push

	push        Weigh, hash and Key of the items, under no lock. Where do they go: parts, sorted by partition.
	admitItem   A single item whose stream exists and has room, which is nearly every push: as admit does it, in one step. Where there
	            is one stream, what the gate says is the answer. Else it decides nothing: it has done nothing, and admit does all.
	            Map.write is the same for Put and PutNewer.
	admit       The locks of the partitions, in order. The streams: found, or opened if MaxKeys allows. Full ones: no.
	            The units, from the gate: one compare-and-swap. From here on it is accepted. Appended to active.
	            stream.moveOn: ready at a size or if somebody waits for the result, else timed.
	notYet      Without capacity: refused, or the oldest are evicted, or a wait list.
	consumer    scheduler.next. claim: the lock, swap. cut: no lock. book: the lock; the batch is in flight.
	            Process: no lock. settle: the lock; accounts, what comes back, the next state. Unlock. Units given back;
	            then those who wait for capacity are admitted; then the callers of the batch are told.

# Capacity

Shares. A stream that holds something takes a part if it then holds at most free / (1 + stuck) (Queue.bound). It is a bound on the
units that may be taken when the part comes, so the gate compares it in its one compare-and-swap, and it costs no second lock. Between
reading stuck and that swap stuck may change: then a share is off by one part, and the capacity is not. full is set by the first part
that is refused, and cleared by the first that is taken again; stuck is full without anything forwarded since.

Turns. A push with several parts holds nothing while it waits. It stands in the list of one full stream at a time, and passes it
(part.passed) when it is the first there and its share allows the part, or nothing but the whole is short. Then it goes on to the next full stream, at
last to the list of the whole. Example: w wants A and B, both full. It waits for A. A's turn: try finds B full, so w has passed A, and
joins B at the end. When it is the first of B, A's share is not asked again. It never goes back to a list that it has passed, so it waits
in each of its lists once (I9).

Who is served. Whoever gives units back calls serve, under the wait list's lock: first the whole, then the full streams in the order of
fullStreams, those that would hold least first, until one does not fit. A caller that wakes up has been accepted. It is woken when that
lock is free again (unlockWaits). waits.held is what a stream held when somebody looked last: a hint, so that streams that cannot be
served are not locked. It is looked at once more under the partition's lock, in admit. Each caller that is served costs the logarithm of the
number of full streams.

Bounded waiting. What waits is bounded by the capacity once more, and each list by the same shares (mayWait). Beyond that a push is
refused, as retryable.

Stalls. See Queue.stalled. There is no timer for a key: pushes look, and callers with several keys that wait look four times in a
StallTimeout (await). For those who wait all full streams are looked at, so that is done 16 times in a StallTimeout at most (serveStalled).
While everybody waits for the full key, one push in a StallTimeout ignores the shares (probe), to find out whether other keys work.

Failing keys. Streams whose last call failed stand in a list of their own in the scheduler, and get at most half of the consumers.
So that a key does not come back as a healthy one with each item, its stream is kept for a minute after a failed call (memories),
also when it holds nothing. At most MaxKeys are kept, and as many for their MinInterval, so that neither crowds out the other.

# Invariants

The numbers are those of the whole project.

	I1 Conservation  accepted = forwarded + returned + superseded + failed + evicted + expired + lost + stalled + queued + inFlight, in every
	                 snapshot. Only the methods of accounts change these counters, each in one step under the partition's
	                 lock. Stats holds the locks of all partitions at once.
	I2 Order         An ordered stream has at most one batch in flight: it is in the scheduler, or a consumer has it
	                 (cutting, busy), never both. Units are taken under the lock of the append, so the order of acceptance
	                 is the order in active. What comes back goes to the front of the drain.
	I3 Newest        Versions are compared in generation.overwrite and generation.first, under the partition's lock.
	I4 No foreign    Key, Split, Process, Observer and the Weigh of a Queue run under no lock. Merge, Supersede, Void and
	   code under a  Weigh of a Map run under the partition's: what is held must not move meanwhile. Entries keep their weight, so nothing else
	   lock          has to ask.
	I5 Bounded       The gate compares and swaps: units taken stay below Capacity plus one push, and what splits add to a
	                 batch in flight. Restore alone takes them unasked. Streams without data are forgotten. Goroutines: the consumers.
	I6 Batch bounds  cutRun. A stream is in timed with the deadline of its oldest item, which marks knows; claim looks once more
	                 whether it is due. nudge keeps the one timer set while a consumer is idle.
	I7 An end        Below, "Shutdown".
	I8 Isolation     process recovers. work sees to runtime.Goexit. A stuck stream holds one consumer.
	I9 Fairness      The common wait list is first come, first served. ready is a FIFO; a stream goes to its end after each
	                 batch, so a batch waits for at most one batch of each other key.
	I10 Proportion   Nothing under a lock grows with the number of keys, except for Stats, Update, Flush and Shutdown, and for a
	                 consumer that is idle while the whole is full (urgeHeaviest). With OverflowDropOldest that grows with the
	                 number of partitions only, as an eviction does, which takes all their locks.

# Lock order

	Queue.life
	waitList.mu
	  partition.mu, several in the order of their numbers
	    scheduler.mu           a leaf, as are all below. limits.mu comes before it, and after none
	    progress.mu            under it only keys
	    keys
	    memories.mu
	    deliveries.mu
	    completion.mu

A goroutine waits for nothing while it holds one of them: the channels served, done, empty are awaited without any lock.

# Who owns a field

	partition.pauses           partition.mu; written by pause.go
	stream.*                   partition.mu; written by methods in stream.go and flight.go, but those below
	  .stalled, .trouble       partition.mu; stalledAt and suspectedAt are written by stall.go
	  .remembered              partition.mu; written by memories.go
	  .rank                    partition.mu; written by ranking.go. reserve and setState call it, and alone write reserved and state
	  .backlog                 partition.mu; but while state is cutting, backlog.drain is that consumer's alone
	  .excess                  partition.mu; written by restore.go
	  .blocked                 partition.mu; written by waitlist.go, which also holds waitList.mu
	  .waits                   waitList.mu
	  .node                    scheduler.mu
	  .reminder                memories.mu
	partition.mu.*             partition.mu; the accounts by their methods
	turns.of                   atomic; changed under the lock of the partition that it names. turns.run goes with it
	gate.word                  atomic
	common.stuck, .excess, keys.n   atomic; changed under a partition's lock, keys.n with MaxKeys under that of keys too
	Queue.inFlight             atomic; changed by book and settle, as the accounts are under the partition's lock. For Len only
	waitList.mu.*              waitList.mu
	progress, memories, limits each its own lock
	call.*                     its consumer. Shutdown reads waiting and flushes under partition.mu while the call is one of the
	                           stream's flights. They change only before book and after arrive, both under that lock.
	completion.stands          immutable, once its entries are in a drain. A standing: partition.mu, but for divided, in a cut
	completion.mu.*            completion.mu. behind only grows, so what recipients returned stays valid
	tuned                      atomic pointer to immutable values
	waiter.*                   waitList.mu; once served has a value, the caller's

# Races, step by step

Capacity comes back while a caller goes to wait. The caller: (1) sets the flag in the gate's word, (2) tries once more.
Whoever settles: (a) gives units back by an atomic add to the same word, (b) looks at the flag that the add returned, and
serves if it is set. If (a) comes before (2), the caller finds the units. Else (a) comes after (1), and (b) sees the flag.

A stream becomes due while a consumer takes it. moveOn, under the partition's lock, sets state to ready and asks the scheduler
to move the stream from timed to ready. If a consumer has just taken it out (heapIndex -1), makeReady does nothing: that
consumer does not have the partition's lock yet, so claim will see all that made the stream due. tidy is the same the other way
round: if takeOut fails, a consumer will come, and finds nothing but tombstones.

A stream is forgotten while somebody has a pointer to it. forget asks for state idle, no flight, not blocked. A consumer that
has the stream keeps it out of idle until settle's unlock. After that the pointer is used for one thing, to look at its wait
list, which may by then be another key's list: then a look too many.

A caller gives up while its entry is cut. The cut has no partition's lock, so both decide under the completion's: claim takes the
entry for the batch, withdraw takes all that is not claimed. withdraw also holds the partition's lock, under which it books what it
took; so whoever holds that lock sees either both or neither, and a stream is not forgotten in between. cutInto claims an entry
before it calls Split, and gives the tail back after it (unclaim). If the others were withdrawn meanwhile, the tail follows when the
batch is booked (cutResult.late).

A completion is used again (completions). Its caller (1) receives from done, (2) puts it back. The consumer that settles its last entry
(a) sends to done, and then touches it no more; one that settled another entry before may still be in Unlock, where it reads nothing but
the state of the mutex. A caller that gives up does neither (1) nor (2): (a) may come at any time, and what was sent would be another caller's result.

An entry is cut while others evict. The drain belongs to the consumer in state cutting, and evict looks at filled and active
only. In all other states evict has the lock, and the drain.

An entry of a Map is replaced while its old value is in a batch. A swap ends an active: position never finds what was swapped
out, so a write to its key begins a new entry. Its version is in memory as pending from first to settled, and from then on, if it
was delivered, as that. So a version is known at all times between two flushes.

Shutdown. (1) The gate is closed: enter refuses. (2) A push that entered before holds its partition's lock until its items are
appended. (3) The scheduler is closed under its lock: every stream is made ready, now and later, except for what is requeued, which
is parked for a quarter of the time left (pause). closing was set before, and endPauses takes each lock once: a Pause that comes first is
ended, and one that comes later does nothing. (4) empty closes when the word says closed and no units: all that was ever
accepted is settled. At nine tenths of the time instead: (5) the scheduler is stopped: next gives out nothing more. (6) The contexts
are cancelled. A consumer between book and Process does not call it, but requeues its batch. (7) When all consumers have ended, and
at the deadline at the latest, drop takes each partition's lock, counts what is pending as lost and sets dead. Whoever holds a
stream finds dead when it takes the lock: claim and book give up, settle changes nothing.

# Tried and rejected

	a channel per key          a goroutine and a timer per key; memory for ever
	a ring buffer              one fixed size for keys of very different load, or copying under the lock
	a mutex for the gate       47 ns instead of 38 for the two locks of a push, on two cores (BenchmarkGate)
	an add that is taken back  others see a full queue that is not (keyCount, gate)
	sync.Mutex for partitions  with 64 producers five sixths of a push is sleeping and waking (BenchmarkLock)
	a partition for each push  without keys: three times as long from 64 producers as with one partition (turns)
	runs by what is held       of a partition on its own: the one that is stuck gets the longest runs (turns)
	another partition where the lock is taken, without a key
	                           the one that has the turn by then, or any that is free: 0.91 to 1.14 times as long, from 8 and 64 producers. Its
	                           lines move between cores too, and those of the gate all the more (turns)
	no short runs without a key after a full batch
	                           no quicker, and one partition gets all of what little comes next (turns)
	longer first pauses of a lock
	                           up to 8 times as long: as quick in a million pushes, 8 percent quicker in 200 000, and whoever meets a lock that
	                           is taken for once waits longer
	serve whoever fits         each settle costs as much as there are full streams; the first that does not fit ends it (fullStreams)
	a timer per stream         a stream that always reaches its size pays two timer operations a batch
	Weigh on eviction and cut  foreign code under the lock, and wrong accounts if the weight changes meanwhile
	claim, cut and book of a few entries under one lock
	                           no quicker for a caller that is alone, with 16 entries and with 64: it pays for switches of goroutines (a
	                           third), the clock, and code; the two calls of a free lock that it saves are 10 ns of 800 (BenchmarkPushWait)
	a caller that is a consumer, and calls Process for its own item
	                           it has to return when its ctx is done, so only one without an end could; and a runtime.Goexit in
	                           Process would end the caller
	keys of any type           a third type parameter, below
	parts that own their items escape analysis moves the slice of every push to the heap (see admit)

Keys of any comparable type. The key of a Queue is a string. Any other needs a type parameter on all that has a key: Queue, QueueConfig,
Config, Batch, Verdict, Observer, BatchInfo and what is below them. Every user pays for it, whether with a Key or not, and Go does not
infer a parameter that no argument has:

	partitioned.New(insert, partitioned.Config[Row]{Size: 100})                      // today
	partitioned.New(insert, partitioned.Config[Row, struct{}]{Size: 100})            // a key that nobody has
	func(ctx context.Context, b partitioned.Batch[Row, TenantID]) partitioned.Verdict[Row]

Who has another key makes a string of it where the items are known. That costs an allocation for each push at most, and none if the
item already has the string:

	Key: func(r Row) string { return r.Tenant.String() }             // or strconv.FormatInt(r.ID, 36)
	Key: func(r Row) string { return r.Region + "\x00" + r.Shard }   // two fields, of which none has a zero byte

A key as an any would box on every push, and an observer of metrics and a log line want a string in the end. A Map has keys of any
comparable type, because there the key is the data.
*/
