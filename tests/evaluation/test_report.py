import base64
import re
from html.parser import HTMLParser

import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import figure_to_png, forgetting_figure
from daformer_kedro.evaluation.metrics import summarise
from daformer_kedro.evaluation.report import render_report

SETTINGS = {
    "seed": 1,
    "model": {"edition": "S", "attention": ["external", "internal"]},
    "losses": {"knn": {"weight": 1.0}, "empty": {}},
}
COMMAND = "kedro run --env test --params seed=1"


class Page(HTMLParser):
    """Elements with their attributes, and the text of each kind of element."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.texts = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if data.strip():
            self.texts.setdefault(self.elements[-1][0], []).append(data.strip())


@pytest.fixture
def png(falling_matrix):
    return figure_to_png(forgetting_figure(falling_matrix(2)), dpi=20)


@pytest.fixture
def metrics(per_task):
    return summarise(per_task(2, 5))


def test_page_shows_results_settings_and_command(metrics, png):
    page = Page(
        render_report("digits, seed 1", metrics, SETTINGS, {"a_b": png}, COMMAND)
    )
    assert page.texts["h1"] == ["digits, seed 1"]
    assert page.texts["dd"] == ["74.61", "74.22", "74.22", "25.00", "-25.00"]
    assert page.texts["td"][:7] == ["0", "5", "75.00", "–", "–", "2,000", "1,000"]
    assert page.texts["td"][7:14] == [
        "1",
        "10",
        "74.22",
        "87.50",
        "25.00",
        "2,000",
        "1,001",
    ]
    names = [text for text in page.texts["th"] if "." in text or text == "seed"]
    assert names == [
        "seed",
        "model.edition",
        "model.attention",
        "losses.knn.weight",
        "losses.empty",
    ]
    assert page.texts["td"][14:] == ["1", "S", "['external', 'internal']", "1.0", "{}"]
    assert page.texts["code"] == [COMMAND]
    assert page.texts["figcaption"] == ["A b"]


def test_figures_are_embedded_as_they_are(metrics, png):
    page = Page(render_report("t", metrics, {}, {"forgetting": png}, COMMAND))
    (image,) = [attrs for tag, attrs in page.elements if tag == "img"]
    head, _, data = image["src"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == png
    # 6.4 by 3.6 inches at 20 dots per inch.
    assert (image["width"], image["height"]) == ("128", "72")
    assert image["alt"] == "Forgetting"


def test_page_asks_nothing_of_any_host_and_runs_no_script(metrics, png):
    text = render_report("t", metrics, SETTINGS, {"forgetting": png}, COMMAND)
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.elements}
    addresses = [
        value
        for _, attrs in page.elements
        for name, value in attrs.items()
        if name in ("src", "href", "srcset", "action")
    ]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert not re.search(r"https?://|@import|url\(", text)
    policies = [a["content"] for t, a in page.elements if "http-equiv" in a]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_what_the_user_wrote_is_escaped(metrics, png):
    text = render_report(
        "<script>alert(1)</script>",
        metrics,
        {"<b>": "</td><img src=x>"},
        {'"><i>': png},
        "kedro run && <b>",
    )
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert not {"script", "b", "i"} & set(tags)
    assert tags.count("img") == 1
    assert "".join(page.texts["h1"]) == "<script>alert(1)</script>"
    assert "".join(page.texts["code"]) == "kedro run && <b>"


def test_equal_arguments_give_equal_text(metrics, png):
    arguments = ("t", metrics, SETTINGS, {"forgetting": png}, COMMAND)
    assert render_report(*arguments) == render_report(*arguments)


def test_one_task_has_no_forgetting(per_task):
    text = render_report("t", summarise(per_task(1, 2)), {}, {}, COMMAND)
    assert "Forgetting" not in text
    assert Page(text).texts["dd"] == ["75.00"] * 3
    assert "<h2>Figures</h2>" not in text


@pytest.mark.parametrize(("num_tasks", "is_open"), [(10, True), (50, False)])
def test_a_long_table_of_tasks_is_folded(per_task, num_tasks, is_open):
    text = render_report("t", summarise(per_task(num_tasks, 2)), {}, {}, COMMAND)
    page = Page(text)
    tasks, settings = [attrs for tag, attrs in page.elements if tag == "details"]
    assert ("open" in tasks) == is_open
    assert "open" not in settings
    assert [tag for tag, _ in page.elements].count("tr") == num_tasks + 1


def test_a_figure_that_is_not_a_png_is_refused(metrics):
    with pytest.raises(InputError, match=r"figure 'plot' starts with b'<svg>': must"):
        render_report("t", metrics, {}, {"plot": b"<svg>"}, COMMAND)


@pytest.mark.parametrize("fraction", [None, 0.2])
def test_page_says_where_validation_images_stood_for_test_images(
    metrics, png, fraction
):
    settings = SETTINGS | {"source": {"validation_fraction": fraction}}
    page = Page(render_report("t", metrics, settings, {"a": png}, COMMAND))
    said = [text for text in page.texts.get("p", ()) if "validation images" in text]
    assert len(said) == (fraction is not None)
