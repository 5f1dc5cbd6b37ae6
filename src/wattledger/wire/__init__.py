"""Pure message types and codecs. Nothing here knows a socket or a database."""
