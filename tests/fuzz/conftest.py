"""``make fuzz`` reports the number of malformed inputs, and fails if it is too small."""

from pathlib import Path

import malformed


def pytest_terminal_summary(terminalreporter):
    if not malformed.FULL:
        return
    for line in malformed.figures:
        terminalreporter.write_line(line)
    total = sum(malformed.counts.values())
    by_kind = ", ".join(f"{count} {kind}" for kind, count in sorted(malformed.counts.items()))
    if total:
        terminalreporter.write_line(f"malformed inputs tried: {total} ({by_kind})")


def pytest_sessionfinish(session, exitstatus):
    arguments = [Path(argument).resolve() for argument in session.config.args]
    is_whole = Path(__file__).parent in arguments and not session.config.option.keyword
    total = sum(malformed.counts.values())
    if malformed.FULL and is_whole and exitstatus == 0 and total < malformed.LEAST:
        print(f"\nonly {total} malformed inputs, {malformed.LEAST} are the least")
        session.exitstatus = 1
