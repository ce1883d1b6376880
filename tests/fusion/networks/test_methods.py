"""Every registered network: parameter counts, interface, files; loading by method name."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from fusion.base.checkpoints import read_tensors
from fusion.base.errors import UserError
from fusion.commands.cli import main
from fusion.images.reading import write_image
from fusion.networks.registry import CLASSICAL, NETWORKS
from fusion.networks.weights import load_network, save_network

COUNTS = {
    "lrrnet": 49_204,
    "didfuse": 260_935,
    "lrrnet_fast": 3_760,
    "auif": 11_631,
    "densefuse": 74_193,
    "rfn-nest": 7_524_249,
    "ifcnn": 83_587,
    "res2fusion": 98_341,
    "swinfusion": 965_251,
    "u2fusion": 659_217,
    "fusiongan": 925_633,
    "ddcgan": 1_097_665,
    "pmgi": 42_017,
    "sdnet": 67_091,
    "mgt": 1_467_211,
    "ift": 5_068_489,
}

#: Smaller variants for tests of what all networks have in common.
SMALL = {"ift": {"size": 16}}

#: Table 7 in millions, and the parameters that the released programs make and never use.
TABLE_7 = {
    "lrrnet": (0.04920, 0),
    "rfn-nest": (7.52425, 0),
    "ifcnn": (0.08359, 0),
    "res2fusion": (0.09834, 0),
    "swinfusion": (0.97368, 30 * 10 + 30 * (30 * 9 + 1)),
    "u2fusion": (0.65922, 0),
    "fusiongan": (0.92563, 0),
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def noise_pair(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(
        rng.integers(0, 256, shape, np.uint8) for shape in ((height, width), (height, width, 3))
    )


def test_a_subclass_is_saved_under_its_own_name_alone(tmp_path):
    """Under its base's name it would load as the base, and fuse otherwise without an error."""

    class Brighter(NETWORKS["fusiongan"]):
        def forward(self, ir, vis):
            return super().forward(ir, vis).clamp(min=0.5)

    torch.manual_seed(0)
    network = Brighter().eval()
    with pytest.raises(UserError, match="Brighter: has no name"):
        save_network(network, tmp_path / "own.safetensors")
    NETWORKS.register("brighter")(Brighter)
    try:
        save_network(network, tmp_path / "own.safetensors")
        again = load_network(tmp_path / "own.safetensors")
        assert type(again) is Brighter
        with pytest.raises(UserError, match="weights of brighter"):
            load_network(tmp_path / "own.safetensors", method="fusiongan")
    finally:
        NETWORKS.unregister("brighter")
    with pytest.raises(UserError, match=r"own.safetensors.*'brighter'.*--import"):
        load_network(tmp_path / "own.safetensors")


@pytest.mark.parametrize("name", NETWORKS)
def test_parameter_counts(name):
    with torch.device("meta"):
        network = NETWORKS[name]()
    assert sum(parameter.numel() for parameter in network.parameters()) == COUNTS[name]


@pytest.mark.parametrize("name", TABLE_7)
def test_counts_of_table_7(name):
    millions, unused = TABLE_7[name]
    assert round((COUNTS[name] + unused) / 1e6, 5) == millions


def test_table_7_counts_densefuse_by_the_size_of_its_colour_variant():
    """.29908 is megabytes of four-byte numbers of a network with three channels in and out."""
    first, last = 2 * 9 * 16, 2 * (9 * 16 + 1)  # two more channels at either end
    assert round((COUNTS["densefuse"] + first + last) * 4 / 1e6, 5) == 0.29908


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_fuses_keeps_sizes_and_survives_its_file(name, tmp_path):
    network = NETWORKS[name](**SMALL.get(name, {})).eval()
    ir, vis = noise_pair(37, 29)
    fused = network.fuse(ir, vis)
    assert fused.shape == vis.shape and fused.dtype == np.uint8
    save_network(network, tmp_path / "own.safetensors")
    loaded = load_network(tmp_path / "own.safetensors", method=name)
    assert type(loaded) is type(network) and loaded.scaling == network.scaling
    np.testing.assert_array_equal(loaded.fuse(ir, vis), fused)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name):
    network = NETWORKS[name](**SMALL.get(name, {}))
    ir, vis = torch.rand(2, 2, 1, 16, 24)
    fused = network(ir, vis)
    assert fused.shape == ir.shape
    made = [fused, *(network.decompose(fused) if name == "sdnet" else ())]
    sum(picture.square().sum() for picture in made).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("name", NETWORKS)
