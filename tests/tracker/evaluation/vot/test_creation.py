"""Workspaces as folders: the template, anchors, and sequences from several sources."""

import numpy as np
import pytest
import yaml

from fusion.base.errors import UserError
from fusion.images.reading import read_image, write_image
from tracker.commands.cli import main
from tracker.evaluation.vot import creation, template
from tracker.evaluation.vot.sequences import anchor_directions, read_sequence
from tracker.evaluation.vot.stack import Experiment
from tracker.evaluation.vot.workspace import Workspace, read_workspace
from tracker.model.presets import ALL_PRESETS


def test_anchor_rule_gives_the_benchmarks_anchors(shared):
    root = shared / "data" / "vot2020_rgbt" / "sequences"
    assert tuple((root / "list.txt").read_text().split()) == template.VOT2020_RGBT
    for name in template.VOT2020_RGBT:
        anchors = np.loadtxt(root / name / "anchor.value")
        assert (anchor_directions(len(anchors)) == anchors).all(), name


@pytest.mark.parametrize("length", [1, 2, 26, 75, 76, 400])
def test_anchors(length):
    directions = anchor_directions(length)
    places = np.flatnonzero(directions)
    assert places[-1] == length - 1 and directions[-1] == -1
    assert (np.diff(places) >= 25).all()
    # Every run covers about half of the sequence or more.
    lengths = np.where(directions > 0, length - np.arange(length), np.arange(length) + 1)
    assert lengths[places].min() >= length // 2


class TestTemplate:
    def test_entries_are_presets_or_baselines(self):
        import configparser

        from tracker.evaluation.trackers import TRACKERS

        registry = configparser.ConfigParser()
        registry.read(template.template_folder() / "trackers.ini")
        assert {"RGB", "IR", "DFAT", "DFAT_RFN", "DFAT_LLRR", "small"} <= set(registry.sections())
        for name in registry.sections():
            assert registry[name]["env_rgbt_tracker"] in {*ALL_PRESETS, *TRACKERS}

    def test_stack_has_the_settings_of_the_toolkits(self):
        """The same experiment, but every frame is seen."""
        from tracker.evaluation.vot.toolkit import official_stack

        official = yaml.safe_load(official_stack("vot2020/rgbtir").read_text())["experiments"]
        ours = yaml.safe_load((template.template_folder() / "stack.yaml").read_text())[
            "experiments"
        ]
        assert official["baseline"].pop("realtime") == {"grace": 3}
        assert ours == official

    def test_a_path_that_trax_cannot_pass_on_is_refused(self, tmp_path, capsys):
        """TraX takes ASCII alone; only an ASCII path is left with a workspace."""
        folder = tmp_path / "Versuch ü" / "workspace"
        with pytest.raises(UserError, match="ü"):
            template.copy_template(folder)
        assert main(["vot", "init", "--workspace", str(folder), "--synthetic"]) == 2
        said = capsys.readouterr().err
        assert str(folder) in said and len(said.strip().splitlines()) == 1
        assert not folder.exists()

    def test_own_changes_are_kept(self, tmp_path):
        template.copy_template(tmp_path)
        (tmp_path / "trackers.ini").write_text("[Mine]\n")
        template.copy_template(tmp_path)
        assert (tmp_path / "trackers.ini").read_text() == "[Mine]\n"

    def test_labels(self, tmp_path):
        template.copy_template(tmp_path)
        workspace = Workspace(
            tmp_path, {"registry": ["./trackers.ini"]}, Experiment("baseline"), []
        )
        assert workspace.title("DFAT_LLRR") == "DFAT+LLRR"
        assert workspace.title("DFAT_LLRR@untrained") == "DFAT+LLRR (untrained)"
        assert workspace.title("theirs") == "theirs"
        assert workspace.title("theirs@new") == "theirs (new)"


