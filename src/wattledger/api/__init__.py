"""The edge over HTTP.

Guarantees: every route but health and the processor's webhooks asks for a key with its scope;
a webhook counts only with its signature; the same request again changes nothing.
"""
