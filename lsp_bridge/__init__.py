"""The bridge: LSP to an editor on one side, a client of sessions on the other. It comes and goes with the editor."""
