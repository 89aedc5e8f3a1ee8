"""A limit as JUnit XML: a test case for the whole, and one per term of the SLO."""

from xml.etree.ElementTree import Element, SubElement, tostring

from loadtests.document.terminal import table_lines
from loadtests.judging.search import Seen
from loadtests.limit.result import Result
from loadtests.limit.rounds import Measured
from loadtests.limit.text import sentence, table, term_text
from serve.exits import Exit


def junit(result: Result) -> str:
    """The document; a missed SLO is a failure, an invalid run an error."""
    judged = _judged(result)
    suite = Element("testsuite", name="sluice limit", time=f"{result.wall_s:.1f}")
    whole = _case(suite, result, "limit" if result.asked is None else f"SLO at {result.asked}")
    if result.exit is Exit.INVALID:
        SubElement(whole, "error", message=sentence(result))
    elif result.exit is not Exit.GOOD:
        SubElement(whole, "failure", message=sentence(result))
    rounds = table_lines(table(result.rounds))
    SubElement(whole, "system-out").text = "\n".join([sentence(result), *rounds])
    for term in judged.verdict.checks if judged else ():
        case = _case(suite, result, f"{term.metric} at {judged.probe.users if judged else 0}")
        if not term.met:
            SubElement(case, "failure", message=term_text(term))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("*/failure"))))
    suite.set("errors", str(len(suite.findall("*/error"))))
    return tostring(suite, encoding="unicode", xml_declaration=True)


def _judged(result: Result) -> Measured | None:
    """The round to report: the soak that held, else the last valid one."""
    valid = [each for each in result.rounds if each.seen is not Seen.INVALID]
    limit = result.found.users if result.found else result.asked
    held = [each for each in valid if each.probe.users == limit]
    return next(reversed(held or valid), None)


def _case(suite: Element, result: Result, name: str) -> Element:
    return SubElement(suite, "testcase", classname=f"sluice.limit.{result.scenario}", name=name)
