"""The page in a real browser: nothing in it runs or loads but its own script, and that one works.

Headless Chromium opens pages from disk. Every request that is no file would go to a proxy of the
test's own, which writes down what was asked of it; a page that does ask, and one that does run what
it was given, show that the test would notice. Skipped where there is no Chromium.
"""

from __future__ import annotations

import json
import re
import shutil
import socketserver
import subprocess
import threading
from html import unescape

import pytest

from reports import build
from reports.compare import compare
from reports.report import load
from tests.reports.fabricated import Page, enrich

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOST = "attack.invalid"
ATTACKS = (
    f"<script>document.title='ran'</script><img src=http://{HOST}/i onerror=document.title='ran'>",
    f"\"><svg onload=document.title='ran'><link rel=stylesheet href=http://{HOST}/c>",
    "</script><script>document.title='ran'</script>",
    "</style><script>document.title='ran'</script>",
    f"' onmouseover='document.title=1' autofocus onfocus='document.title=2' x=url(http://{HOST}/u)",
    f"]]><iframe src=http://{HOST}/f></iframe><a href=\"javascript:document.title='ran'\">",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture(scope="module")
def proxy():
    """Its address, and the first lines of all requests that came."""
    asked = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            asked.append(self.rfile.readline().decode(errors="replace"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.fixture
def browse(proxy, tmp_path):
    """Opens a page; returns what became of it, and what it asked for from the attacker's host."""

    def open_page(path):
        address, asked = proxy
        asked.clear()
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", f"--proxy-server={address}",
            "--proxy-bypass-list=<-loopback>", "--virtual-time-budget=5000", "--dump-dom",
        ]  # fmt: skip
        done = subprocess.run(
            [CHROMIUM, *flags, path.as_uri()], capture_output=True, check=True, timeout=120
        )
        return done.stdout.decode(), [line for line in asked if HOST in line]

    return open_page


def title(dom):
    return unescape(re.search("<title>(.*?)</title>", dom, re.DOTALL).group(1))


def test_a_page_that_runs_and_asks_is_noticed(browse, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(f"<title>still</title><p>{''.join(ATTACKS)}</p>")
    dom, asked = browse(bad)
    assert title(dom) == "ran"
    assert any("/i" in line for line in asked)


@pytest.mark.parametrize("attack", ["".join(ATTACKS), "".join(ATTACKS[::-1])], ids=["on", "back"])
def test_nothing_that_is_data_runs_or_asks(study, browse, attack):
    folder = enrich(
        study(
            names={"new": attack, "plain": attack + "2"}, fail=[("plain", 2)], question=attack,
            budget_warning=attack, choices=[attack], command=attack,
            config={attack: {attack: attack}},
        ),
        arms=(attack, "old"),
    )  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"]["name"] = attack
    manifest["trials"][1] |= {"status": "failed", "reason": attack, "notes": [attack]}
    manifest["environment"][attack] = attack
    (folder / "manifest.json").write_text(json.dumps(manifest))
    frame = load(folder)[1]
    frame["metric"] = frame.metric.where(frame.metric != "T/r2", attack)
    frame.to_parquet(folder / "rows.parquet")
    dom, asked = browse(build.build(folder).path)
    assert title(dom) == f"{attack}: report"
    assert Page(dom).text.count(attack) > 20
    assert not asked
    assert "<iframe" not in re.sub(r'"[^"]*"', "", dom).replace("&lt;", "")

    other = shutil.copytree(folder, folder.parent / "other")
    dom, asked = browse(compare([folder, other]))
    assert title(dom) == "study, other: compared"
    assert attack in Page(dom).text
    assert not asked


def test_the_policy_stops_what_escaping_would_let_through(study, browse):
    """A second wall: markup that got in all the same neither runs nor loads."""
    path = build.build(study()).path
    html = path.read_text(encoding="utf-8")
    path.write_text(html.replace("</header>", "".join(ATTACKS[:2]) + "</header>"))
    dom, asked = browse(path)
    assert title(dom) == "study: report"
    assert not asked


DRIVER = """
<script>
const said = [], table = document.querySelector("table[aria-label='Arms by metrics']");
let copied = "";
const clipboard = { writeText: async (text) => { copied = text; } };
Object.defineProperty(navigator, "clipboard", { value: clipboard });
const bar = table.parentElement.previousElementSibling;
const heads = [...table.tHead.rows[0].cells];
const head = (text) => heads.find((c) => c.textContent.startsWith(text));
const rows = () => [...table.tBodies[0].rows].filter((r) => !r.hidden);
const column = (n) => rows().map((r) => r.cells[n].textContent);
const buttons = [...bar.querySelectorAll("button")];
const press = (label) => buttons.find((b) => b.textContent === label).click();
const status = () => bar.querySelector("[role=status]").textContent;
const say = (name, value) => said.push([name, value]);
(async () => {
  say("columns at first", heads.filter((c) => !c.hidden).map((c) => c.textContent));
  head("knn/affnist").querySelector("button").click();
  say("down", [column(0), head("knn/affnist").getAttribute("aria-sort"), status()]);
  head("knn/affnist").querySelector("button").click();
  say("up", [column(0), head("knn/affnist").getAttribute("aria-sort")]);
  head("T/r2").querySelector("button").click();
  say("gaps last", [column(0), head("knn/affnist").getAttribute("aria-sort")]);
  head("arm").querySelector("button").click();
  say("by name", column(0));
  head("arm").querySelector("button").click();
  head("arm").querySelector("button").click();
  say("as it came", [column(0), status()]);
  const filter = bar.querySelector("input[type=search]");
  filter.value = "BASEline"; filter.dispatchEvent(new Event("input"));
  say("filtered", [column(0), status()]);
  const digits = bar.querySelector("select");
  digits.value = "1"; digits.dispatchEvent(new Event("change"));
  say("one digit", column(1));
  press("CSV"); await 0; await 0; say("CSV", copied);
  press("Markdown"); await 0; await 0; say("Markdown", copied);
  press("LaTeX"); await 0; await 0; say("LaTeX", [copied, status()]);
  digits.value = "given"; digits.dispatchEvent(new Event("change"));
  say("given", column(1));
  press("all");
  say("all columns", heads.filter((c) => c.hidden).length);
  bar.querySelector("input[type=checkbox]").click();
  say("one less", [head("knn/affnist").hidden, bar.querySelector("summary").textContent]);
  say("unnamed", [...document.querySelectorAll("button, input, select")].filter((e) =>
    !(e.textContent.trim() || e.getAttribute("aria-label") || e.closest("label"))).length);
  const out = document.createElement("script");
  out.type = "application/json"; out.id = "said"; out.textContent = JSON.stringify(said);
  document.body.append(out);
})();
</script>
"""


def test_tables_sort_filter_choose_round_and_copy(study, browse):
    folder = study(names={"plain": "p_l|a&in", "old": "=old"}, seeds=range(8))
    path = build.build(enrich(folder, arms=("new",))).path
    html = path.read_text(encoding="utf-8")
    html = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    path.write_text(html.replace("</body>", DRIVER + "</body>"))
    dom, _ = browse(path)
    said = dict(json.loads(re.search('id="said">(.*?)</script>', dom, re.DOTALL).group(1)))
    first = [name.split(" ")[0] for name in said["columns at first"]]
    assert first[0] == "arm"
    assert not any("cost" in name for name in first)

    def names(cells):
        return [re.sub("(arm|baseline|reference).*", "", cell) for cell in cells]

    order = ["new", "=old", "p_l|a&in", "pixels"]
    assert names(said["down"][0]) == order
    assert said["down"][1:] == ["descending", "Sorted by knn/affnist ↑, descending."]
    assert names(said["up"][0]) == order[::-1]
    assert said["up"][1] == "ascending"
    assert names(said["gaps last"][0])[:2] == ["new", "=old"]
    assert said["gaps last"][1] is None
    assert sorted(names(said["by name"])) == sorted(order)
    assert names(said["as it came"][0]) == order
    assert said["as it came"][1] == "In the order of the study."
    assert [names(said["filtered"][0]), said["filtered"][1]] == [["p_l|a&in"], "1 of 4 rows"]
    assert re.fullmatch(r"0\.\d±0\.\d", said["one digit"][0])
    assert re.fullmatch(r"0\.\d{3,}±0\.\d{3,}", said["given"][0])
    csv = said["CSV"].split("\r\n")
    assert csv[0].startswith("arm,arm note,knn/affnist ↑ (accuracy),knn/affnist ↑ (accuracy) ±,")
    assert csv[1].startswith("p_l|a&in,baseline,0.")
    assert len(csv[1].split(",")[2]) > 8  # in full, whatever is shown
    markdown = said["Markdown"].splitlines()
    assert markdown[2].startswith(r"| p\_l\|a&in (baseline) | 0.")
    latex, status = said["LaTeX"]
    assert latex.startswith("\\begin{tabular}{lr")
    assert "\\toprule\n" in latex
    assert "\\bottomrule\n\\end{tabular}" in latex
    assert "p\\_l\\textbar{}a\\&in (baseline) & 0." in latex
    assert "$\\pm$" in latex
    assert "$\\uparrow$" in latex
    assert status == "Copied 1 rows as LaTeX."
    assert said["all columns"] == 0
    assert said["one less"][0] is True
    assert re.fullmatch(r"Columns \((\d+) of \d+\)", said["one less"][1])
    assert said["unnamed"] == 0