def test_the_smallest_pictures(name):
    network = NETWORKS[name](**SMALL.get(name, {})).eval()
    side = network.min_side
    picture = np.arange(side * side, dtype=np.uint8).reshape(side, side)
    assert network.fuse(picture, picture.T.copy()).shape == (side, side)
    with pytest.raises(ValueError, match=f"at least {side}x{side}"):
        network.fuse(picture[1:], picture[1:])


# --- Loading by method ----------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path):
    """A folder with the two files of a DIDFuse with random weights, under the authors' names."""
    network = NETWORKS["didfuse"]().eval()
    tensors = {network.published.name_in_file(n): t for n, t in network.state_dict().items()}
    parts = {"encoder": ("cov1", "cov2", "cov3", "cov4"), "decoder": ("cov5", "cov6", "cov7")}
    for part, starts in parts.items():
        state = {n: t for n, t in tensors.items() if n.startswith(starts)}
        torch.save({"weight": state, "epoch": 3}, tmp_path / f"{part}.pkl")
    return tmp_path, network


def test_a_folder_may_hold_other_files_too(published):
    folder, network = published
    (folder / "readme.txt").write_text("two files")
    (folder / "broken.pth").write_bytes(b"nothing")
    torch.save({"other": torch.zeros(2)}, folder / "other.pt")
    loaded = load_network(folder, method="didfuse", rule="l1")
    assert loaded.rule == "l1" and loaded.architecture["rule"] == "l1"
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def complaint(*arguments, **options) -> str:
    with pytest.raises(UserError) as error:
        load_network(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_that_lacks_a_file_or_has_one_twice(published):
    folder, _ = published
    assert "name the method" in complaint(folder)
    assert "lacks 3 of the 3" in complaint(folder, method="auif")
    assert "single file" in complaint(folder, method="lrrnet")
    twin = folder / "twin.pkl"
    twin.write_bytes((folder / "decoder.pkl").read_bytes())
    assert "decoder.pkl and twin.pkl" in complaint(folder, method="didfuse")
    twin.unlink()
    (folder / "decoder.pkl").write_bytes(b"")
    said = complaint(folder, method="didfuse")
    assert "lacks 1 of the 2" in said and "decoder.pkl: the file is empty" in said


def test_what_a_training_leaves_is_told_apart(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    checkpoint = {"pytorch-lightning_version": "2.6", "state_dict": {"network.a": torch.ones(1)}}
    torch.save(checkpoint, tmp_path / "checkpoints/last.ckpt")
    with pytest.raises(UserError, match=r"last\.ckpt: a training checkpoint.*give the weights"):
        load_network(tmp_path / "checkpoints/last.ckpt")
    with pytest.raises(UserError, match="is a directory; name the method"):
        load_network(tmp_path)
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(UserError, match=r"is a directory; give .*weights\.safetensors"):
        load_network(tmp_path)


def test_one_file_of_several_says_so(published):
    folder, _ = published
    assert "give the folder" in complaint(folder / "encoder.pkl")
    assert "give the folder" in complaint(folder / "encoder.pkl", method="didfuse")


def test_weights_of_another_method_are_refused(shared, tmp_path):
    own = tmp_path / "own.safetensors"
    save_network(NETWORKS["auif"](), own)
    assert "weights of auif, not of didfuse" in complaint(own, method="didfuse")
    theirs = shared / "data/weights/lrrnet_published.model"
    assert "weights of lrrnet, not of auif" in complaint(theirs, method="auif")
    assert "no weights" in complaint(method="auif")
    assert "unknown method 'vgg'" in complaint(method="vgg")
    assert load_network(method="lrrnet").architecture == load_network().architecture


@pytest.mark.parametrize("before", ["sum", "average", "l1"])
@pytest.mark.parametrize("after", ["sum", "average", "l1"])
def test_another_rule_brings_its_pixel_convention(tmp_path, before, after):
    """DenseFuse's sum is stretched, its averages are clipped."""
    own = tmp_path / "own.safetensors"
    save_network(NETWORKS["densefuse"](rule=before), own)
    assert load_network(own, rule=after).scaling == NETWORKS["densefuse"](rule=after).scaling
    # What training set otherwise than the default stays.
    made = dataclasses.replace(NETWORKS["densefuse"](rule=before).scaling, input="min-max", gain=2)
    save_network(NETWORKS["densefuse"](rule=before, scaling=made), own)
    loaded = load_network(own, rule=after).scaling
    assert (loaded.input, loaded.gain) == ("min-max", 2)
    assert loaded.output == NETWORKS["densefuse"](rule=after).scaling.output


def test_rules_a_network_does_not_have(tmp_path):
    own = tmp_path / "own.safetensors"
    save_network(NETWORKS["auif"](rule="average"), own)
    assert load_network(own).rule == "average"
    assert load_network(own, rule="sum").rule == "sum"
    assert "its rules are sum, average, l1" in complaint(own, rule="max")
    assert "lrrnet: no fusion rule 'sum'; it has none" in complaint(rule="sum")


def test_tensors_of_a_published_file_are_named_as_there(published):
    folder, _ = published
    tensors, _ = read_tensors(folder / "decoder.pkl")
    del tensors["cov7.cov7.1.bias"]
    save_file(tensors, folder / "decoder.safetensors")
    (folder / "decoder.pkl").unlink()
    assert "missing cov7.cov7.1.bias" in complaint(folder, method="didfuse")


# --- Command line -------------------------------------------------------------------------------


def test_methods_are_listed(capsys):
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*NETWORKS, *CLASSICAL]
    for line in lines[1:]:
        name, count = line.split()[:2]
        assert int(count) == COUNTS.get(name, 0)


def test_fusing_with_a_method(published, tmp_path, capsys):
    folder, _ = published
    ir, vis = noise_pair(40, 32)
    write_image(tmp_path / "ir.png", ir)
    write_image(tmp_path / "vis.png", vis)
    run = ["fuse", str(tmp_path / "ir.png"), str(tmp_path / "vis.png")]
    run += ["-o", str(tmp_path / "out.png"), "--weights", str(folder)]
    assert main([*run, "--method", "didfuse"]) == 0
    assert main(run) == 2
    assert main([*run, "--method", "didfuse", "--parts"]) == 2
    assert main([*run, "--method", "didfuse", "--rule", "max"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3 and "name the method" in errors[0]
    assert "--parts: DIDFuse has no low-rank" in errors[1] and "no fusion rule 'max'" in errors[2]


def test_pictures_too_small_for_a_method(tmp_path, capsys):
    save_network(NETWORKS["auif"](), tmp_path / "own.safetensors")
    for name in ("ir", "vis"):
        write_image(tmp_path / f"{name}.png", np.zeros((9, 12), np.uint8))
    run = ["fuse", str(tmp_path / "ir.png"), str(tmp_path / "vis.png")]
    run += ["-o", str(tmp_path / "out.png"), "--weights", str(tmp_path / "own.safetensors")]
    assert main(run) == 2
    assert "at least 10x10 pixels are needed" in capsys.readouterr().err


# --- Ledger ---------------------------------------------------------------------------------------

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def ledger(heading: str) -> list[list[str]]:
    """Rows of the first table below a heading of the ledger, their cells without backticks."""
    text = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    lines = text.partition(f"{heading}\n")[2].partition("\n|")[2].split("\n\n")[0].splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_ledger_lists_every_method_with_what_it_is_verified_by():
    rows = {row[0]: row for row in ledger("## Methods")}
    assert rows.keys() == NETWORKS.keys()
    for name, (_, table_7, parameters, verified, _) in rows.items():
        assert int(parameters.replace(" ", "")) == COUNTS[name], name
        assert verified == NETWORKS[name].verified, name
        assert table_7 == (
            f"{TABLE_7[name][0]:.5f}"[1 if TABLE_7[name][0] < 1 else 0 :]
            if name in TABLE_7
            else ""
            if name != "densefuse"
            else ".29908"
        )
        published = NETWORKS[name].published is not None or name == "lrrnet"
        assert published == verified.endswith(("published images", "published weights")), name


def test_the_ledger_lists_a_training_of_every_method():
    rows = ledger("### Training of the methods")
    assert {method for _, method, *_ in rows} == NETWORKS.keys()
    for configuration, method, *_ in rows:
        text = (EXPERIMENTS / "fusion" / f"{configuration}.yaml").read_text(encoding="utf-8")
        path = yaml.safe_load(text)["model"]["init_args"]["network"]["class_path"]
        assert path.rpartition(".")[2] == NETWORKS[method].__name__, configuration
