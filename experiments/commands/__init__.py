"""The verbs of the command line, one module each, imported when its verb is used.

Every module has `run(flags: argparse.Namespace) -> Answer`.
"""
