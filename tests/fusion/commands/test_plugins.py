"""Commands that other packages add to ``fusion``."""

from importlib.metadata import EntryPoint

import pytest

from fusion.commands.cli import main, plugins


@pytest.fixture
def plugged_in(monkeypatch, tmp_path, registries):
    """A function that installs a package with one command."""

    def install(name: str, value: str) -> None:
        entry = EntryPoint(name, value, plugins.GROUP)
        monkeypatch.setattr(plugins, "entry_points", lambda group: (entry,))

    (tmp_path / "my_shaking.py").write_text(
        "def add_shake(commands):\n"
        "    parser = commands.add_parser('shake', help='shake the camera')\n"
        "    parser.set_defaults(command=lambda arguments: print('shaken') or 0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return install


def test_a_command_of_another_package_is_listed_and_runs(plugged_in, capsys):
    plugged_in("shake", "my_shaking:add_shake")
    assert main(["shake"]) == 0
    assert capsys.readouterr().out == "shaken\n"
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "shake the camera" in capsys.readouterr().out


def test_own_commands_do_not_look_for_others(monkeypatch, capsys):
    monkeypatch.setattr(plugins, "entry_points", lambda group: pytest.fail("looked"))
    with pytest.raises(SystemExit):
        main(["fuse", "--help"])
    assert "fuse two images" in capsys.readouterr().out.lower()


def test_no_package_replaces_a_command_of_this_one(plugged_in, capsys):
    plugged_in("fuse", "my_shaking:add_shake")
    with pytest.raises(SystemExit):
        main(["shake"])
    assert "shake" in capsys.readouterr().err


def test_a_command_that_cannot_be_imported_is_one_line(plugged_in, capsys):
    plugged_in("shake", "my_absent:add_shake")
    assert main(["shake"]) == 2
    assert capsys.readouterr().err.startswith("fusion: my_absent: no such module")
