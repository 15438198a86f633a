// SPDX-License-Identifier: Apache-2.0
//
// The protocol of MutexArena, for spin: one mutex, SEATS processes at a time, INCARNATIONS processes in all, each of which
// may die before any step. scripts/checks/model runs it, as it is and with each of the mutations, which must be caught.
//
//   model                        code
//   open, claim, bury, publish   ArenaFile.open, claimSlot; MutexCell.buryHolder, bury; hf_member_begin
//   adopt, restart               ArenaFile.adopt, beginEpoch; MutexCell.restart
//   attempt, judge, take         MutexContender.attempt; a free word: SharedMemoryMutex.acquireIfFree; ArenaFile.isCurrent
//   mark                         MutexContender.mark
//   sleep                        hf_word_wait, MutexContender.wake
//   look                         MutexContender.look, ArenaFile.isTaken
//   renew                        MutexArena.renew
//   hold                         the critical section; SharedMemoryMutex.releaseIfUnwanted
//   release                      SharedMemoryMutex.releaseSlowly, hf_word_wake
//   dies                         the end of a process, or of its MutexArena: the kernel lets go of its bytes
//
// What must hold, asserted where it is decided:
//   1. nobody takes the mutex while a live process holds it, and a holder finds its own word at the release
//   2. each acquisition's token is greater than every earlier one, also over a new epoch and a reboot
//   3. each death of a holder is reported to the next acquirer, with the dead one's token, and nothing else is
//   4. whoever waits waits for somebody: when another time-out could find nothing, a live process holds the mutex, or one has
//      the maintenance lock. And spin finds no state in which somebody is left with no step to make
//
// For ever after: pan built with -DNP finds no execution that goes on for ever, so there is a last state to each. A waiter
// that neither dies nor has a deadline is not stuck in it: all others have ended there, and with 4 it could go on. So
// everybody who waits gets the mutex if those before it release or die, and each of them has its steps at last.
// (Acquisitions are finite in number here. That a stream of others does not pass a waiter over for ever is not shown.)
//
// One step is at most one access to memory that is shared, or one system call. Joined are accesses between which nobody can
// change what is accessed: under the maintenance lock the byte and the generation of a slot; and the epoch with the word that
// was read before, because it changes only while nobody can take the mutex, so that the exchange that follows would fail. A
// process that dies has the same effect on the others wherever it stands between two stores.
//
// Memory is sequentially consistent here; docs/lock-protocols.md says why the code's orderings suffice for that.
//
// Time. A sleep may end at any moment, whether its process was woken or not, so every wake-up may be lost. A time-out after
// which nothing could be found that the one before did not find is left out, as it leads back to the same state. With
// -DPATIENT there are no time-outs, no deadlines and no deaths: wake-ups alone must suffice then.
//
// How small it may be. A generation counts to GENERATIONS, so it comes back after as many processes in a slot. The two
// configurations with a LAST that is reached keep GENERATIONS greater than the processes of a slot: a process that stands
// between its look at a word and its exchange while the slot has as many processes as there are generations, and the mutex
// exactly as many acquisitions as there are counts (2^19 and 2^32 in the code), takes a live holder's word for a dead one's.
// That is out of reach for the code, and not for this model. Processes beyond those modelled add words, bytes and flags
// of the same kinds: a fault needs one that stands still, one that holds and one that comes, or two of them in one
// slot one after another, and each of these may be any of the INCARNATIONS here. That is an argument and no proof.
//
// Not here: several threads of one process (a process is one thread), fork, a replaced file, a power cut that loses stores
// (a reboot keeps them all). A stopped process is one that makes no step for long.

#ifndef SEATS
#define SEATS 3          /* or 2: how many live at a time */
#endif
#ifndef SLOTS
#define SLOTS 2          /* or 3 */
#endif
#ifndef GENERATIONS
#define GENERATIONS 2    /* 2^19 in the code */
#endif
#ifndef NEW
#define NEW 0            /* the generation in the file at first */
#endif
#ifndef INCARNATIONS
#define INCARNATIONS 5
#endif
#ifndef TURNS
#define TURNS 1          /* how often a process asks for the mutex */
#endif
#ifndef REBOOTS
#define REBOOTS 0
#endif
#ifndef LAST
#define LAST 7           /* the last count of an epoch; 2^32 - 1 in the code */
#endif

