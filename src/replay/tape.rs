//! Between a driver and the outside: nothing, a recorder, or a recording.
//!
//! Why one handle: drivers, couplings and the kernel's observer write into the same sequence, or are fed from it. Without a
//! recording a tape is nothing, and asking it costs a branch.
//!
//! Contract: drivers call it where something crosses the boundary, in the order in which it does; [`Tape::check`] after
//! each turn ends a run whose journal cannot be written, and a replay that has come to its verdict.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;

use isochrone_sim::{ExternalId, ExternalOutcome, Kernel, Time, display_span, local};

use super::operations::recall;
use super::plan::Fault;
use super::player::{Player, Stops, Verdict};
use super::questions::Questions;
use super::recorder::Recorder;
use super::reel::{Further, Inner, State, Watch};
use super::source::Source;
use super::trial::Trial;
use crate::clock::{Input, Notice, Reply, Request, Route, RunError};
use crate::codec::Value;
use crate::journal::{Entry, JournalError, Level, Packed, Record, Writer};
use crate::rpc::CallError;

/// What a run is recorded with, or replayed from. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Tape(Option<Rc<RefCell<Inner>>>);

/// Something of a live run's turn, in its order.
#[derive(Debug)]
pub(crate) enum Came {
    Result(ExternalId, ExternalOutcome),
    Input(Input),
}

/// What a driver's stand-in does next.
#[cfg(any(feature = "mosaik", feature = "serve"))]
#[derive(Debug)]
pub(crate) enum Next {
    /// A request of the simulator, as it came.
    Request(Value),
    /// An input while its clock stood.
    Input(Input),
    /// Nothing more was recorded.
    End,
}

impl Tape {
    /// Records into a journal.
    pub fn record(writer: Writer) -> Tape {
        Tape::new(State::Recording(Recorder::new(writer)))
    }

