"""What every process of zmqkernel shares: messages, wire format, connection files, journal and ring formats, folding.

Pure: no socket, thread, clock or disk in here. Import the modules you need; importing this package imports nothing.
"""
