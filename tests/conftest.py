import signal

from hypothesis import settings

# A busy machine is no falsifying example.
settings.register_profile("pasture", deadline=None)
settings.load_profile("pasture")

# Whoever runs the tests in the background may have made them deaf to it, and all that they start too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
