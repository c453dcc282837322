//! Checks the five promises after a run, and returns the first violation.

use std::collections::BTreeSet;

use crate::world::{Cookie, Op, Report, Sender, World};

/// The result of a run, with queries.
struct Run<'a> {
    world: &'a World,
    reports: Vec<(Sender, Op, Report)>,
}

pub(crate) fn verdict(world: &World) -> Result<(), String> {
    let reports = world.script().iter().zip(&world.reports);
    let reports = reports.map(|((who, op), report)| (*who, *op, report.borrow().clone())).collect();
    let run = Run { world, reports };
    run.no_elevation()?;
    run.no_response_undoes_a_login()?;
    run.no_return("within the grace")?;
    // From here on the requests of the verdict itself change the world; each part continues from the state that the
    // last one left.
    world.pass_grace();
    run.one_truth_and_no_loss()?;
    run.no_return("after the grace")?;
    run.old_tokens_end()?;
    run.no_lock_out()
}

/// Whether a request was delayed beyond the grace: it started before a grace passed and ended after it. Then nothing is
/// promised.
fn was_acknowledged(report: &Report) -> bool {
    report.ended.is_some() && report.failed.is_none() && !report.was_dropped
}

fn number_of(login: &str) -> usize {
    login.trim_start_matches("login").parse().expect("a login's key ends with its number")
}

fn logins(saw: &BTreeSet<String>) -> impl Iterator<Item = &String> {
    saw.iter().filter(|key| key.starts_with("login"))
}

