"""Every code of an anomaly: what it means, how much it stops, and what a person can do.

The one place where codes are described; docs/anomalies.md is held against it by a test, and it
against the codes that the source records.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How much an anomaly stops."""

    HOLDS = "holds a session"
    """The session is not billed until somebody decides."""
    LOOK = "needs a look"
    """Nothing waits for it, but something outside may be wrong: a charger, an account, money."""
    NOTE = "for information"
    """What was done about it is right as far as anybody can tell; seeing it is enough."""


class Code(msgspec.Struct, frozen=True):
    """One code. ``meaning`` is a sentence for a person who never read the source; ``todo`` says
    what that person can do."""

    meaning: str
    severity: Severity
    todo: str = "Accept it once it is seen."


_H, _L, _N = Severity.HOLDS, Severity.LOOK, Severity.NOTE
_CORRECT = "Correct the registers or times from the charger's own display or log, or discard it."
_TARIFF = "Correct the tariff for later sessions; discard this one, or correct its times."
_TIMES = "Correct the times, or discard it."

# fmt: off
CODES: dict[str, Code] = {
    # What a session's facts say against each other.
    "start.missing": Code(
        "No start with a register reading is known.", _H, _CORRECT),
    "stop.missing": Code(
        "The transaction never told its stop, and must be over: it is billed by its last reading,"
        " or held where there is none.", _H,
        "Where it was billed, accept it. Else correct the stop from the charger's log, or discard"
        " it."),
    "stop.before_start": Code("The stop is earlier than the start.", _H, _TIMES),
    "clock.changed": Code(
        "The session was told as if it had been kept while offline, and its charge point's clock"
        " was behind, or was put right meanwhile: its times are not known.", _H,
        "Correct start and stop from the driver's word or the charger's log, or discard it; set"
        " the charge point's clock."),
    "register.fell": Code("The register fell during the session.", _H, _CORRECT),
    "stop.differs": Code(
        "A second, different stop came for the same transaction; the first one counts.", _L,
        "Accept the first, or correct the stop."),
    "record.differs": Code(
        "A system sent a session again under its id, with another content; the first one counts.",
        _L, "Accept the first, or correct the session by the record in the detail."),
    "stop.late": Code(
        "A stop came for a transaction that was taken for over.", _N,
        "Accept it; correct the stop if what was billed is wrong."),
    "data.late": Code(
        "Something became known after the session had ended: an issued bill is looked at again.",
        _N, "Accept it; the adjustment, if there is one, stands beside the bill."),
    "events.missing": Code(
        "Events of the transaction are missing by their numbers; the bill waits for them a while.",
        _N, "Accept it; correct the session if what never came changes it."),
    "token.missing": Code(
        "A transaction ended, and no token was ever told: nobody can be billed.", _L,
        "Free charging at that station may be switched on: switch it off, or accept."),
    "transaction.matched": Code(
        "A message named no transaction, and only one could be meant: it was taken for that one.",
        _N),
    "transaction.reused": Code(
        "A station gave a new transaction the id of one that had ended: it is another session.", _L,
        "Update the station's firmware: it forgets what it counted."),
    "sample.invalid": Code(
        "A meter value is no number, or in no unit of energy: it was left out.", _L,
        "Look at the charge point's meter settings; correct the session if it matters."),
    # What the register says.
    "register.missing": Code("No register was read at all.", _H, _CORRECT),
    "unit.doubtful": Code(
        "Wh and kWh were mixed up somewhere, and nobody can know where.", _H,
        "Correct the registers; if this charge point always does it, set its meter_unit."),
    "register.doubtful": Code(
        "Zero was told beside a register of the same moment, and nobody can know which is right.",
        _H, _CORRECT),
    "energy.implausible": Code(
        "More energy than the charge point can deliver in that time.", _H,
        "Correct the registers; check the charge point's power_w and its unit."),
    "begin.missing": Code(
        "No register was read at the start: the first reading after it was taken.", _N),
    "end.missing": Code(
        "No register was read at the stop: the last reading before it was taken.", _N),
    "meter.disagrees": Code(
        "The charge point told one register twice, and not alike; the better one was billed.", _L,
        "Accept it, or correct the session; if it happens often the meter wants a look."),
    "register.dip": Code("A reading fell and rose again: it was left out.", _N),
    "register.spike": Code("A reading was higher than can be: it was left out.", _N),
    "register.reset": Code(
        "The register began at zero during the session: both parts were added up.", _L,
        "Accept it once the energy looks right; else correct the session."),
    "register.rollover": Code("The register passed its last digit: it was counted on.", _N),
    "register.moved": Code(
        "The register went on between two sessions: energy was delivered that no session has.", _L,
        "Look for a session that the charge point lost; accept it when it is explained."),
    "register.overlap": Code(
        "A session starts below where the one before stopped: the same energy may be in both.", _L,
        "Look at both sessions; correct the wrong one."),
    "status.contradicted": Code(
        "Energy flowed while the charge point said that it did not: that time is charging.", _N),
    # Signed meter values.
    "signature.invalid": Code(
        "A signed meter value is not signed by the meter's key.", _L,
        "Check the charge point's meter_keys; if they are right, somebody changed the value."),
    "signature.not_billable": Code(
        "A signed meter value says itself that it may not be billed.", _L,
        "Look at the meter's state; the raw values are billed where the site allows that."),
    "signature.missing": Code(
        "The site's rules want signed meter values, and there are none that can be trusted.", _H,
        "Configure the meter's key for later sessions; correct this one from the meter, or"
        " discard it."),
    "price.as_displayed": Code(
        "A session began offline, and its contract's price is above what the display showed: it was"
        " billed by what was shown.", _N),
    "cost.differs": Code(
        "The station calculated another price than we do; ours is billed.", _L,
        "Compare both in the detail: the station may have an old tariff, or another clock."),
    "tariff.not_sayable": Code(
        "A tariff says what OCPP 2.1 has no words for: stations show no price of their own by it.",
        _N, "Accept it, or simplify the tariff; what is billed is not touched."),
    "stop.not_ours": Code(
        "A session should have been stopped, and only the CPMS behind the proxy may: it runs on.",
        _L, "Stop it there; or let us, with `commands = true` of the site's proxy."),
    "look.failed": Code(
        "A fault of ours kept a silent session from being looked after; it is tried again.", _L),
    "unplug.missing": Code(
        "Nobody saw the vehicle leave: no idle time after the stop is billed.", _N),
    "clock.wrong": Code(
        "The charge point's clock can't be right; the time of receipt was taken.", _L,
        "Set the charge point's clock; correct the session's times if they matter."),
    "ceiling.unpriced": Code(
        "The running cost could not be computed: the session could exceed its hold.", _L,
        "Wait for the bill: if it can't be priced then either, the session is held."),
    "payment.missing": Code(
        "A session that a card should pay has no payment: none at its terminal fits it, or more"
        " than one does; or another system sent it without one.", _H,
        "Accept to bill it: what no card pays is waived or owed, by the account's policy. Or"
        " discard it."),
    "contract.missing": Code(
        "A transaction began where no tariff or plan was in force: there is no session.", _L,
        "Give the site a tariff that is valid from then on; nothing can be billed after the fact."),
    "transaction.unknown": Code(
        "A charge point spoke of a transaction that we never saw start.", _L,
        "Look it up in the charger's log. If it must be paid, send it as a finished session over"
        " the API, and accept this."),
    # What pricing refuses.
    # What an adjustment finds.
    "adjustment.held": Code(
        "Late data can't be priced: the bill that was issued stands as it is.", _L,
        "Correct the registers or times; accept it if the bill is right."),
    "adjustment.failed": Code(
        "A fault of ours kept an issued bill from being adjusted; it stands as it is.", _L,
        "Once the cause is mended, correct the session with the values that are right."),
    # Money that goes back.
    "refund.failed": Code(
        "A refund came back from the card's bank: the driver is owed it again.", _L,
        "Try it again, or pay the driver otherwise and say so."),
    "refund.refused": Code(
        "The processor did not give a refund back: the driver is owed it still.", _L,
        "See why in the detail; try it again, or pay the driver otherwise and say so."),
    "refund.foreign": Code(
        "A refund was made at the processor, past us: it stands in suspense.", _L,
        "Take it over as a refund of its session, or find out who made it. Where its payment pays"
        " several sessions, say how much is of which. Of a wallet's top-up it leaves the wallet."),
    "wallet.owed": Code(
        "The processor took more back of a top-up than its wallet still had: sessions that it had"
        " paid are owed, or waived.", _L,
        "Look at the debts: they are tried again by their days, and the next top-up pays them"
        " first. Write off what nobody is to be asked for."),
    "dispute.opened": Code(
        "A driver's bank disputes a payment, and the processor withdraws it.", _L,
        "Look at its session; send the evidence before it is due, or let it be."),
    "dispute.inquiry": Code(
        "A driver's bank asks about a payment before it disputes it; no money has moved.", _L,
        "Answer it, or refund the session: that ends it without a dispute's fee."),
    "dispute.due": Code(
        "The evidence for a dispute is due soon, and none was sent.", _L,
        "Send it, or the dispute is lost."),
    "evidence.refused": Code(
        "The processor refused the evidence for a dispute: the bank has none of it.", _L,
        "Answer it in the processor's dashboard before it is due; the detail has its words."),
    "evidence.file": Code(
        "The evidence for a dispute goes without a file that could not be uploaded.", _N,
        "The text of it was sent all the same; the detail has the processor's words."),
    "dispute.lost": Code(
        "A dispute was lost: its amount is an expense.", _L,
        "See whether who paid may charge again, and lift the block."),
    "fraud.warning": Code(
        "A card's issuer takes a payment for fraud; nobody has disputed it yet.", _L,
        "Refund the session: that costs less than the dispute that mostly follows."),
    "intent.unknown": Code(
        "The processor has a payment on our account that we did not ask for.", _L,
        "Find out who made it there; what it takes shows as a break."),
    "intent.differs": Code(
        "A payment is over here, and the processor still holds its money, or took it.", _L,
        "Release it at the processor, or find its session."),
    "fetch.refused": Code(
        "The processor does not answer a question about one of its objects.", _L,
        "See why in the detail; the nightly sweep asks again."),
    "mail.unknown": Code(
        "A mail server had the whole of a receipt and gave no answer: whether it was sent is not"
        " known, and it is not sent again.", _N,
        "If its driver has none, `wattledger receipt SESSION --link` prints the link to give out."),
    "mail.refused": Code(
        "A mail server refused a receipt for good; the detail has its words.", _L,
        "Correct the driver's address for later sessions; `wattledger receipt SESSION --link`"
        " prints the link to give out."),
    "bill.failed": Code(
        "A fault of ours kept the session from being billed.", _H,
        "Accept to try again once the cause is mended, or discard it."),
    "charge.booked_before": Code(
        "The ledger already has a charge under this session's number.", _H,
        "Run `wattledger verify`; don't bill it twice. Discard it if the other charge stands."),
    "stream.unknown": Code("A line of the charge has no revenue account.", _H,
        "A newer version may know it: accept to try again."),
    "total_below_zero": Code(
        "The total is below zero, and no way of collecting pays a driver.", _H,
        "Give the tariff a minimum price for later sessions; discard this one."),
    "ended_before_started": Code("The bill would end before it starts.", _H, _TIMES),
    "too_long": Code("The session is longer than any that is billed unseen.", _H, _TIMES),
    "missing_reading": Code("A reading that the price needs is missing.", _H, _CORRECT),
    "reading_before_start": Code("A reading is older than the start.", _H, _CORRECT),
    "reading_after_end": Code("A reading is younger than the end.", _H, _CORRECT),
    "readings_out_of_order": Code("The readings are not in the order of time.", _H, _CORRECT),
    "falling_register": Code("The register falls between two readings.", _H, _CORRECT),
    "changes_out_of_order": Code("The activities are not in the order of time.", _H, _TIMES),
    "reservation_out_of_order": Code("The reservation ends after the start.", _H, _TIMES),
    "naive_time": Code("A time has no zone.", _H, _TIMES),
    "unknown_time_zone": Code(
        "The site's time zone is no IANA zone.", _H, "Correct the site; discard this session."),
    "missing_measurement": Code(
        "The tariff asks for a measurement that the charger does not send.", _H, _TARIFF),
    "no_valid_tariff": Code("No tariff was valid at the start.", _H, _TARIFF),
    "no_tariff_component": Code("No element of the tariff applies at any time of it.", _H, _TARIFF),
    "one_sided_time": Code("The tariff has a start time without an end time.", _H, _TARIFF),
    "tax_not_stated": Code("Neither the tariff nor the contract states the tax.", _H, _TARIFF),
    "too_fine": Code("The tariff's prices share no common denominator.", _H, _TARIFF),
    "too_large": Code("The tariff makes too many prices of a week.", _H, _TARIFF),
    "too_many_periods": Code("The tariff cuts the session into too many periods.", _H, _TARIFF),
    # Holds, captures and other calls outside.
    "hold.differs": Code(
        "The processor holds another amount than was asked for.", _L,
        "Look at the payment in the processor's dashboard."),
    "hold.failed": Code(
        "The processor refused a hold for a reason that is not the card's: every hold may fail.",
        _L, "Check the processor's account and key."),
    "hold.lapsing": Code(
        "A hold is about to lapse, and its session has not been billed.", _L,
        "Decide the session first if it is held; else stop it at the charger."),
    "hold.orphan": Code(
        "A hold has no session, and its start was over long before: it should have been given"
        " back.", _L,
        "Where it was not given back by itself, refuse it if it is parked, else see the call that"
        " has no answer."),
    "hold.gone": Code(
        "A hold is no more, and we did not give it back: it lapsed, or somebody cancelled it.", _L,
        "Look at the payment at the processor; its session is paid as its contract says."),
    "hold.gone_charged": Code(
        "The hold was gone when it was to be captured: the card is charged again instead.", _N,
        "Accept it; should the card refuse, it is a debt or a waiver."),
    "hold.gone_owed": Code(
        "The hold was gone when it was to be captured: the driver owes it.", _L,
        "Look at the debts."),
    "hold.gone_waived": Code(
        "The hold was gone when it was to be captured: nobody pays it.", _L,
        "Bill sooner, or allow second charges and debts for such sessions."),
    "increment.declined": Code(
        "The card does not hold more: the earlier hold stays good, and charging stops under it.",
        _N, "Accept it once it is seen."),
    "capture.outside": Code(
        "Somebody captured a payment at the processor, not we.", _L,
        "Once its session is billed, or free, give back what it took beyond the price: `give-back`"
        " of the payment."),
    "charge.failed": Code(
        "The processor refused a charge for a reason that is not the card's.", _L,
        "Check the processor's account and key; the amount is a debt, or waived."),
    "terminal.suspense": Code(
        "A payment at a terminal fits no session, or more than one.", _L,
        "Match it to its session, give it back, or keep it: it stays in the books for whoever"
        " paid."),
    "terminal.differs": Code(
        "A terminal's vendor said two amounts of one payment, or named one that has paid another"
        " session; the first counts.", _L,
        "Ask the vendor; correct the session, or settle the difference with them."),
    "terminal.unsettled": Code(
        "A payment at a terminal was not settled: nobody has paid its session.", _L,
        "Have it settled at the terminal's provider, or make the session a debt or waive it, among"
        " those without their payment."),
    "terminal.reversed": Code(
        "A payment at a terminal was reversed after it had been settled, or its session billed.",
        _L, "Make it a debt or waive it, among the sessions without their payment; or refund the"
        " session if that is what it was."),
    "payment.parked": Code(
        "A payment is above a safety bound: nothing is sent until somebody decides.", _L,
        "Release it if it is right; else refuse it."),
    "debt.final": Code(
        "A debt was tried on all its days, and nobody paid.", _L,
        "Try it again, write it off, or collect it otherwise."),
    "capture.over": Code(
        "More was captured than was held.", _L,
        "Give back what was held and not asked for: `give-back` of the payment; the rest at the"
        " processor."),
    "capture.differs": Code(
        "Another amount was captured than was asked for.", _L,
        "What is missing is owed or waived; what is too much is a break of the reconciliation until"
        " it is given back: `give-back` of the payment."),
    "capture.refused": Code(
        "The processor refused to capture; the charge is owed or waived.", _L,
        "Look at the payment, and at the debts."),
    "capture.too_small": Code("The amount is below what a card can be asked for: waived.", _N),
    "release.refused": Code(
        "The processor refused to give a hold back.", _L,
        "Cancel it in the processor's dashboard."),
    "effect.stuck": Code(
        "A call outside has been tried many times without a certain answer.", _L,
        "Check that the other side can be reached; it is still tried."),
    "processor_item.unreadable": Code(
        "The processor reported a movement of money that we can't read.", _L,
        "Nothing of it is booked: report it to us with its detail."),
    "payout.failed": Code(
        "The bank sent a payout back.", _L, "Check the bank account at the processor."),
    "settings.refused": Code(
        "A charge point did not take all of its metering settings, or takes them only once it has"
        " booted again.", _N,
        "Set them at the charge point, or boot it again; readings may miss the tariff's"
        " boundaries until then."),
    # Frames.
    "frame.malformed": Code(
        "A charge point sent a frame that can't be read.", _L,
        "It stands in the frames as it came. Often a firmware fault: report it to the maker."),
    "frame.failed": Code(
        "A frame could be read, and what it says could not be taken.", _L,
        "It stands in the frames as it came; the charge point was told to repeat it."),
    "frame.invalid": Code(
        "A message can't be what the standard says it is; the charge point was told so.", _L,
        "It stands in the frames as it came. Often a firmware fault: report it to the maker."),
    "rate.exceeded": Code(
        "A charge point sent more frames a second than it may, for long: it was cut off.", _L,
        "Look at its settings for meter values and heartbeats, or raise the limit."),
    # In front of another CPMS.
    "proxy.undelivered": Code(
        "A frame could not be handed to the CPMS that the charge point belongs to.", _L,
        "Our own record has it. If the CPMS must know, enter it there by hand."),
    "proxy.token_refused": Code(
        "The CPMS refused, too late, a token whose session began while it could not be reached.",
        _L, "Settle it with the CPMS's driver; here the session is billed by its contract."),
    "proxy.refused": Code(
        "The CPMS does not let the charge point in.", _L,
        "Check the charge point's name and password there."),
}
# fmt: on
REFUSED = Code(
    "The other side refused a call of this kind for good; it is not tried again.",
    _L,
    "See why in the detail; do by hand what it was for.",
)  # fmt: skip
UNKNOWN = Code("This version has no description of this code.", _L)


def describe(code: str) -> Code:
    """What ``code`` means. ``<kind of effect>.refused`` is one description for all kinds."""
    found = CODES.get(code)
    if found is not None:
        return found
    return REFUSED if code.endswith(".refused") else UNKNOWN
