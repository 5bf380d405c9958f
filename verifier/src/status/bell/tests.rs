use std::collections::VecDeque;

use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

use super::{Bell, Flag};

/// Schedules tried each way; each is one order in which three who ring and one who answers can meet.
const SCHEDULES: usize = 5_000;
const RINGERS: usize = 3;

impl Flag for AtomicBool {
    fn swap(&self, value: bool) -> bool {
        self.swap(value, Ordering::SeqCst)
    }

    fn store(&self, value: bool) {
        self.store(value, Ordering::SeqCst);
    }
}

/// Whose bell a note is of: the ways are shared.
#[derive(Clone, Copy, PartialEq)]
enum Note {
    Ours,
    Another,
}

/// The way notes go, with room for `room` of them.
struct Way {
    bell: Bell<AtomicBool>,
    notes: Mutex<VecDeque<Note>>,
    room: usize,
    answered: AtomicUsize,
}

impl Way {
    fn ring(&self) {
        self.bell.ring(|| self.send(Note::Ours));
    }

    fn send(&self, note: Note) -> bool {
        let mut notes = self.notes.lock().unwrap();
        let has_room = notes.len() < self.room;
        if has_room {
            notes.push_back(note);
        }
        has_room
    }

    fn answer_one(&self) -> bool {
        let note = self.notes.lock().unwrap().pop_front();
        if note == Some(Note::Ours) {
            self.bell.answer();
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
        note.is_some()
    }
}

/// Whatever the order: once nobody rings and every note is answered, the next ring is heard.
#[test]
fn a_bell_never_rings_for_ever() {
    for room in [1, RINGERS] {
        let meeting = move || {
            let way = Arc::new(Way {
                bell: Bell(AtomicBool::new(false)),
                notes: Mutex::new(VecDeque::new()),
                room,
                answered: AtomicUsize::new(0),
            });
            let ringers: Vec<_> = (0..RINGERS)
                .map(|_| {
                    let way = Arc::clone(&way);
                    thread::spawn(move || {
                        way.ring();
                        way.ring();
                    })
                })
                .collect();
            let others = Arc::clone(&way);
            let others = thread::spawn(move || {
                others.send(Note::Another);
                others.send(Note::Another);
            });
            let worker = Arc::clone(&way);
            let worker = thread::spawn(move || {
                for _ in 0..RINGERS {
                    if !worker.answer_one() {
                        thread::yield_now();
                    }
                }
            });
            for ringer in ringers {
                ringer.join().unwrap();
            }
            others.join().unwrap();
            worker.join().unwrap();
            while way.answer_one() {}
            let before = way.answered.load(Ordering::SeqCst);
            way.ring();
            while way.answer_one() {}
            let after = way.answered.load(Ordering::SeqCst);
            assert_eq!(after, before + 1, "the next ring is heard");
        };
        shuttle::check_random(meeting, SCHEDULES);
        shuttle::check_pct(meeting, SCHEDULES, RINGERS);
    }
}
