//! The assertions between rounds, and at the end of a walk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ampoule::{Clock, EventKind, SessionId};

use crate::lineage::{Lineage, is_login};
use crate::site::{Op, Report, Sender};
use crate::world::{GRACE, HOSTS, Opened, PATHS, World};

const IDLE: Duration = Duration::from_secs(24 * 3_600);

/// The value that an operation leaves in its session.
fn key_of(op: Op, number: usize) -> Option<String> {
    match op {
        Op::Write | Op::Restart => Some(format!("write{number}")),
        Op::Login(_) => Some(format!("login{number}")),
        Op::PutVoucher => Some(format!("voucher{number}")),
        _ => None,
    }
}

/// The request that left something, by its key.
fn writer_of(key: &str) -> Option<usize> {
    let digits = key.find(|c: char| c.is_ascii_digit())?;
    key[digits..].parse().ok()
}

/// The part of a token that is not the signature: 32 bytes, of which 42 characters show all but four bits.
fn credential(token: &str) -> &str {
    &token[..42]
}

impl World {
    fn lineage(&self) -> Lineage<'_> {
        Lineage::new(self.notes.reports.lock().unwrap(), self.notes.events.lock().unwrap())
    }

    /// Checks the assertions after each round.
    pub(crate) fn judge_round(&self, from: usize) -> Result<(), String> {
        let lineage = self.lineage();
        for (number, report) in lineage.reports.iter().enumerate().skip(from) {
            self.no_elevation(&lineage, number, report)?;
        }
        takes_once(&lineage)?;
        self.ends_no_login(&lineage)?;
        for host in HOSTS {
            for token in self.held(host, PATHS[0]) {
                self.judge_token(&lineage, &token)?;
            }
        }
        Ok(())
    }

    /// A token opens only the session that it was issued for.
    fn no_elevation(&self, lineage: &Lineage<'_>, number: usize, report: &Report) -> Result<(), String> {
        let sessions: BTreeSet<SessionId> = report.tokens.iter().map(|token| self.issued[token]).collect();
        if report.id.is_some_and(|id| !sessions.contains(&id)) {
            return Err(format!("no elevation: request {number} has a session that its tokens are not of"));
        }
        let shown: BTreeSet<&str> = sessions.iter().flat_map(|session| lineage.logins(*session)).collect();
        let principal = report.principal.as_deref();
        if report.who == Sender::Attacker && principal.is_some_and(|principal| principal != "mallory") {
            return Err(format!("no elevation: the attacker is {principal:?} in request {number}"));
        }
        if principal.is_some() && shown.is_empty() {
            return Err(format!("no elevation: request {number} is {principal:?} with a token of no login"));
        }
        for key in &report.saw {
            let Some(writer) = writer_of(key).map(|writer| &lineage.reports[writer]) else { continue };
            if is_login(key) && !shown.contains(key.as_str()) {
                return Err(format!("no elevation: request {number} reads {key} with a token of before it"));
            }
            let Some(session) = writer.left else { continue };
            if !lineage.logins(session).is_subset(&shown) {
                return Err(format!("no elevation: request {number} reads {key}, which was written after a login"));
            }
            let sources = report.id.map(|id| lineage.sources(id)).unwrap_or_default();
            let is_source = |(source, until): &(SessionId, usize)| *source == session && writer.done < Some(*until);
            if !sources.is_empty() && !sources.iter().any(is_source) {
                return Err(format!("no elevation: request {number} reads {key}, written from outside of its session"));
            }
        }
        Ok(())
    }

    /// A logout with a token from before a login does not end the login.
    fn ends_no_login(&self, lineage: &Lineage<'_>) -> Result<(), String> {
        for event in lineage.events.iter().filter(|event| event.kind == EventKind::Destroyed) {
            let report = &lineage.reports[event.request];
            let (Op::Logout | Op::Restart, Some(id)) = (report.op, report.id) else { continue };
            let came = report.tokens.iter().any(|token| self.issued[token] == event.id);
            if event.id != id && !came && lineage.descends(event.id, id) {
                return Err(format!("no loss: request {} ended a login with a token of before it", event.request));
            }
        }
        Ok(())
    }

    /// A token that the browser holds leads to all that was acknowledged, or its session has ended.
    fn judge_token(&self, lineage: &Lineage<'_>, token: &str) -> Result<(), String> {
        let session = self.issued[token];
        match self.look(token) {
            Some(seen) if seen.id != session => {
                Err(format!("no elevation: {} leads to another session", self.short(&[token.to_owned()])))
            }
            Some(seen) => {
                let unused = self.clock.now().since(self.last_use[&session]);
                if unused > IDLE {
                    return Err(format!("no return: {session:?} lives, unused for {unused:?}"));
                }
                shows_all(lineage, &seen)
            }
            None if self.was_overtaken
                || self.may_have_ended(lineage, session)
                || self.was_replaced(lineage, token) =>
            {
                Ok(())
            }
            None => Err(format!(
                "no loss: {} leads nowhere, and nothing ended its session",
                self.short(&[token.to_owned()])
            )),
        }
    }

    /// Whether something that was asked for ended the session: a logout, the use of a login that came from it, or time.
    fn may_have_ended(&self, lineage: &Lineage<'_>, id: SessionId) -> bool {
        let is_uncertain_end = |report: &Report| {
            let ends = matches!(report.op, Op::Logout | Op::Restart | Op::RevokeOthers) && report.is_uncertain();
            let principal = lineage.principal(id);
            let is_of_principal = principal.is_some() && report.principal.as_deref() == principal;
            let forked_from = report.id.and_then(|id| lineage.fork(id)).map(|fork| fork.from);
            let came = report.tokens.iter().any(|token| self.issued[token] == id);
            ends && (came || forked_from == Some(id) || is_of_principal)
        };
        // A use moves the end at most once per tenth of the idle time.
        let is_old = self.clock.now().since(self.last_use[&id]) >= IDLE - IDLE / 10;
        lineage.was_destroyed(id)
            || is_old
            || lineage.forks_of(id).any(|fork| lineage.was_used(fork, &self.issued))
            || lineage.reports.iter().any(is_uncertain_end)
    }

    /// Whether the browser, or the attacker, was sent a newer token of the same session, and has used it.
    fn was_replaced(&self, lineage: &Lineage<'_>, token: &str) -> bool {
        let place = self.order.iter().position(|other| other == token);
        self.order.iter().enumerate().any(|(at, newer)| {
            let is_newer = Some(at) > place && self.issued[newer] == self.issued[token];
            let is_known = self.stolen.contains(newer) || self.received.contains(newer);
            is_newer && is_known && lineage.reports.iter().any(|report| report.tokens.contains(newer))
        })
    }

    /// The cookies of a response do not replace a live session of the browser, except by one that came from it.
    pub(crate) fn judge_change(
        &self,
        number: usize,
        report: &Report,
        before: &[String],
        after: &[String],
    ) -> Result<(), String> {
        if self.was_overtaken || self.was_conflict(number) {
            return Ok(());
        }
        let lineage = self.lineage();
        let held: BTreeSet<SessionId> = after.iter().map(|token| self.issued[token]).collect();
        for token in before {
            let session = self.issued[token];
            let is_kept =
                held.iter().any(|other| lineage.descends(*other, session) || lineage.is_of_device(*other, session));
            // A request of another session that was in progress when the browser got this session: two requests without
            // a common session make two sessions, of which the browser keeps the last. This does not excuse a request
            // that came with the session before a login or a restart, unless the request itself is a login or a logout.
            let sent: BTreeSet<SessionId> = report.tokens.iter().map(|sent| self.issued[sent]).collect();
            let came = report.id.map_or(sent.clone(), |id| BTreeSet::from([id]));
            // A session that went on after the login, whose response was late or went to another host, is one of its
            // own.
            let is_its_own = |before| lineage.went_on(before, lineage.made(session));
            let mut sources = came.iter().chain(&report.left);
            let is_before = sources.any(|before| {
                *before != session && lineage.follows(session, *before, report.answered_at) && !is_its_own(*before)
            });
            let is_own = report.tokens.iter().any(|sent| self.issued[sent] == session && self.look(sent).is_some());
            let is_asked_for = matches!(report.op, Op::Login(_) | Op::Logout | Op::Restart);
            let is_other = !is_own && (!is_before || is_asked_for);
            if !is_kept && !is_other && self.look(token).is_some() {
                return Err(format!("no loss: the response {number} took {session:?} from the browser"));
            }
            let place = |token: &String| self.order.iter().position(|other| credential(other) == credential(token));
            let is_older = |other: &&String| self.issued[*other] == session && place(other) < place(token);
            let mut put = after.iter().filter(|other| !before.contains(other));
            if !after.contains(token) && put.any(|other| is_older(&other)) {
                return Err(format!(
                    "no loss: the response {number} put an older token over {}",
                    self.short(std::slice::from_ref(token))
                ));
            }
        }
        Ok(())
    }

    /// Checks the assertions at the end, a grace after the last request.
    pub(crate) fn judge_end(&self) -> Result<(), String> {
        let lineage = self.lineage();
        let mut seen: BTreeMap<SessionId, Vec<&String>> = BTreeMap::new();
        for token in &self.order {
            if let Some(found) = self.look(token) {
                seen.entry(self.issued[token]).or_default().push(token);
                shows_all(&lineage, &found)?;
            }
        }
        self.no_return(&lineage, &|id| seen.contains_key(&id))?;
        self.old_tokens_end(&lineage, &seen)
    }

    fn no_return(&self, lineage: &Lineage<'_>, is_live: &dyn Fn(SessionId) -> bool) -> Result<(), String> {
        let sessions: BTreeSet<SessionId> = self.issued.values().copied().collect();
        let mut destroyed = lineage.events.iter().filter(|event| event.kind == EventKind::Destroyed);
        if let Some(back) = destroyed.find(|event| is_live(event.id)) {
            return Err(format!("no return: {:?} lives, which request {} ended", back.id, back.request));
        }
        for (number, report) in lineage.reports.iter().enumerate().filter(|(_, report)| report.is_acknowledged()) {
            let Some(own) = report.id else { continue };
            let principal = lineage.principal(own);
            let mut ended: Vec<SessionId> = Vec::new();
            let others = sessions.iter().copied().filter(|other| {
                !lineage.descends(*other, own)
                    && lineage.made(*other) < report.started
                    && lineage.principal(*other) == principal
            });
            let ended_it = lineage.events.iter().any(|event| event.request == number && event.id == own);
            match report.op {
                Op::Logout | Op::Restart if ended_it => {
                    ended.push(own);
                    ended.extend(self.before_login(lineage, own));
                    ended.extend(others.filter(|other| principal.is_some() && lineage.ends_with(*other, own)));
                }
                Op::RevokeOthers if principal.is_some() => {
                    ended.extend(others.filter(|other| !lineage.is_later_twin(*other, own)));
                }
                _ => {}
            }
            if let Some(back) = ended.into_iter().find(|id| is_live(*id)) {
                return Err(format!("no return: {back:?} lives, which request {number} ended"));
            }
        }
        Ok(())
    }

    /// The sessions before a login, as far as no client went on with one because the login's response was lost.
    fn before_login(&self, lineage: &Lineage<'_>, login: SessionId) -> Vec<SessionId> {
        let mut before = Vec::new();
        let mut at = login;
        while let Some(fork) = lineage.fork(at) {
            let thaws = |report: &Report| {
                let writes = !matches!(report.op, Op::Read | Op::Peek);
                writes && report.id == Some(fork.from) && report.loaded > Some(fork.step)
            };
            if lineage.reports.iter().any(thaws) {
                break;
            }
            before.push(fork.from);
            at = fork.from;
        }
        before
    }

    /// A replaced token whose successor has been used is invalid after the grace.
    fn old_tokens_end(&self, lineage: &Lineage<'_>, live: &BTreeMap<SessionId, Vec<&String>>) -> Result<(), String> {
        for (session, tokens) in live {
            // While a login holds a session, nothing is noted in it.
            let logs_in = |report: &Report| matches!(report.op, Op::Login(_)) && report.id == Some(*session);
            if lineage.reports.iter().any(logs_in) {
                continue;
            }
            let confirms = |report: &&Report| {
                let plain = matches!(report.op, Op::Read | Op::Write | Op::Count | Op::Push | Op::PutVoucher);
                let is_own = report.id == Some(*session) && report.left == report.id && report.tokens.len() == 1;
                plain && is_own && report.answered.is_some() && report.is_acknowledged() && !report.had_fault
            };
            let used = lineage.reports.iter().filter(confirms).map(|report| credential(&report.tokens[0]));
            let place = |of: &str| self.order.iter().position(|token| credential(token) == of);
            let Some(newest) = used.max_by_key(|used| place(used)) else { continue };
            if let Some(old) = tokens.iter().find(|token| place(credential(token)) < place(newest)) {
                return Err(format!(
                    "old token: {} opens a session that has used a newer one",
                    self.short(&[(*old).clone()])
                ));
            }
        }
        Ok(())
    }

    /// With its cookies, the browser reaches a working session, and can log in.
    pub(crate) async fn judge_way_out(&mut self) -> Result<(), String> {
        let hosts = self.hosts();
        for (host, path) in hosts.iter().flat_map(|host| PATHS.map(|path| (*host, path))) {
            // What the other host ended has ended a grace ago. Cookies of two sessions are out of the way after a
            // request.
            self.clock.advance(GRACE + Duration::from_secs(1));
            for _ in 0..2 {
                self.ask(Op::Read, host, path).await?;
            }
            let mut keys = Vec::new();
            for op in [Op::Write, Op::Read, Op::Login("ada"), Op::Read, Op::Write, Op::Count, Op::Read] {
                let number = self.notes.reports.lock().unwrap().len();
                let report = self.ask(op, host, path).await?;
                if let Some(failed) = report.failed {
                    return Err(format!(
                        "no lock-out: {op:?} fails with {failed:?} at {host}{path}, though all is quiet"
                    ));
                }
                let missing = keys.iter().find(|key| !report.saw.contains(*key));
                if let Some(missing) = missing.filter(|_| report.principal.as_deref() != Some("mallory")) {
                    return Err(format!("no lock-out: request {number} at {host}{path} does not see {missing}"));
                }
                if matches!(op, Op::Login(_)) && report.principal.is_some_and(|principal| principal != "ada") {
                    // A login takes over nothing of another user's session.
                    keys.clear();
                }
                keys.extend(key_of(op, number));
            }
        }
        Ok(())
    }
}

