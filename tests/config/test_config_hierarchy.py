"""The nested mapping and its readers."""

from pathlib import Path

import pytest
import yaml

from dp3.config.hierarchy import HierarchicalDict, MissingConfigError, read_config, read_config_dir


def test_dotted_path_descends_one_level_per_dot() -> None:
    assert HierarchicalDict({"a": {"b": {"c": 1}}}).get("a.b.c") == 1


@pytest.mark.parametrize("path", ["x", "a.x", "a.b.c", "a.b.c.d", "n.x"])
def test_missing_element_gives_the_default_even_none(path: str) -> None:
    config = HierarchicalDict({"a": {"b": 1}, "n": None})
    assert config.get(path, None) is None
    assert config.get(path, 7) == 7


def test_missing_element_without_default_is_named_by_its_full_path() -> None:
    with pytest.raises(MissingConfigError) as caught:
        HierarchicalDict({"processing_core": {}}).get("processing_core.log.retention")
    assert str(caught.value) == "Mandatory configuration element is missing: processing_core.log.retention"


def test_keys_that_are_not_text_are_looked_up_as_they_are() -> None:
    assert HierarchicalDict({5: "five"}).get(5) == "five"


def test_update_merges_mappings_and_replaces_everything_else() -> None:
    config = HierarchicalDict({"a": {"x": 1, "y": [1]}, "b": {"z": 1}, "c": 1})
    config.update({"a": {"y": [2], "w": 3}, "b": 5, "d": 6})
    assert config == {"a": {"x": 1, "y": [2], "w": 3}, "b": 5, "c": 1, "d": 6}


def test_update_takes_pairs_and_ignores_keyword_arguments() -> None:
    config = HierarchicalDict({"a": {"x": 1}})
    config.update([("a", {"y": 2})], z=3)
    assert config == {"a": {"x": 1, "y": 2}}


def test_update_does_not_reach_into_a_copy_made_before() -> None:
    config = HierarchicalDict({"a": {"x": 1}})
    copy = config.copy()
    config.update({"a": {"x": 2}})
    assert copy == {"a": {"x": 1}}


def test_copy_is_shallow_and_of_the_same_class() -> None:
    config = HierarchicalDict({"a": {}})
    copy = config.copy()
    assert isinstance(copy, HierarchicalDict)
    assert copy["a"] is config["a"]


def test_repr_names_the_class() -> None:
    assert repr(HierarchicalDict({"a": 1})) == "HierarchicalDict({'a': 1})"


def test_folder_is_read_in_sorted_order_under_names_without_suffix(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        (tmp_path / f"{name}.yml").write_text("x: 1")
    assert list(read_config_dir(tmp_path)) == ["a", "b", "c"]


def test_subfolders_are_read_only_when_recursive(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.yml").write_text("x: {y: 1}")
    assert read_config_dir(tmp_path) == {}
    assert read_config_dir(tmp_path, recursive=True).get("sub.inner.x.y") == 1


def test_files_and_folders_are_hierarchical_and_mappings_inside_a_file_are_plain(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.yml").write_text("x: {y: 1}")
    config = read_config_dir(tmp_path, recursive=True)
    assert [type(config["sub"]), type(config["sub"]["inner"])] == [HierarchicalDict, HierarchicalDict]
    assert type(config["sub"]["inner"]["x"]) is dict


@pytest.mark.parametrize("name", ["a.yaml", "a.txt", "a.yml.bak", ".a.yml"])
def test_other_and_hidden_files_are_skipped(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x: 1")
    assert read_config_dir(tmp_path) == {}


def test_hidden_folders_are_skipped(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert read_config_dir(tmp_path, recursive=True) == {}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n"])
def test_empty_file_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yml").write_text(text)
    assert read_config_dir(tmp_path) == {}


@pytest.mark.parametrize("text", ["text", "[a, b]", "5"])
def test_file_without_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(ValueError, match=r"a\.yml: expected a mapping"):
        read_config_dir(tmp_path)


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n"])
def test_text_that_is_not_yaml_is_a_yaml_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(yaml.YAMLError, match=r"a\.yml:"):
        read_config(str(tmp_path / "a.yml"))


def test_folder_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^Cannot open: .*/nowhere: No such file or directory$"):
        read_config_dir(tmp_path / "nowhere")
