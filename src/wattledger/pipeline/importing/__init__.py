"""Finished sessions that another system hands over: JSON, mapped files, OCPI CDRs.

Guarantees that a record becomes one session however often it comes, and that a preview says what
the step then does.
"""
