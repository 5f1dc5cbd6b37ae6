"""The steps: the only code that joins stages. Each step is one database transaction.

A session goes authorize -> start -> meter -> end -> bill -> collect; money comes back through
settle -> reconcile. Only edges call these. A step names its checkpoints by its own name:
``<step>.before_commit`` and ``<step>.after_commit``, and a test kills the process at each.

Along the path of the data:

=============== ===================================================================
``starting``    a start that is paid for first, until its session is there
``charging``    a session from the decision to the moment it can be billed
``importing``   sessions that another system hands over when they are finished
``stations``    what charge points are told, and have to know
``display``     what drivers are shown while they charge
``billing``     from a billable session to its documents, and what changes them later
``collecting``  how the parts of a charge get their money
``terminals``   payments by card at a terminal, and their sessions
``returning``   refunds and disputes
``settle``      the processor's own lines move money in the ledger
``tell``        signed webhooks to the books
``reconcile``   whether all of it agrees
``deciding``    what people see of money, and decide about it
=============== ===================================================================

Beside them what all steps share: ``world`` (the unit of work, the configuration in memory), and how
an effect finds its way back: ``kinds`` (at which desk it is done), ``handlers`` and ``registry``
(who takes its outcome in), ``outcomes`` (the step itself), ``timed`` and ``agenda`` (what was put
off to a business time, and what is due), ``keys`` (answers to a request that comes again).
"""

# Every step that opens a transaction. The kill tests are made from this list.
STEPS = (
    "schedule",
    "authorize",
    "boot",
    "start",
    "meter",
    "status",
    "stop",
    "unplug",
    "transaction_event",
    "look_after",
    "import",
    "bill",
    "adjust",
    "held",
    "captured",
    "released",
    "charged",
    "incremented",
    "delivered",
    "act",
    "terminal_report",
    "vendor_settled",
    "withdrawn",
    "presented",
    "mailed",
    "ask",
    "command",
    "commanded",
    "shown",
    "inbox",
    "refunded",
    "fetched",
    "uploaded",
    "evidenced",
    "due",
    "settle",
    "reconcile",
    "resolve",
    "proxied_start",
    "proxied_start_alone",
    "proxied_keep",
    "proxied_try",
    "proxied_told",
    "proxied_give_up",
    "proxied_ended",
    "proxied_refused",
)

# Every kind of effect that is done in its own way: of the commands to charge points one stands for
# all. Each can be killed after the claim and after the call.
EFFECT_KINDS = (
    "stripe.hold",
    "stripe.intent",
    "stripe.capture",
    "stripe.release",
    "stripe.charge",
    "stripe.increment",
    "stripe.refund",
    "stripe.file",
    "stripe.evidence",
    "stripe.fetch",
    "stripe.sweep",
    "money.due",
    "stripe.read",
    "stripe.reader",
    "stripe.reader_cancel",
    "vendor.settle",
    "webhook.deliver",
    "mail.send",
    "ocpp.remote_stop",
    "cost.due",
)


def checkpoints() -> tuple[str, ...]:
    """The name of every place where a test kills the process."""
    steps = [f"{step}.{side}" for step in STEPS for side in ("before_commit", "after_commit")]
    effects = [f"effect.{kind}.{when}" for kind in EFFECT_KINDS for when in ("claimed", "called")]
    return tuple(steps + effects)
