"""Configurations that extend others."""

from pathlib import Path

import pytest
import yaml

from fusion.base.configuration import merged, nested, read_config, with_bases, write_config
from fusion.base.errors import UserError


def test_a_configuration_builds_on_others(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {x: 1, y: {z: 1, w: [1, 2]}}\ndata: {k: 1}\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nmodel: {y: {w: [3]}}\n")
    (tmp_path / "c.yaml").write_text("base: b.yaml\nmodel: {x: null}\n")
    expected = {"model": {"x": None, "y": {"z": 1, "w": [3]}}, "data": {"k": 1}}
    assert read_config(tmp_path / "c.yaml") == expected
    made = tmp_path / "made"
    made.mkdir()
    argv = with_bases(["fit", f"--config={tmp_path / 'c.yaml'}", "--data.k=2"], made)
    assert argv[:2] == ["fit", "--config"] and argv[3] == "--data.k=2"
    assert yaml.safe_load(Path(argv[2]).read_text()) == expected
    plain = ["fit", "--config", str(tmp_path / "a.yaml")]
    assert with_bases(plain, made) == plain


def test_arguments_of_another_part_are_not_inherited():
    base = {"fusion": "llrr", "fusion_args": {"num_blocks": 2}, "head_args": {"a": 1}}
    assert merged(base, {"fusion": "rfn"}) == {"fusion": "rfn", "head_args": {"a": 1}}
    changed = merged(base, {"fusion": "own", "fusion_args": {"kernel": 3}})
    assert changed["fusion_args"] == {"kernel": 3}
    same = merged(base, {"fusion": "llrr", "fusion_args": {"num_filters": 4}})
    assert same["fusion_args"] == {"num_blocks": 2, "num_filters": 4}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("base: d.yaml\n", "refers back"),
        ("base: nowhere.yaml\n", r"nowhere\.yaml: cannot be read"),
        ("- 1\n", "no keys with values"),
        ("a: [\n", "not YAML"),
    ],
)
def test_wrong_bases_are_named(tmp_path, text, complaint):
    (tmp_path / "d.yaml").write_text(text)
    with pytest.raises(UserError, match=complaint):
        read_config(tmp_path / "d.yaml")


def test_dotted_keys_nest_and_are_written(tmp_path):
    keys = merged({"model": {"init_args": {"x": 1, "y": 2}}}, nested("model.init_args.y", 0))
    assert keys == {"model": {"init_args": {"x": 1, "y": 0}}}
    write_config(tmp_path / "new" / "a.yaml", keys, "what it is")
    assert (tmp_path / "new" / "a.yaml").read_text().startswith("# what it is\n")
    assert read_config(tmp_path / "new" / "a.yaml") == keys