impl Run<'_> {
    fn ask(&self, op: Op, token: Option<String>, number: usize) -> Report {
        self.world.ask(self.world.layer(), op, token, number)
    }

    fn shown(&self, token: &Option<String>) -> BTreeSet<String> {
        token.as_ref().and_then(|token| self.world.issued.get(token)).cloned().unwrap_or_default()
    }

    /// The session that a token was issued for.
    fn session_of(&self, token: &str) -> Option<String> {
        let issuer = self.reports.iter().map(|(_, _, report)| report);
        issuer
            .filter(|report| report.cookie == Some(Cookie::Set(token.to_owned())))
            .find_map(|report| report.left.clone())
    }

    fn has(&self, op: fn(&Op) -> bool) -> bool {
        self.reports.iter().any(|(_, other, _)| op(other))
    }

    /// Whether one session came from the other by logins, or is it.
    fn descends(&self, child: &Option<String>, parent: &Option<String>) -> bool {
        let mut at = child.clone();
        for _ in 0..20 {
            if at.is_none() {
                return false;
            }
            if at == *parent {
                return true;
            }
            let forked = |report: &&Report| report.left == at && report.id() != at;
            let Some(fork) = self.reports.iter().map(|(_, _, report)| report).find(forked) else { return false };
            at = fork.id();
        }
        false
    }

    fn no_elevation(&self) -> Result<(), String> {
        for (number, (_, _, report)) in self.reports.iter().enumerate() {
            let shown = self.shown(&report.token);
            if let Some(login) = logins(&report.saw).find(|login| !shown.contains(*login)) {
                return Err(format!("no elevation: request {number} reads {login} with a token of before it"));
            }
            if report.principal.is_some() && shown.is_empty() {
                return Err(format!(
                    "no elevation: request {number} is {:?} with a token of no login",
                    report.principal
                ));
            }
            for key in &report.saw {
                self.written_before(key, &shown, number)?;
            }
        }
        Ok(())
    }

    /// Nothing that a token of a login shows was written by a token from before the login after the login was saved.
    fn written_before(&self, key: &str, shown: &BTreeSet<String>, reader: usize) -> Result<(), String> {
        let Some(writer) = key.strip_prefix("write").and_then(|number| number.parse::<usize>().ok()) else {
            return Ok(());
        };
        let Some((_, _, written)) = self.reports.get(writer) else { return Ok(()) };
        let of_writer = self.shown(&written.token);
        for login in shown.iter().filter(|login| !of_writer.contains(*login)) {
            let Some((_, _, login)) = self.reports.get(number_of(login)) else { continue };
            if login.ended.is_some_and(|ended| written.started > ended) {
                return Err(format!(
                    "no elevation: request {reader} reads what an old token wrote after a login, {key}"
                ));
            }
        }
        Ok(())
    }

    /// A token that is sent again, or was rotated, is never that of the session before a login that the browser has.
    fn no_response_undoes_a_login(&self) -> Result<(), String> {
        let mut now = None;
        for number in &self.world.delivered {
            let (_, _, report) = &self.reports[*number];
            match &report.cookie {
                Some(Cookie::Set(_)) if now != report.left && self.descends(&now, &report.left) => {
                    return Err(format!("one truth: request {number} sends the token of a session that was left"));
                }
                Some(Cookie::Set(_)) => now = report.left.clone(),
                Some(Cookie::Removed) => now = None,
                None => {}
            }
        }
        Ok(())
    }

    fn no_return(&self, when: &str) -> Result<(), String> {
        for (number, (_, op, logout)) in self.reports.iter().enumerate() {
            if *op != Op::Logout || !was_acknowledged(logout) || logout.id().is_none() {
                continue;
            }
            let own = logout.id();
            let mut tokens: Vec<&String> = self.world.issued.keys().collect();
            tokens.extend(&logout.token);
            for token in tokens {
                let of = if Some(token) == logout.token.as_ref() { own.clone() } else { self.session_of(token) };
                let is_own = of == own && of.is_some();
                // The session before the login, and those that a second click made beside it.
                // Except if a request delayed beyond the grace thawed it, or the attacker saved to it.
                let thaws = |(who, op, report): &(Sender, Op, Report)| {
                    report.was_late || *who == Sender::Attacker && *op != Op::Read && was_acknowledged(report)
                };
                let is_before = !self.reports.iter().any(thaws)
                    && logout.principal.is_some()
                    && self.descends(&own, &of)
                    && of.is_some();
                if !is_own && !is_before {
                    continue;
                }
                let seen = self.ask(Op::Read, Some(token.clone()), 0).saw;
                if seen.contains("write99") {
                    return Err(format!(
                        "no return: {when} {token} shows the session that request {number} ended, of {of:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether no request ended the browser's session.
    fn nothing_ends(&self) -> bool {
        let ends = |op: &Op| matches!(op, Op::Logout | Op::RevokeOthers);
        let attacked = self.reports.iter().any(|(who, op, _)| *who == Sender::Attacker && matches!(op, Op::Login(_)));
        !self.has(ends) && !attacked && self.world.limit().is_none()
    }

    fn one_truth_and_no_loss(&self) -> Result<(), String> {
        let Some(jar) = &self.world.jar else { return Ok(()) };
        if !self.nothing_ends() {
            return Ok(());
        }
        let last = self.ask(Op::Read, Some(jar.clone()), 0);
        let shown = self.shown(&Some(jar.clone()));
        if last.id().is_none() {
            return Err("one truth: the browser's token leads nowhere, and nothing ended its session".to_owned());
        }
        let other_user = self.has(|op| matches!(op, Op::Login("eve")));
        if !other_user && !last.saw.contains("write99") {
            return Err("no loss: what was there in the beginning is lost".to_owned());
        }
        if let Some(missing) = shown.iter().find(|login| !last.saw.contains(*login) && !other_user) {
            return Err(format!("one truth: the browser was told of {missing}, and its token does not show it"));
        }
        if other_user {
            return Ok(());
        }
        let mut counted = 0;
        let mut uncertain = 0;
        for (number, (who, op, report)) in self.reports.iter().enumerate() {
            let is_here = self.descends(&last.id(), &report.left);
            match op {
                Op::Write | Op::Count if report.was_late || *who == Sender::Attacker => uncertain += 1,
                Op::Write if was_acknowledged(report) && is_here && !last.saw.contains(&format!("write{number}")) => {
                    return Err(format!("no loss: the acknowledged write of request {number} is lost"));
                }
                Op::Count if was_acknowledged(report) && is_here => counted += 1,
                Op::Count => uncertain += 1,
                _ => {}
            }
        }
        if !(counted..=counted + uncertain).contains(&last.saw_count) {
            return Err(format!("no loss: {} counted, where {counted} were acknowledged", last.saw_count));
        }
        Ok(())
    }

    /// A replaced token whose successor has been used is invalid after the grace.
    fn old_tokens_end(&self) -> Result<(), String> {
        let Some(jar) = &self.world.jar else { return Ok(()) };
        let now = self.ask(Op::Read, Some(jar.clone()), 0);
        self.world.pass_grace();
        if now.id().is_none() {
            return Ok(());
        }
        for token in self.world.issued.keys().filter(|token| *token != jar) {
            let is_older = self.reports.iter().any(|(_, _, report)| {
                report.token.as_ref() == Some(token) && report.cookie == Some(Cookie::Set(jar.clone()))
            });
            if is_older && self.ask(Op::Read, Some(token.clone()), 0).id() == now.id() {
                return Err("old token: a token still opens the session that has used a newer one".to_owned());
            }
        }
        Ok(())
    }

    fn no_lock_out(&self) -> Result<(), String> {
        let mut jar = self.world.jar.clone();
        for (op, number) in [(Op::Write, 200), (Op::Read, 0), (Op::Login("ada"), 201), (Op::Write, 202), (Op::Read, 0)]
        {
            let report = self.ask(op, jar.clone(), number);
            if let Some(failed) = report.failed {
                return Err(format!("no lock-out: {op:?} fails with {failed:?} though all is quiet"));
            }
            match report.cookie {
                Some(Cookie::Set(token)) => jar = Some(token),
                Some(Cookie::Removed) => jar = None,
                None => {}
            }
        }
        let last = self.ask(Op::Read, jar, 0);
        if ["write200", "login201", "write202"].iter().all(|key| last.saw.contains(*key)) || self.was_eve(&last) {
            return Ok(());
        }
        Err(format!("no lock-out: the browser has {:?} after a write and a login", last.saw))
    }

    /// Over another user's session a login starts empty.
    fn was_eve(&self, last: &Report) -> bool {
        let anothers = self.has(|op| matches!(op, Op::Login(user) if *user != "ada"));
        anothers && ["login201", "write202"].iter().all(|key| last.saw.contains(*key))
    }
}
