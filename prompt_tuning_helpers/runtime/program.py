"""What the command line is called, for messages that name the next command. Imports nothing."""

PROGRAM = "local-watsonx"
