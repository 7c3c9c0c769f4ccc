"""``python -m lsp_bridge``: the bridge on standard input and output."""

from .server import main

main()
