"""A whole Wattledger on a tiny network, for tests that break something in it.

``network``  the configuration, small enough to compute every figure by hand
``sandbox``  the stand-in processor and the receiver of webhooks, in this event loop
``server``   ``wattledger serve``: as a process that can be killed, or in this event loop
``points``   charge points (PyPI ``ocpp``) that repeat what was not answered, as real ones do
``system``   all of it together, and what an operator can do from outside
``day``      a day on that network with its figures
"""
