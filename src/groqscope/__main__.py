"""`python -m groqscope`, for when the command is not on the path."""

from groqscope.cli import main

main()
