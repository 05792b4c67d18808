"""What all tests rely on."""

import signal

# A shell that starts the tests in the background has them ignore Ctrl-C, and some of them press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