/* A word: the owner in bits 0-3 (0 nobody, 15 dead, else slot and generation), two flags, the count. */
#define DEAD 15
#define WAITING 16
#define RESERVED 32
#define ONE 64
#define owner(w) ((w) & 15)
#define count(w) ((w) >> 6)
#define owner_word(slot, generation) (1 + (slot) * GENERATIONS + (generation))
#define has_slot(w) (owner(w) != 0 && owner(w) != DEAD)
#define slot_of(w) ((owner(w) - 1) / GENERATIONS)
#define generation_of(w) ((owner(w) - 1) % GENERATIONS)
#define used_up(w) (!has_slot(w) && count(w) == LAST)
#define held(w) ((w) & ~(WAITING | RESERVED))
#define counted(w) ((w) & ~63)
#define buried(w) (counted(w) | DEAD | ((w) & WAITING))
#define futex(w) ((w) & 63)
#define token(w) (epoch * (LAST + 1) + count(w))

#define released(w) (counted(w) | (((w) & RESERVED) -> (WAITING | RESERVED) : 0))

#ifdef NO_GENERATION_CHECK
#define is_current(w) true
#else
#define is_current(w) (generation[slot_of(w)] == generation_of(w))
#endif

/* For F_OFD_GETLK, which does not show one's own locks. */
#define is_taken(slot) (byte_of[slot] != 0 && byte_of[slot] != me)

/* Whether something may come of a time-out now. */
#define may_find \
    (!has_looked || !has_waited || word != seen || !is_current(seen) || !is_taken(slot_of(seen)))

#define free_slot (byte_of[0] == 0 -> 0 : (byte_of[1] == 0 -> 1 : SLOTS - 1))
#define nobody_has_a_slot (byte_of[0] == 0 && byte_of[1] == 0 && byte_of[SLOTS - 1] == 0)

/* Of those that are not alive, which are all alike, the first opens the file. */
#define may_open \
    (maintenance == 0 && byte_of[free_slot] == 0 && (_pid < 1 || lives[0]) && (_pid < 2 || lives[1]))

/* Whom a contender takes for dead, once the kernel has said so. */
#if defined(DEAD_IS_A_SLOT)
#define verdict(w) (1 + slot_of(w))
#elif defined(DEAD_IS_AN_OWNER)
#define verdict(w) owner(w)
#else
#define verdict(w) held(w)
#endif

#define me (_pid + 1)

#ifdef PATIENT
#define or_dies
#else
#define or_dies :: atomic { true -> goto dies }
#endif

/* The file. */
short word;
byte epoch, dead_token;              /* of the cell */
byte header_epoch;
bit is_adopted;                      /* the file has the boot's id */
byte generation[SLOTS] = NEW;

/* The kernel: who has which byte. */
byte byte_of[SLOTS], maintenance;
byte reboots = REBOOTS;
#ifdef PATIENT
bit is_asleep[SEATS];
#endif

/* What really is, which no process sees. */
byte holder, last_token, unreported;
byte incarnations = INCARNATIONS;
bit lives[SEATS];


