"""The exception for errors that the user can fix."""


class UserError(Exception):
    """Invalid input: a wrong path, an unreadable file, differing sizes, an unknown name.

    The message is one line that names the file or option, what is wrong with it and how to fix it.
    The command lines print it on stderr and exit with code 2, without a traceback.
    """
