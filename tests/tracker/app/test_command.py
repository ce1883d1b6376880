"""``fusion app``: its options, its errors, and its end."""

import socket
import subprocess
import sys

import pytest

from fusion.commands.cli import main


def test_it_is_a_command_of_both_programs(capsys):
    from tracker.commands.cli import main as tracker_main

    for program in (main, tracker_main):
        with pytest.raises(SystemExit) as ended:
            program(["app", "--help"])
        assert ended.value.code == 0
        assert "127.0.0.1" in capsys.readouterr().out


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("tracker.app.command.find_spec", lambda name: None)
    assert main(["app"]) == 2
    assert capsys.readouterr().err == (
        "fusion: app: nicegui not installed; pip install 'rgbt-lrrnet[app]'\n"
    )


def test_a_port_in_use_is_refused(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["app", "--port", str(taken.getsockname()[1])]) == 2
    assert "--port 0 for a free port" in capsys.readouterr().err


def test_missing_weights_are_refused(capsys):
    assert main(["app", "--weights", "none.safetensors"]) == 2
    assert "none.safetensors: no such file" in capsys.readouterr().err


def test_help_loads_no_server():
    code = (
        "import sys, tracker.commands.cli as cli\n"
        "try: cli.main(['app', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'nicegui', 'torch', 'fastapi'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_its_end_leaves_no_file(start_app, tmp_path):
    app = start_app()
    assert list(tmp_path.glob("rgbt-app-*"))
    with pytest.raises(FileNotFoundError, match="404"):
        app.get("/files/no/1/name.png")
    app.end()
    assert not list(tmp_path.glob("rgbt-app-*"))
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()
