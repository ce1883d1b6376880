"""The one exception that stands for "the user can mend this"."""


class UserError(Exception):
    """Bad input: a wrong path, an unreadable file, sizes that differ, an unknown name.

    The message is one line that names the file (or option), says what is wrong with it and how
    to mend it. The command lines print it on stderr and exit with code 2, without a traceback.
    """
