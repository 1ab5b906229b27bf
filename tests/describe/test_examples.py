"""The examples of `Describer` run, with the bundle that comes with the package and two small CT slices."""

import doctest

import pytest

from anatomy_clip.describe import predictor


@pytest.mark.parametrize("name", ["Describer", "Describer.from_bundle", "Describer.describe", "Describer.close"])
def test_the_example_runs(name, write):
    files = [write(f"{n}.dcm", z=5.0 * n) for n in range(2)]
    (files[0].parent / "words").write_text("no image")
    finder = doctest.DocTestFinder(recurse=False)
    part = predictor.Describer if name == "Describer" else getattr(predictor.Describer, name.split(".")[1])
    (test,) = finder.find(part, name, globs={"Describer": predictor.Describer, "STUDY": files[0].parent})
    assert test.examples
    assert not doctest.DocTestRunner().run(test).failed
