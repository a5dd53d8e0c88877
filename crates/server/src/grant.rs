//! What the rules have granted a request, and what becomes of it under the spelling that is found.

use std::net::SocketAddr;

use memtftp_proto::{Refusal, RefusalReason};
use memtftp_store::Name;

use crate::neighbours::Neighbours;
use crate::refusals::{bad_name, by_rule};
use crate::rules::{Caps, Decision, Direction, Granted, Hardware, RuleRequest, Rules};

/// A request that the rules allow, as far as the spelling of its file's name is known.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    rules: Rules,
    peer: SocketAddr,
    request: RuleRequest,
    granted: Granted,
}

/// Why the rules do not allow a request.
pub(crate) enum Denied {
    Refused(Refusal),
    /// The rules need the client's hardware address.
    HardwareNeeded,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Denied {
        Denied::Refused(refusal)
    }
}

impl Grant {
    /// Asks the rules about a request for `name`.
    pub(crate) fn decide(
        rules: &Rules,
        peer: SocketAddr,
        hardware: Hardware,
        direction: Direction,
        name: Name,
    ) -> Result<Grant, Denied> {
        let request = RuleRequest { client: peer.ip(), hardware, direction, name };
        let granted = granted(rules.decide(&request))?;
        Ok(Grant { rules: rules.clone(), peer, request, granted })
    }

    /// The file that is meant, in the spelling known so far.
    pub(crate) fn name(&self) -> &Name {
        &self.granted.name
    }

    /// The name that was asked for, before any rule.
    pub(crate) fn asked(&self) -> &Name {
        &self.request.name
    }

    /// Limits for this transfer.
    pub(crate) fn caps(&self) -> Caps {
        self.granted.caps
    }

    /// Whether the file may be found under another spelling.
    pub(crate) fn ignores_case(&self) -> bool {
        self.granted.ignore_case
    }

    /// Goes on with the file's true spelling, on which the rules decide again.
    ///
    /// The name may be another afterwards, to be looked for in its turn. Each time fewer rules are
    /// left, so that ends.
    pub(crate) fn respell(&mut self, found: Name) -> Result<(), Denied> {
        let decision = self.rules.decide_spelled(&self.request, &self.granted, found, |_| {});
        self.granted = granted(decision)?;
        Ok(())
    }

    /// Goes on with the file's true spelling, and reads the table of neighbours if the rules
    /// need the hardware address. Blocks for a system call, so it is not for a worker.
    pub(crate) fn respell_blocking(&mut self, found: Name) -> Result<(), Refusal> {
        match self.respell(found.clone()) {
            Ok(()) => Ok(()),
            Err(Denied::Refused(refusal)) => Err(refusal),
            Err(Denied::HardwareNeeded) => {
                let address = Neighbours::read().ok().and_then(|read| read.of(self.peer));
                self.request.hardware = address.map_or(Hardware::Unknown, Hardware::Known);
                self.respell(found).map_err(|denied| match denied {
                    Denied::Refused(refusal) => refusal,
                    Denied::HardwareNeeded => unknown_hardware("a rule"),
                })
            }
        }
    }
}

fn granted(decision: Decision) -> Result<Granted, Denied> {
    match decision {
        Decision::Serve(granted) => Ok(granted),
        Decision::HardwareNeeded => Err(Denied::HardwareNeeded),
        Decision::Refuse { rule, text } => {
            let reason = format!("{text} ({rule})");
            Err(by_rule(text, reason).into())
        }
        Decision::BadName { rule, error } => {
            let refusal = bad_name(error);
            let reason = format!("{}, made by {rule}", refusal.text);
            Err(refusal.because(reason).counted_as(RefusalReason::Rule).into())
        }
        Decision::HardwareUnknown { rule } => Err(unknown_hardware(&rule).into()),
    }
}

fn unknown_hardware(rule: &str) -> Refusal {
    let reason =
        format!("{rule} needs the client's hardware address, which the system does not know");
    by_rule("your hardware address is not known here", reason)
}
