"""What people see of money, and what they decide about it: for the API, the page, the command line.

Guarantees that an act counts once under its key, names who decided and why, and stands for ever.
"""
