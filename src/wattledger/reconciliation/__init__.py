"""Whether meter, charge, processor, bank and books agree.

Guarantees: zero tolerance; an item is matched at most once in a leg (the database refuses a
second time); the same facts give the same matches and breaks; what does not match is a break
with a code, an amount, an age and a proposal. Does not guarantee a cause: it names what it
sees. The bank's own lines and an accounting system's own entries are not read yet.
"""
