/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack hash: many writers count stacks, one reader collects them window by window.
 *
 * Fixed size, lock-free, two generations in one region of memory that the caller provides: writers
 * add to the current generation while the reader empties the other. A writer never blocks, never
 * allocates and never retries: adding is one entry, at most PROWL_STACKHASH_PROBES looks at slots
 * for each of at most PROWL_STACKHASH_BATCH keys, and one exit. What finds no room is counted as
 * dropped, with its weight, never lost silently.
 *
 * Freestanding: the compiler's headers only, no libc call, no global. prowl_stackhash_add() may be
 * called from any number of threads, processes and signal handlers at once, also from a handler
 * that interrupted another add or the reader. All other functions that take a handle belong to the
 * one reader (who is at one time one thread of one process), except where said.
 *
 * The region holds no pointers; each process maps it where it likes and has its own handle, which
 * also keeps its own copy of the geometry: whatever another process writes into the region, the
 * reader's accesses stay inside of it (`damaged` counts what didn't make sense).
 *
 *
 * The region, and who writes what
 *
 *	header      magic, geometry: written by init, checked by attach
 *	state       bit 63: the current generation; bits 0-62: how many writers have entered it
 *	            since it became current. Writers: fetch_add(1), acquire. Reader: exchange,
 *	            acq_rel. Nobody stores.
 *	per generation:
 *	left        how many of those have left. Writers: fetch_add(1), release, after their last
 *	            access. Reader: load, acquire; 0 before it becomes current.
 *	entered     what `state` said when it ceased to be current. Reader only.
 *	phase, abandoned
 *	            what the reader has done with it since. Reader only.
 *	top         end of the used part of the arena. Writers: see below.
 *	used, dropped_count, dropped_weight, clashes
 *	            Writers: fetch_add, relaxed (`left` orders them for the reader).
 *	touched     one bit per bucket. Writers: fetch_or, relaxed, before the bucket's first slot
 *	            is taken. Makes iterating and clearing cost what is used, in time and in pages.
 *	bucket      8 slots: one cache line
 *	arena       an entry for each key: its count and its weight (fetch_add, relaxed), its length
 *	            and its words. The latter two are plain memory: written by the one writer who
 *	            reserved it, before it is published; constant from then on.
 *
 * States of a slot (64 bits: tag, the upper half of the hash, and place in the arena):
 *
 *	empty (0) ──compare-and-swap, release──► taken, for the rest of the window
 *
 * The writer of a new key first reserves room in the arena (fetch_add on top), writes the entry and
 * only then swaps the slot in. So there is no state between claimed and published: a taken slot's
 * key can always be compared (load, acquire), also when the one who took it is suspended, and two
 * stacks are never taken for one because their hashes are equal. Who loses the swap to the same key
 * gives its room back if nobody reserved behind it, else the entry is marked as void.
 *
 * Entries follow one another without a gap, so that the reader goes through the arena from its
 * beginning to its end, as memory is read fastest. Where a writer died between reserving and
 * writing, or the entries don't add up, it goes through the slots.
 *
 * Where a key may be is one fixed sequence of buckets: one in a first table of 512 slots, one in a
 * second of 4,096, one in a third of 32,768, one in a fourth of 65,536 (as far as they are smaller
 * than the main table), then what is left of eight, scattered, in the main table. Within
 * a window slots are never emptied, so a key lies before the first empty slot of its sequence: it
 * has at most one slot. The small tables keep the pages few while the stacks are few.
 *
 *
 * Why a flip loses nothing
 *
 * Entries and flips are read-modify-writes of the one word `state`, hence totally ordered. An entry
 * before the exchange is in the number that the exchange returned: the reader waits for as many
 * exits. An entry after it sees the other generation. No writer can be in between, and none has to
 * look twice. Each exit is a release and the exits form one release sequence, so the reader that
 * loads the full number with acquire has all their writes before it, and no writer is left. The
 * exchange is a release which the following entries acquire (they continue its release sequence):
 * they see the generation as the reader cleared it. Drops are counted between entry and exit too,
 * so in each window  added = collected + dropped,  exactly.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROWL_STACKHASH_KEY_MAX = 2048, /* words of one key */
	PROWL_STACKHASH_PROBES = 64,    /* slots that one add looks at, at most */
	PROWL_STACKHASH_BATCH = 16,     /* keys that are added together, at most */
	PROWL_STACKHASH_LOG2_MIN = 3,
	PROWL_STACKHASH_LOG2_MAX = 26,
};

