"""The kernel process: runs user code, nothing else. ``python -m zmqkernel.kernel -f FILE [--link DIR]``.

Importing this package imports nothing: the io thread answers before the heavy modules are there.
"""
