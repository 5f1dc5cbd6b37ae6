"""Starts that are paid for first: by an app, at the page of a charge point, at a terminal.

Guarantees that nothing starts before its hold stands, that a hold whose session does not come is
given back within a minute, and that what was agreed on the screen is what the session is billed by.
"""