/* Results; errors are negative, as everywhere. */
enum {
	PROWL_STACKHASH_OK = 0,
	PROWL_STACKHASH_DROPPED = -1, /* no room: counted in the window's dropped numbers */
	PROWL_STACKHASH_BUSY = -2,    /* a writer has not left yet */
	PROWL_STACKHASH_INVALID = -3, /* bad geometry, region too small or not a stack hash */
	PROWL_STACKHASH_DAMAGED = -4, /* somebody scribbled while the window was read */
};

/* Sizes of each of the two generations. */
struct prowl_stackhash_geometry {
	/* Of the main table. Drops start when some two thirds of it are taken. */
	uint32_t log2_slots;
	uint32_t words; /* of the arena: a key of n words takes n + 3 */
};

/* A handle: made by init or attach, constant from then on, may be copied. Fields are private. */
struct prowl_stackhash {
	struct prowl_stackhash_region *region;
	struct prowl_stackhash_geometry geometry;
	struct prowl_stackhash_part {
		_Atomic uint64_t *touched;
		struct prowl_stackhash_bucket *buckets;
		uint64_t *arena;
	} part[2];
	uint32_t ntables;
	uint32_t nbuckets;
	struct prowl_stackhash_table {
		uint32_t first, mask, probes; /* in buckets */
	} table[5];
};

/* Bytes that a region of this geometry takes; 0 when the geometry is out of range. */
size_t prowl_stackhash_bytes(const struct prowl_stackhash_geometry *geometry);

/*
 * Makes an empty hash in mem: zeroed, 64-byte aligned, of at least prowl_stackhash_bytes(). Memory
 * that was never written may stay unbacked (mmap with MAP_NORESERVE, a sparse memfd): few stacks
 * touch few pages. mem is borrowed for the life of every handle; there is nothing to undo.
 * PROWL_STACKHASH_INVALID leaves *ret as it was.
 */
int prowl_stackhash_init(void *mem, size_t len, const struct prowl_stackhash_geometry *geometry,
			 struct prowl_stackhash *ret);

/* A handle on a region that another process (or another mapping) has initialised. */
int prowl_stackhash_attach(void *mem, size_t len, struct prowl_stackhash *ret);

/*
 * Adds count and weight to the key words[0..n). Any thread, any handler. The caller composes the
 * key and sees to it that different things have different keys. PROWL_STACKHASH_DROPPED: there was
 * no room (or n > PROWL_STACKHASH_KEY_MAX), and the window's dropped numbers say so.
 * Some 35 ns for a key of 30 words that is there, 55 ns with 32,768 of them.
 */
int prowl_stackhash_add(const struct prowl_stackhash *h, const uint64_t *words, size_t n,
			uint64_t count, uint64_t weight);

/* The hash of a key: not keyed, not for anything but tables. Any thread. */
uint64_t prowl_stackhash_hash(const uint64_t *words, size_t n);

/*
 * The same with a hash that the caller has: one key always with the same one, else it is counted
 * under several slots. Good to have when keys share long prefixes, and to test collisions.
 */
int prowl_stackhash_add_hashed(const struct prowl_stackhash *h, uint64_t hash,
			       const uint64_t *words, size_t n, uint64_t count, uint64_t weight);

/*
 * Adds each of n keys with its count and weight: as n calls, but as one entry and one exit for up
 * to PROWL_STACKHASH_BATCH of them, whose memory is asked for before it is needed. Worth it for a
 * caller in whose caches the hash is not. Returns how many were dropped.
 */
