"""``listening``: a gateway on a real socket."""

from gateway_edge import listening

__all__ = ["listening"]