active [SEATS] proctype Seat() {
    short seen;                      /* the word at the last attempt; while it holds the mutex, its word without flags */
    short there;                     /* the word, as read for a burial, a new epoch or a release */
    short dead;                      /* of whom the kernel has said that nobody has the byte */
    byte own;                        /* slot and generation */
    byte report;                     /* the token of the dead holder that an acquisition tells of */
    byte turns;
    bit may_wait, has_waited, is_last, has_looked, is_open;

open:                                /* the maintenance lock; without a free slot the code throws */
    atomic {
        if
        :: incarnations == 0 -> goto ended
        :: incarnations > 0 && may_open ->
            incarnations--;
            lives[_pid] = true;
            turns = TURNS;
            maintenance = me;
            if
            :: is_adopted -> goto claim
            :: !is_adopted -> goto adopt
            :: reboots > 0 && nobody_has_a_slot ->
                reboots--;
                is_adopted = false;
                goto adopt
            fi
        fi
    }

adopt:
    if
    :: atomic { nobody_has_a_slot -> header_epoch++; goto restart }
    or_dies
    fi;

claim:                               /* first the byte */
    if
    :: atomic {
            byte slot;
            slot = free_slot;
            byte_of[slot] = me;
#ifdef NO_BUMP
            own = owner_word(slot, generation[slot]);
            goto publish
#else
            own = owner_word(slot, (generation[slot] + 1) % GENERATIONS);
            slot = 0;
            if
            :: generation_of(own) == 0 -> goto bury
            :: generation_of(own) != 0 -> goto publish
            fi
#endif
        }
    or_dies
    fi;

bury:                                /* the count of generations begins anew */
    if
    :: atomic {
            there = word;
            if
#ifndef NO_BURIAL
            :: has_slot(there) && slot_of(there) == slot_of(own) -> goto bury_token
#endif
            :: else -> there = 0; goto publish
            fi
        }
    or_dies
    fi;
bury_token:
    if
    :: atomic { true -> dead_token = token(there) }
    or_dies
    fi;
    if
    :: atomic { word == there -> word = buried(there); there = 0; goto publish }
    :: atomic { word != there -> goto bury }
    or_dies
    fi;

publish:                             /* then the generation */
    if
    :: atomic { true -> generation[slot_of(own)] = generation_of(own) }
    or_dies
    fi;

unlock:                              /* then its use */
    if
    :: atomic {
            true ->
            maintenance = 0;
            if
            :: is_open -> goto attempt
            :: !is_open -> is_open = true; goto idle
            fi
        }
    or_dies
    fi;

idle:
    if
    :: atomic { turns > 0 -> turns--; may_wait = true; goto attempt }
    :: atomic { turns > 0 -> turns--; goto attempt }
    :: atomic { true -> goto dies }  /* or closes */
    fi;

attempt:
    if
    :: atomic {
            if
            :: seen != word -> seen = word; has_looked = false
            :: else
            fi;
            if
            :: used_up(seen) -> goto renew
            :: !used_up(seen) && owner(seen) == 0 ->
                if
                :: (seen & RESERVED) && !has_waited && may_wait -> goto refused
                :: else -> goto take
                fi
            :: !used_up(seen) && owner(seen) == DEAD -> goto read_report
            :: has_slot(seen) -> goto judge
            fi
        }
    or_dies
    fi;
read_report:
    if
    :: atomic { true -> report = dead_token; goto take }
    or_dies
    fi;
judge:
    if
    :: atomic {
            dead == verdict(seen) || !is_current(seen) ->
            if
            :: count(seen) == LAST -> goto renew
            :: else -> report = token(seen); goto take
            fi
        }
    :: atomic {
            dead != verdict(seen) && is_current(seen) ->
            if
            :: may_wait && (seen & WAITING) -> goto refused
            :: may_wait && (!(seen & WAITING) || (has_waited && !(seen & RESERVED))) -> goto mark
            :: !may_wait -> goto refused
            fi
        }
    or_dies
    fi;
mark:
    if
    :: atomic { word == seen -> seen = seen | WAITING; word = seen; goto refused }
    :: atomic { word == seen && has_waited -> seen = seen | WAITING | RESERVED; word = seen; goto refused }
    :: atomic { word != seen -> goto attempt }
    or_dies
    fi;

take:
    if
    :: atomic {
            word == seen ->
            seen = counted(seen) + ONE + own;
            word = seen | (((word & WAITING) || has_waited) -> WAITING : 0);
            assert(holder == 0);                 /* 1 */
            holder = me;
            assert(token(seen) > last_token);    /* 2 */
            last_token = token(seen);
            assert(report == unreported);        /* 3 */
            unreported = 0; report = 0; dead = 0;
            may_wait = false; has_waited = false; is_last = false; has_looked = false;
            goto hold
        }
    :: atomic { word != seen -> report = 0; goto attempt }
    or_dies
    fi;

refused:                             /* no step of its own, as `forget` is none */
    atomic {
        if
        :: may_wait -> goto sleep
        :: !may_wait && !is_last -> is_last = true; goto look
        :: !may_wait && is_last -> goto forget
        fi
    }

sleep:
#ifdef PATIENT
    atomic {
        if
        :: futex(word) != futex(seen)
        :: else -> is_asleep[_pid] = true; !is_asleep[_pid]
        fi;
        has_waited = true;
        goto attempt
    }
#else
    if
    :: atomic { futex(word) != futex(seen) -> has_waited = true; goto attempt }
    :: atomic {
            may_find ->
            has_waited = true; has_looked = true;
            goto look
        }
    :: !may_find && maintenance == 0 && holder == 0 -> assert(false) /* 4 */
    :: atomic { true -> may_wait = false; is_last = true; goto look } /* its deadline */
    or_dies
    fi;
#endif

look:
    if
    :: atomic {
            if
            :: seen != word -> seen = word; has_looked = false
            :: else
            fi;
            if
            :: has_slot(seen) && owner(seen) != own -> goto ask
            :: else -> goto attempt
            fi
        }
    or_dies
    fi;
ask:
    if
    :: atomic {
            if
#ifdef TIMEOUT_IS_DEATH
            :: true -> dead = verdict(seen)
#else
            :: !is_taken(slot_of(seen)) -> dead = verdict(seen)
            :: is_taken(slot_of(seen))
#endif
            fi;
            goto attempt
        }
    or_dies
    fi;

hold:
    if
    :: atomic {
#ifndef PLAIN_RELEASE
            word == seen ->
#endif
            assert(holder == me && token(word) == last_token);
            word = counted(seen); holder = 0;
            goto forget
        }
    :: atomic { word != seen -> goto release }
    or_dies
    fi;
release:
    if
    :: atomic { true -> there = word; assert(held(there) == seen) }
    or_dies
    fi;
    if
    :: atomic {
            word == there ->
            assert(holder == me && token(word) == last_token);
            word = released(there); holder = 0;
            goto wake
        }
    :: atomic { word != there -> goto release }
    or_dies
    fi;
wake:                                /* one of those who sleep, if the waiting flag was seen */
#if defined(PATIENT) && !defined(NO_WAKE)
    atomic {
        if
        :: (there & WAITING) && is_asleep[0] -> is_asleep[0] = false
        :: (there & WAITING) && is_asleep[1] -> is_asleep[1] = false
#if SEATS > 2
        :: (there & WAITING) && is_asleep[2] -> is_asleep[2] = false
#endif
        :: else
        fi
    }
#endif

forget:
    atomic {
        seen = 0; there = 0; dead = 0; report = 0;
        may_wait = false; has_waited = false; is_last = false; has_looked = false;
        goto idle
    }

renew:                               /* the maintenance lock; nobody can take the word that was seen */
    if
    :: atomic {
#ifdef BURIAL_UNLOCKED
            has_slot(seen) -> there = seen; goto renew_bury
            }
    :: atomic { !has_slot(seen) &&
#endif
            maintenance == 0 -> maintenance = me
        }
    or_dies
    fi;
    if
    :: atomic { word == seen -> header_epoch++; goto restart }
    :: atomic { word != seen -> goto unlock }
    or_dies
    fi;
#ifdef BURIAL_UNLOCKED
renew_bury:
    if
    :: atomic { true -> dead_token = token(there) }
    or_dies
    fi;
    if
    :: atomic { word == there -> word = buried(there); there = 0; goto attempt }
    :: atomic { word != there -> there = 0; goto attempt }
    or_dies
    fi;
#endif

restart:                             /* by adopt or renew: a new epoch of a mutex that nobody can take now */
    if
    :: atomic {
            there = word;
            if
            :: has_slot(there) -> goto restart_bury
            :: else -> goto restart_epoch
            fi
        }
    or_dies
    fi;
restart_bury:
    if
    :: atomic { true -> dead_token = token(there) }
    or_dies
    fi;
    if
    :: atomic { word == there -> word = buried(there); goto restart }
    :: atomic { word != there -> goto restart }
    or_dies
    fi;
restart_epoch:
    if
    :: atomic { true -> epoch = header_epoch }
    or_dies
    fi;
    if
    :: atomic {
            true ->
            assert(word == there);
            word = (owner(there) == 0 -> 0 : there % ONE);
            there = 0;
            if
            :: is_open -> goto unlock
            :: !is_open
            fi
        }
    or_dies
    fi;
    if
    :: atomic { true -> is_adopted = true; goto claim }
    or_dies
    fi;

dies:
    atomic {
        if
        :: holder == me -> holder = 0; unreported = last_token
        :: else
        fi;
        if
        :: maintenance == me -> maintenance = 0
        :: else
        fi;
        if
        :: byte_of[0] == me -> byte_of[0] = 0
        :: byte_of[1] == me -> byte_of[1] = 0
#if SLOTS > 2
        :: byte_of[2] == me -> byte_of[2] = 0
#endif
        :: else
        fi;
        lives[_pid] = false;
        seen = 0; there = 0; dead = 0; own = 0; report = 0; turns = 0;
        may_wait = false; has_waited = false; is_last = false; has_looked = false; is_open = false;
        goto open
    }

ended:
    skip
}
