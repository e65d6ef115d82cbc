from violence_detection.errors import ConfigError
from violence_detection.system.check_list import CheckList, Outcome


def raising(error):
    def check():
        raise error

    return check


def test_an_error_is_a_failure_with_its_remedy_and_what_needs_it_is_skipped():
    checks = CheckList()
    assert checks.run("first", lambda: Outcome.ok("fine"))
    assert not checks.run("second", raising(ConfigError("it must be\n  so")), help="do this")
    assert not checks.run("third", raising(KeyError("x")), help="or that")
    assert not checks.run("fourth", lambda: Outcome.ok("never"), needs=("first", "second"))
    assert checks.run("fifth", lambda: Outcome.ok("fine"), needs=("first",))
    assert [(result.status, result.text, result.help) for result in checks.results] == [
        ("ok", "fine", ""),
        ("failed", "it must be so", "do this"),
        ("failed", "KeyError: 'x'", "or that"),
        ("skipped", "it needs the check `second`", ""),
        ("ok", "fine", ""),
    ]
    assert [result.name for result in checks.failures] == ["second", "third"]
