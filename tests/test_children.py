"""The children that other tests kill: they come to their place, no further, and say so where they cannot."""

import pytest
from children import Child, kill_at


def count_to_three(folder):
    for number in range(3):
        (folder / str(number)).mkdir()


def counted(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_child_stops_before_the_named_call_and_is_killed_there(tmp_path):
    kill_at("pathlib.Path.mkdir", 3, count_to_three, tmp_path)
    assert counted(tmp_path) == ["0", "1"]


def test_a_child_goes_on_to_its_end(tmp_path):
    child = Child(count_to_three, tmp_path, at="pathlib.Path.mkdir", count=2)
    child.wait()
    assert counted(tmp_path) == ["0"]
    child.go_on()
    assert counted(tmp_path) == ["0", "1", "2"]


def test_a_child_that_never_comes_to_its_place_is_a_failure(tmp_path):
    with pytest.raises(AssertionError, match="ended with exit code 0 and never came to call 4 of pathlib.Path.mkdir"):
        Child(count_to_three, tmp_path, at="pathlib.Path.mkdir", count=4).wait()
    # A second time its folders are there already, and it ends by an error.
    with pytest.raises(AssertionError, match="ended with exit code 1 and never came to call 2 of os.getpid"):
        Child(count_to_three, tmp_path, at="os.getpid", count=2).wait()
