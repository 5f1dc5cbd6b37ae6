"""The steps: the only code that joins stages. Each step is one database transaction.

A session goes authorize -> start -> meter -> end -> bill -> collect; money comes back through
settle -> reconcile. Only edges call these. A step names its checkpoints by its own name:
``<step>.before_commit`` and ``<step>.after_commit``, and a test kills the process at each.
"""

# Every step that opens a transaction. The kill tests are made from this list.
STEPS = (
    "schedule",
    "authorize",
    "start",
    "meter",
    "status",
    "stop",
    "import",
    "bill",
    "adjust",
    "held",
    "captured",
    "released",
    "delivered",
    "commanded",
    "inbox",
    "settle",
    "reconcile",
    "resolve",
)

# Every kind of effect. Each can be killed after the claim and after the call.
EFFECT_KINDS = (
    "stripe.hold",
    "stripe.capture",
    "stripe.release",
    "stripe.read",
    "webhook.deliver",
    "ocpp.remote_stop",
)


def checkpoints() -> tuple[str, ...]:
    """The name of every place where a test kills the process."""
    steps = [f"{step}.{side}" for step in STEPS for side in ("before_commit", "after_commit")]
    effects = [f"effect.{kind}.{when}" for kind in EFFECT_KINDS for when in ("claimed", "called")]
    return tuple(steps + effects)
