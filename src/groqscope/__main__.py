"""`python -m groqscope`, where the command is not on the path."""

from groqscope.cli import main

main()
