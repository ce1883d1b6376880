"""``make fuzz`` says how many malformed inputs it tried, and fails where they were too few."""

import malformed


def pytest_terminal_summary(terminalreporter):
    if not malformed.counts or not malformed.FULL:
        return
    total = sum(malformed.counts.values())
    by_kind = ", ".join(f"{count} {kind}" for kind, count in sorted(malformed.counts.items()))
    terminalreporter.write_line(f"malformed inputs tried: {total} ({by_kind})")


def pytest_sessionfinish(session, exitstatus):
    everything = not session.config.option.keyword and len(session.config.args) == 1
    if malformed.FULL and everything and exitstatus == 0:
        total = sum(malformed.counts.values())
        if total < malformed.LEAST:
            session.exitstatus = 1
            print(f"\nonly {total} malformed inputs, {malformed.LEAST} are the least")
