"""The command line, as tests call it."""
from fastbias.running import cli


def command(capsys, *words):
    """Its exit code, and what it says on stdout and stderr."""
    code = cli.main([str(w) for w in words])
    return code, *capsys.readouterr()