class TestImport:
    def test_rgbt234(self, tmp_path, raw_dataset, make_scene, capsys):
        """All 60 names, one in another case, are laid out with their pictures and boxes."""
        for name in template.VOT2020_RGBT:
            source = raw_dataset / ("car" if name != "dog" else "dog")
            (tmp_path / "rgbt234").mkdir(exist_ok=True)
            (tmp_path / "rgbt234" / name.replace("blueCar", "bluecar")).symlink_to(source)
        workspace = tmp_path / "new"
        arguments = ["vot", "init", "--workspace", str(workspace)]
        assert main([*arguments, "--rgbt234", str(tmp_path / "rgbt234")]) == 0
        assert "60 sequences" in capsys.readouterr().out
        plan = read_workspace(workspace)
        assert tuple(sequence.name for sequence in plan.sequences) == template.VOT2020_RGBT
        assert (plan.experiment.low, plan.experiment.high) == (115, 755)
        scene = make_scene(length=28, size=(144, 96), seed=1)
        (dog,) = [sequence for sequence in plan.sequences if sequence.name == "dog"]
        assert (dog.groundtruth.boxes == scene.boxes).all()
        assert dog.size == (144, 96)
        assert np.flatnonzero(dog.anchors).tolist() == [0, 27]
        folder = workspace / "sequences" / "dog"
        assert (read_image(folder / "ir" / "00000001.png") == scene.ir[0]).all()
        assert (read_image(folder / "color" / "00000028.png") == scene.rgb[27]).all()

    def test_missing_sequences_are_named(self, tmp_path, raw_dataset, capsys):
        arguments = ["vot", "init", "--workspace", str(tmp_path / "new")]
        assert main([*arguments, "--rgbt234", str(raw_dataset)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "58 of 60" in error and "afterrain" in error
        assert not (tmp_path / "new" / "sequences").exists()

    def test_absent_targets_are_no_anchors(self, tmp_path, raw_dataset):
        path = raw_dataset / "car" / "infrared.txt"
        boxes = np.loadtxt(path, delimiter=",")
        boxes[0] = 0
        np.savetxt(path, boxes, "%g", ",")
        template.copy_template(tmp_path / "new")
        creation.take_dataset(tmp_path / "new", raw_dataset)
        car = read_sequence(tmp_path / "new" / "sequences" / "car")
        assert np.flatnonzero(car.anchors).tolist() == [27]
        assert np.isnan(car.groundtruth.boxes[0]).all()

    def test_unequal_modalities(self, tmp_path, raw_dataset):
        (raw_dataset / "dog" / "infrared" / "00003.png").unlink()
        template.copy_template(tmp_path / "new")
        with pytest.raises(UserError, match=r"dog: .*frame 4 of 28"):
            creation.take_dataset(tmp_path / "new", raw_dataset)
        assert not list((tmp_path / "new").glob("sequences*"))

    def test_unreadable_pictures(self, tmp_path, raw_dataset):
        """Only the infrared is readable: there is no size for the toolkit, and one line says so."""
        for path in (raw_dataset / "dog" / "visible").iterdir():
            path.write_bytes(b"no picture")
        template.copy_template(tmp_path / "new")
        with pytest.raises(UserError, match="dog: "):
            creation.take_dataset(tmp_path / "new", raw_dataset)
        assert not list((tmp_path / "new").glob("sequences*"))

    def test_pictures_the_toolkit_cannot_read(self, tmp_path, raw_dataset):
        for path in (raw_dataset / "dog" / "infrared").iterdir():
            write_image(path.with_suffix(".bmp"), read_image(path))
            path.unlink()
        template.copy_template(tmp_path / "new")
        with pytest.raises(UserError, match=r"\.bmp"):
            creation.take_dataset(tmp_path / "new", raw_dataset)


class TestLink:
    def test_complete_dataset_is_linked(self, workspace, tmp_path, capsys):
        copy = tmp_path / "copy"
        source = workspace / "sequences"
        assert main(["vot", "init", "--workspace", str(copy), "--dataset", str(source)]) == 0
        assert (copy / "sequences").resolve() == source.resolve()
        assert "2 sequences" in capsys.readouterr().out

    def test_sequences_in_use_are_not_replaced(self, workspace, raw_dataset):
        with pytest.raises(UserError, match=r"sequences: "):
            creation.take_dataset(workspace, raw_dataset)
        (workspace / "sequences" / "list.txt").write_text("street\n")
        with pytest.raises(UserError, match=r"sequences: "):
            creation.check_free_for_download(workspace)

    def test_an_earlier_download_may_go_on(self, tmp_path):
        (tmp_path / "sequences" / "afterrain").mkdir(parents=True)
        creation.check_free_for_download(tmp_path)
        (tmp_path / "sequences" / "list.txt").write_text("afterrain\n")
        creation.check_free_for_download(tmp_path)


class TestStack:
    def test_lengths_fit_the_sequences(self, workspace):
        plan = read_workspace(workspace)
        assert (plan.experiment.low, plan.experiment.high) == (14, 28)
        assert (workspace / "stack.yaml").read_text().startswith("# Not VOT2020-RGBT")

    def test_the_benchmark_gets_its_own_back(self, workspace):
        creation.choose_stack(workspace, dict.fromkeys(template.VOT2020_RGBT, 300))
        own = template.template_folder() / "stack.yaml"
        assert (workspace / "stack.yaml").read_text() == own.read_text()

    @pytest.mark.parametrize("stack", ["title: x\n", "experiments: {baseline: {analyses: [1]}}\n"])
    def test_stacks_that_cannot_be_fitted_are_refused_at_once(
        self, tmp_path, raw_dataset, workspace, capsys, stack
    ):
        new = tmp_path / "new"
        new.mkdir()
        (new / "stack.yaml").write_text(stack)
        links = ["--dataset", str(workspace / "sequences")]
        for source in (["--synthetic"], ["--dataset", str(raw_dataset)], links):
            assert main(["vot", "init", "--workspace", str(new), *source]) == 2
            error = capsys.readouterr().err
            assert f"{new / 'stack.yaml'}: " in error and error.count("\n") == 1
        assert (new / "stack.yaml").read_text() == stack
        assert not list(new.glob("sequences*"))

    def test_a_refused_start_changes_nothing(self, workspace, raw_dataset):
        before = (workspace / "stack.yaml").read_text()
        for source in (["--synthetic"], ["--dataset", str(raw_dataset)]):
            assert main(["vot", "init", "--workspace", str(workspace), *source]) == 2
        assert (workspace / "stack.yaml").read_text() == before

    def test_a_source_that_is_not_there_leaves_no_workspace(self, tmp_path):
        source = ["--dataset", str(tmp_path / "nowhere")]
        for name, there in (("new", False), ("empty", True)):
            if there:
                (tmp_path / name).mkdir()
            assert main(["vot", "init", "--workspace", str(tmp_path / name), *source]) == 2
            assert (tmp_path / name).exists() == there
            assert not list(tmp_path.rglob("*.ini"))

    def test_template_stays_the_benchmarks(self, workspace, raw_dataset):
        for dataset in (raw_dataset, workspace / "sequences"):
            with pytest.raises(UserError, match="template"):
                creation.take_dataset(template.template_folder(), dataset)