    /// Replays a recording: nothing comes from outside but what it holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn play(source: Source, stops: Stops, outward: bool) -> Result<Tape, JournalError> {
        Ok(Tape::new(State::Playing(Box::new(Player::new(source, stops, outward)?), None)))
    }

    /// Replays a recording to its end, which was no end of the run, and goes on recording from there with this writer.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn resume(source: Source, writer: Writer) -> Result<Tape, JournalError> {
        let player = Player::new(source, Stops::default(), false)?;
        Ok(Tape::going_on(player, Further { recorder: Recorder::new(writer), seed: None, kept: None }))
    }

    /// Replays a recording up to an event, and goes on from there with another seed. The writer has what came before. With
    /// what the recorded run [asked](Tape::take_questions) its inputs go on as well: as a [trial](Tape::trial).
    ///
    /// # Errors
    /// It cannot be read.
    pub fn fork(
        source: Source,
        writer: Writer,
        event: u64,
        seed: u64,
        kept: Option<Questions>,
    ) -> Result<Tape, JournalError> {
        let player = Player::cut(source, event)?;
        Ok(Tape::going_on(player, Further { recorder: Recorder::new(writer), seed: Some(seed), kept }))
    }

    /// Runs with the inputs of a recording, as far as they fit, and compares nothing: what happens is recorded with this
    /// writer. For recordings of which inputs were left out, and other seeds. What agents ask is answered if the recorded run
    /// asked it at that time.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn trial(source: Source, writer: Writer, questions: Questions) -> Result<Tape, JournalError> {
        let player = Player::trial(source, Trial::new(Recorder::new(writer), questions))?;
        Ok(Tape::new(State::Playing(Box::new(player), None)).quietly())
    }

    fn going_on(player: Player, further: Further) -> Tape {
        Tape::new(State::Playing(Box::new(player), Some(further)))
    }

    fn new(state: State) -> Tape {
        let (calls, running) = (BTreeMap::new(), BTreeMap::new());
        let inner = Inner {
            state,
            calls,
            running,
            inputs: 0,
            checked: 0,
            values: false,
            quiet: false,
            left: Vec::new(),
            resumed: false,
        };
        Tape(Some(Rc::new(RefCell::new(inner))))
    }

    /// Whether a run is recorded or replayed at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the outside is a recording.
    pub fn is_playing(&self) -> bool {
        self.inner().is_some_and(|inner| matches!(inner.state, State::Playing(..)))
    }

    /// Where the recorded run was on the network, as the notice `bound` says, and how many connections it had.
    pub(crate) fn network(&self) -> (Option<String>, u64) {
        self.player(|player| player.network()).unwrap_or_default()
    }

    fn inner(&self) -> Option<Ref<'_, Inner>> {
        self.0.as_ref().map(|inner| inner.borrow())
    }

    #[inline]
    pub(super) fn inner_mut(&self) -> Option<RefMut<'_, Inner>> {
        self.0.as_ref().map(|inner| inner.borrow_mut())
    }

    fn recorder<R>(&self, f: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
        self.inner_mut()?.state.recorder().map(f)
    }

    fn player<R>(&self, f: impl FnOnce(&mut Player) -> R) -> Option<R> {
        match &mut self.inner_mut()?.state {
            State::Recording(_) => None,
            State::Playing(player, _) => Some(f(player)),
        }
    }

    /// With the values of what is sent in a difference, if the recording has none: this costs time.
    pub fn with_values(self) -> Tape {
        if let Some(mut inner) = self.inner_mut() {
            inner.values = true;
        }
        self
    }

    /// Also notes what agents ask the outside.
    pub fn with_questions(self) -> Tape {
        self.player(|player| player.questions = Some(Questions::default()));
        self
    }

    /// What they have asked.
    pub fn take_questions(&self) -> Questions {
        self.player(|player| player.questions.take()).flatten().unwrap_or_default()
    }

    /// Without a word about the run: it is one of many.
    pub fn quietly(self) -> Tape {
        if let Some(mut inner) = self.inner_mut() {
            inner.quiet = true;
        }
        self
    }

    /// Whether nothing is to be said about the run.
    pub(crate) fn is_quiet(&self) -> bool {
        self.inner().is_some_and(|inner| inner.quiet)
    }

    /// Sees everything that happens in this kernel from now on, as far as the level asks for it. To be called before
    /// anything happens there.
    pub fn attach(&self, kernel: &Kernel) {
        let Some(inner) = &self.0 else { return };
        let (events, full) = match &inner.borrow().state {
            State::Recording(recorder) => (recorder.level >= Level::Events, recorder.level == Level::Full),
            State::Playing(player, _) => {
                let level = player.trial.as_ref().map_or(player.level, |trial| trial.recorder.level);
                (player.compares_events() || level >= Level::Events, level == Level::Full)
            }
        };
        let values = full || inner.borrow().values;
        if events {
            kernel.add_observer(Box::new(Watch { inner: inner.clone(), values }));
        }
    }

    /// Ends a run that cannot go on: its journal cannot be written, or its replay has come to a verdict.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), RunError> {
        if self.0.is_none() { Ok(()) } else { self.check_it() }
    }

    fn check_it(&self) -> Result<(), RunError> {
        let done = self.player(|player| player.verdict.is_some());
        if done == Some(true) {
            return Err(RunError::Replayed);
        }
        self.recorder(Recorder::check).unwrap_or(Ok(())).map_err(RunError::Journal)
    }

    /// How the replay came out, if it has a verdict already.
    pub fn verdict(&self) -> Option<Verdict> {
        self.player(|player| player.verdict.take()).flatten()
    }

    /// Records that have come out again so far.
    pub fn same(&self) -> u64 {
        self.player(|player| player.same).unwrap_or(0)
    }

    /// Returns when the operating system has everything that was recorded.
    #[inline]
    pub(crate) fn commit(&self) -> Result<(), RunError> {
        if self.0.is_none() { Ok(()) } else { self.commit_it() }
    }

    fn commit_it(&self) -> Result<(), RunError> {
        self.recorder(Recorder::commit).unwrap_or(Ok(())).map_err(RunError::Journal)
    }

    /// Whether the run has been replayed up to here, and goes on.
    pub(crate) fn is_resumed(&self) -> bool {
        self.inner().is_some_and(|inner| inner.resumed)
    }

    /// What comes next is asked for, outside the kernel: the recording may be at its end, or a fork may begin.
    pub(super) fn proceed(&self, kernel: Option<&Kernel>) {
        if let Some(mut inner) = self.inner_mut() {
            inner.go_on(kernel);
            if let State::Playing(player, _) = &mut inner.state {
                player.reseed(kernel);
            }
        }
    }

    /// Whether it is replayed up to its end and then goes on as it did.
    pub(crate) fn resumes(&self) -> bool {
        let resumes =
            |state: &State| matches!(state, State::Playing(_, Some(further)) if further.seed.is_none());
        self.inner().is_some_and(|inner| resumes(&inner.state))
    }

    /// Whether a replay that was to go on does.
    pub(crate) fn has_gone_on(&self) -> bool {
        self.inner().is_none_or(|inner| !matches!(inner.state, State::Playing(_, Some(_))))
    }

    /// Whether an agent got no answer in a trial.
    pub(crate) fn has_refused(&self) -> bool {
        self.player(|player| player.trial.as_ref().is_some_and(|trial| trial.has_refused)).unwrap_or(false)
    }

    /// How far a step may go that a recording makes, see [`Player::leash`].
    pub(crate) fn leash(&self) -> Option<Time> {
        self.player(|player| player.leash()).flatten()
    }

    // ---- turns of a live run

    /// A turn begins; `jumps` says that the clock was far behind.
    #[inline]
    pub(crate) fn turn(&self, kernel: &Kernel, until: Time, jumps: bool) {
        if self.0.is_some() {
            self.note_turn(kernel, until, jumps);
        }
    }

    fn note_turn(&self, kernel: &Kernel, until: Time, jumps: bool) {
        let at = (kernel.now(), kernel.round());
        self.recorder(|recorder| {
            recorder.write(at, &Record::Turn { until });
            if jumps {
                recorder.write(at, &Record::Jump { to: until });
            }
        });
    }

    /// The next turn of the recording, and whether the clock jumps; `None` where it ends.
    pub(crate) fn next_turn(&self, kernel: &Kernel) -> Option<(Time, bool)> {
        self.proceed(Some(kernel));
        let turn = self.player(|player| {
            let taken = player.take_if(|head| matches!(head.record, Record::Turn { .. }))?;
            player.took(&taken);
            let Record::Turn { until } = taken.record else { return None };
            let jump = player.take_if(|head| matches!(head.record, Record::Jump { .. }));
            jump.iter().for_each(|jump| player.took(jump));
            Some((until, jump.is_some()))
        });
        turn.flatten()
    }

    /// When the recorded run ended, if it came to its end.
    pub(crate) fn end_time(&self) -> Option<Time> {
        self.player(|player| {
            player.head().filter(|head| matches!(head.record, Record::End { .. })).map(|head| head.time)
        })
        .flatten()
    }

    /// What came in at the turn at `at`, one after the other.
    pub(crate) fn came(&self, kernel: &Kernel, at: Time) -> Option<Came> {
        self.proceed(Some(kernel));
        let mut inner = self.inner_mut()?;
        let State::Playing(player, _) = &mut inner.state else { return None };
        if let Some(unheard) = player.take_unheard(at, false).pop() {
            let (id, outcome) = inner.refuse(kernel, vec![unheard]).pop()?;
            return Some(Came::Result(id, outcome));
        }
        loop {
            let State::Playing(player, _) = &mut inner.state else { return None };
            let entry = player.take_if(|head| {
                head.time == at
                    && matches!(
                        head.record,
                        Record::Result { .. } | Record::Call { .. } | Record::Command { .. }
                    )
            })?;
            let Record::Result { agent, call, outcome, .. } = &entry.record else {
                return input_of(entry).map(Came::Input);
            };
            if let Some(started) = player.waiting.remove(&(agent.to_string(), *call)) {
                let (id, outcome) = recall(started, outcome);
                inner.ended((entry.time, entry.round), id, &outcome);
                return Some(Came::Result(id, outcome));
            }
            // in a trial nobody may have asked
            player.trial.as_ref()?;
        }
    }

    /// Tasks were woken from outside: a recording cannot know when.
    pub(crate) fn foreign(&self, kernel: &Kernel) {
        if self.0.is_none() {
            return;
        }
        for (agent, label) in kernel.take_foreign() {
            let at = (kernel.now(), kernel.round());
            let path = kernel.path(agent);
            self.recorder(|recorder| {
                let text = format!(
                    "a task of agent {path} in `{label}` was woken by something outside that is no `external` operation"
                );
                recorder.breaks(at, Some(path.as_str().into()), text);
            });
        }
    }

    // ---- inputs and answers

    /// An input enters; its number.
    pub(crate) fn input(&self, at: (Time, u32), input: &Input) -> u64 {
        let Some(mut inner) = self.inner_mut() else { return 0 };
        if let Input::Look(_) = input {
            // changes nothing, and gets its answer by itself
            return 0;
        }
        let number = inner.inputs;
        inner.inputs += 1;
        let Some(recorder) = inner.state.recorder() else { return number };
        match input {
            Input::Call(request) => {
                let Request { method, args, reply } = request;
                let route = reply.route();
                let record = Record::Call {
                    number,
                    from: (&*route.from).into(),
                    agent: (&*route.agent).into(),
                    method: (&**method).into(),
                    args: Packed::from_args(args),
                };
                recorder.write(at, &record);
            }
            Input::Notice(Notice { from, what, detail }) => {
                let (from, name) = ((&**from).into(), what.as_str().into());
                recorder.write(at, &Record::Command { from, name, args: Packed::new(detail) });
            }
            Input::Look(_) => {}
            Input::Enter(_) => {
                let text = "code of the program entered the kernel: what it does is not recorded";
                recorder.breaks(at, None, text.into());
            }
        }
        number
    }

    /// An answer is about to leave.
    pub(crate) fn answered(&self, kernel: &Kernel, number: u64, answer: &Result<Value, CallError>) {
        self.proceed(Some(kernel));
        let at = (kernel.now(), kernel.round());
        self.bring_forth(at, || Record::Replied { number, to: "peer".into(), outcome: outcome_of(answer) });
    }

    /// A request of a simulator begins; its number, for its reply.
    pub fn request(&self, kernel: Option<&Kernel>, from: &str, content: impl FnOnce() -> Packed) -> u64 {
        let Some(mut inner) = self.inner_mut() else { return 0 };
        let number = inner.inputs;
        inner.inputs += 1;
        if let Some(recorder) = inner.state.recorder() {
            let at = kernel.map_or((Time::ZERO, 0), |kernel| (kernel.now(), kernel.round()));
            recorder.write(at, &Record::Request { number, from: from.into(), content: content() });
        }
        number
    }

    /// Its reply is about to leave, and everything before it has been written when this returns.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn replied(
        &self,
        kernel: Option<&Kernel>,
        number: u64,
        to: &str,
        outcome: impl FnOnce() -> Result<Packed, String>,
    ) -> Result<(), RunError> {
        self.proceed(kernel);
        let at = kernel.map_or((Time::ZERO, 0), |kernel| (kernel.now(), kernel.round()));
        self.bring_forth(at, || Record::Replied { number, to: to.into(), outcome: outcome() });
        self.commit()
    }

    /// Something has come out: it is recorded, or must be what was.
    fn bring_forth(&self, at: (Time, u32), record: impl FnOnce() -> Record) {
        if let Some(mut inner) = self.inner_mut() {
            inner.go_on(None);
            match &mut inner.state {
                State::Recording(recorder) => recorder.write(at, &record()),
                State::Playing(player, _) => player.compare(at, record()),
            }
        }
    }

    /// A property has failed, inside the kernel.
    pub(crate) fn property(&self, agent: &str, name: &str, text: &str) {
        let record =
            || Record::Property { agent: agent.into(), name: name.into(), holds: false, text: text.into() };
        self.bring_forth(local::instant(), record);
    }

    /// A fault is about to be injected, inside the kernel.
    pub(crate) fn fault(&self, fault: &Fault) {
        let span = fault.fault.span().map_or(Value::Null, |span| Value::Str(display_span(span).to_string()));
        let record = || Record::Fault {
            agent: fault.agent.as_str().into(),
            name: fault.fault.name().into(),
            args: Packed::new(&span),
        };
        self.bring_forth(local::instant(), record);
    }

    /// What the recorded simulator asks next.
    #[cfg(any(feature = "mosaik", feature = "serve"))]
    pub(crate) fn next(&self, kernel: Option<&Kernel>) -> Next {
        self.proceed(kernel);
        let next = self.player(|player| {
            let entry = player.take_if(|head| {
                matches!(head.record, Record::Request { .. } | Record::Call { .. } | Record::Command { .. })
            })?;
            match &entry.record {
                Record::Request { content, .. } => content.value().map(Next::Request),
                _ => input_of(entry).map(Next::Input),
            }
        });
        match next.flatten() {
            Some(next) => next,
            None => {
                self.player(Player::expect_end);
                Next::End
            }
        }
    }

    /// An input that entered at exactly this point of a coupled run.
    pub(crate) fn next_input(&self, kernel: &Kernel) -> Option<Input> {
        self.proceed(Some(kernel));
        let at = (kernel.now(), kernel.round());
        input_of(self.player(|player| player.take_input(at))??)
    }

    // ---- the whole run

    /// Something ends: a step, a part of a run. The state of all agents is noted, or compared.
    pub fn checkpoint(&self, kernel: &Kernel) {
        let Some(mut inner) = self.inner_mut() else { return };
        let at = (kernel.now(), kernel.round());
        inner.checked = kernel.counts().activations;
        if let Some(recorder) = inner.state.recorder() {
            recorder.checkpoint(at, kernel.fingerprint());
        } else if let State::Playing(player, _) = &mut inner.state
            && player.head().is_some_and(|head| matches!(head.record, Record::Checkpoint { .. }))
        {
            player.checkpoint(at, kernel.fingerprint());
        }
    }

    /// As [`checkpoint`](Tape::checkpoint), if enough has happened since the last one.
    pub(crate) fn checkpoint_if_due(&self, kernel: &Kernel) {
        const DUE: u64 = 4_096;
        let checked = match self.inner() {
            Some(inner) => inner.checked,
            None => return,
        };
        let counts = kernel.counts();
        if counts.activations - checked >= DUE.max(counts.agents) {
            self.checkpoint(kernel);
        }
    }

    /// The run has ended, because of what.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn finish(&self, kernel: &Kernel, because: &str) -> Result<(), JournalError> {
        let at = (kernel.now(), kernel.round());
        self.player(|player| player.finish(at, kernel.fingerprint(), because));
        self.recorder(|recorder| recorder.finish(at, kernel.fingerprint(), because)).unwrap_or(Ok(()))
    }
}

fn outcome_of(answer: &Result<Value, CallError>) -> Result<Packed, String> {
    match answer {
        Ok(value) => Ok(Packed::new(value)),
        Err(error) => Err(error.to_string()),
    }
}

/// The input that a record tells.
pub(super) fn input_of(entry: Entry) -> Option<Input> {
    match entry.record {
        Record::Call { from, agent, method, args, .. } => Some(Input::Call(Request {
            method: method.as_str().to_string().into(),
            args: args.args()?,
            // what is answered is compared before it would leave
            reply: Reply::new(Route::new(from.as_str(), agent.as_str()), drop),
        })),
        Record::Command { from, name, args } => Some(Input::Notice(Notice {
            from: from.as_str().into(),
            what: name.as_str().into(),
            detail: args.value()?,
        })),
        _ => None,
    }
}
