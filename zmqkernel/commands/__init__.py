"""What the commands do. ``zmqkernel/cli/`` declares their names, arguments and help; nothing in here knows typer."""