struct prowl_stackhash_key {
	uint64_t hash;
	const uint64_t *words;
	size_t n;
	uint64_t count, weight;
};
size_t prowl_stackhash_add_many(const struct prowl_stackhash *h,
				const struct prowl_stackhash_key *keys, size_t n);

/*
 * The memory that the next adds will write first, beyond what is written already: the arena up to
 * `words` words from here, and, when the table that fills is half full, the next one; len 0 for
 * none. For a caller that makes the pages of it all at once, which costs a fraction of a fault for
 * each. Any thread; a hint.
 */
struct prowl_stackhash_ahead {
	struct prowl_stackhash_range {
		void *at;
		size_t len;
	} arena, table;
};
struct prowl_stackhash_ahead prowl_stackhash_ahead(const struct prowl_stackhash *h, uint32_t words);

/*
 * Ends the window: makes the other generation current (clearing it first if the reader did not) and
 * waits until the writers have left the old one, at most `spins` rounds of relax(arg) (NULL: a
 * pause of the processor). Then the window's content belongs to the reader until the next flip.
 *
 * PROWL_STACKHASH_BUSY: some writer is still inside (suspended, or the reader interrupted it). The
 * generations have been switched and nothing is lost, but the old one can't be read yet: call
 * flip again, which goes on waiting and doesn't switch a second time.
 */
int prowl_stackhash_flip(const struct prowl_stackhash *h, uint64_t spins, void (*relax)(void *arg),
			 void *arg);

/*
 * For when every writer is known to be gone for good (the process that held them has died): writes
 * off those that entered and never left, so that flip can succeed. What they were adding
 * may be missing, everything else is there. With a living writer the numbers become wrong.
 */
void prowl_stackhash_abandon(const struct prowl_stackhash *h);

/*
 * Calls fn for each stack of the window that the last flip ended, in no particular order, until fn
 * returns nonzero (let it be positive); returns that, or 0 at the end. words are valid until the
 * next flip. PROWL_STACKHASH_BUSY when that flip has not succeeded; nothing at all before the first
 * one. PROWL_STACKHASH_DAMAGED: the rest can't be read.
 */
typedef int (*prowl_stackhash_fn)(void *arg, const uint64_t *words, size_t n, uint64_t count,
				  uint64_t weight);
int prowl_stackhash_each(const struct prowl_stackhash *h, prowl_stackhash_fn fn, void *arg);

/*
 * The same for the last time: the window is empty after it, whatever fn returned. Now and then it
 * reports a piece of the arena that will not be read again, whose pages may be given back (they
 * may read as zero then, or as they were). words are valid until then; fn and done must not call
 * other functions of the reader.
 */
typedef void (*prowl_stackhash_done_fn)(void *arg, void *at, size_t len);
int prowl_stackhash_take(const struct prowl_stackhash *h, prowl_stackhash_fn fn, void *arg,
			 prowl_stackhash_done_fn done);

struct prowl_stackhash_stats {
	uint64_t slots, slots_max; /* taken; all tables together */
	uint64_t words, words_max; /* of the arena */
	uint64_t dropped_count, dropped_weight;
	uint64_t clashes; /* times that an add met a different key with an equal tag */
	uint64_t damaged; /* slots whose content can't be: 0 unless somebody scribbled */
};

/* The numbers of the window that the last flip ended; BUSY as above. */
int prowl_stackhash_stats(const struct prowl_stackhash *h, struct prowl_stackhash_stats *ret);

/*
 * The same of the window that is running, to flip early when it fills. Any thread; each number is
 * right for some recent moment; damaged is always 0.
 */
void prowl_stackhash_live(const struct prowl_stackhash *h, struct prowl_stackhash_stats *ret);

/*
 * Empties the window that the last flip ended, at a cost proportional to what was in it. The next
 * flip would do it too; doing it early keeps it out of the flip. BUSY as above.
 */
int prowl_stackhash_clear(const struct prowl_stackhash *h);
