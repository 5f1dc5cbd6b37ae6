"""The steps: the only code that joins stages. Each step is one database transaction.

A session goes authorize -> start -> meter -> end -> bill -> collect; money comes back through
settle -> reconcile. Only edges call these. A step names its checkpoints by its own name:
``<step>.before_commit`` and ``<step>.after_commit``, and a test kills the process at each.
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