/// A live session shows all that was acknowledged, to it and to those that it came from.
fn shows_all(lineage: &Lineage<'_>, seen: &Opened) -> Result<(), String> {
    let mut written: Vec<(usize, &Report)> = Vec::new();
    for (source, until) in lineage.sources(seen.id) {
        written.extend(lineage.written(source, until));
    }
    written.retain(|(_, report)| report.is_acknowledged());
    let took: BTreeSet<&String> = written.iter().flat_map(|(_, report)| &report.took).collect();
    let all = &lineage.reports;
    let uncertain = |op: Op| all.iter().filter(|report| report.op == op && report.is_uncertain()).count();
    for (number, report) in &written {
        if let Some(key) = key_of(report.op, *number).filter(|key| !took.contains(key) && !seen.keys.contains(key))
            && (report.op != Op::PutVoucher || uncertain(Op::TakeVoucher) == 0)
        {
            return Err(format!("no loss: {key} was acknowledged, and is missing in {:?}", seen.id));
        }
        let message = format!("message{number}");
        let is_missing = report.op == Op::Push && !took.contains(&message) && !seen.messages.contains(&message);
        if is_missing && uncertain(Op::Pop) == 0 {
            return Err(format!("no loss: {message} was acknowledged, and is missing in {:?}", seen.id));
        }
    }
    let counted = written.iter().filter(|(_, report)| report.op == Op::Count).count();
    let most = counted + uncertain(Op::Count);
    if !(counted..=most).contains(&(seen.count as usize)) {
        return Err(format!("no loss: {:?} counts {}, where {counted} were acknowledged", seen.id, seen.count));
    }
    Ok(())
}

/// A taken value goes to only one of all requests.
fn takes_once(lineage: &Lineage<'_>) -> Result<(), String> {
    let mut taken: BTreeMap<&String, Vec<(SessionId, usize)>> = BTreeMap::new();
    for report in lineage.reports.iter() {
        let (Some(session), Some(done)) = (report.left, report.done) else { continue };
        for item in &report.took {
            taken.entry(item).or_default().push((session, done));
        }
    }
    for (item, takers) in taken {
        for (session, _) in &takers {
            let sources = lineage.sources(*session);
            let before = |(other, done): &&(SessionId, usize)| {
                sources.iter().any(|(source, until)| source == other && done < until)
            };
            if takers.iter().filter(before).count() > 1 {
                return Err(format!("once: {item} was taken twice"));
            }
        }
    }
    Ok(())
}
