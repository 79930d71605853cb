"""The pages in a real browser, Chromium without a screen, against a net that a run is training meanwhile.

Needs chromium and chromedriver (Debian's packages of that name) and selenium; where they are missing these tests are
skipped, unless HEXPIPE_BROWSER_TESTS=required, as in continuous integration.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

REQUIRED = os.environ.get("HEXPIPE_BROWSER_TESTS") == "required"
if not REQUIRED:
    pytest.importorskip("selenium", reason="browser tests need selenium")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("browser tests need chromium and chromedriver", allow_module_level=True)

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.arena.checkpoints import small_checkpoint

pytestmark = pytest.mark.timeout(1200)  # the first test waits for whole runs

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
SMALL = ["net.blocks=2", "net.channels=16", "learner.batch_size=64", "replay.min_games=20", "game.swap=true"]
HEXPIPE = [sys.executable, "-P", "-m", "hexpipe"]


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A run at work on 5x5 that has a checkpoint; the tests that need it at work come first."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = [part for setting in (*SMALL, "learner.checkpoint_minutes=0.1") for part in ("--set", setting)]
    command = [*HEXPIPE, "run", "--size", "5", "--minutes", "120", "--run-dir", str(folder), *settings]
    with (folder.parent / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _until(lambda: any(folder.glob("checkpoints/step-*[0-9]/checkpoint.json")), 600, process)
            yield folder, process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    assert process.wait(300) == 0


@pytest.fixture(scope="module")
def run(training: tuple[Path, subprocess.Popen[bytes]]) -> Path:
    """The same run when it is over: it leaves the processor to the tests."""
    folder, process = training
    _end(process)
    return folder


@contextmanager
def served(path: Path) -> Iterator[str]:
    """Where ``path`` is served."""
    with subprocess.Popen([*HEXPIPE, "serve", str(path), "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+/", server.stdout.readline())
        assert found
        yield found[0]
        server.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def at_work(training: tuple[Path, subprocess.Popen[bytes]]) -> Iterator[str]:
    """Where the run at work is served."""
    with served(training[0]) as found:
        yield found


@pytest.fixture(scope="module")
def address(run: Path, at_work: str) -> str:
    """Where the run is served; it is over."""
    return at_work


@pytest.fixture(scope="module")
def finished(run: Path) -> Iterator[str]:
    """Where a run is served that had a clock that was wrong, set right, and set back."""
    folder = shutil.copytree(run, run.with_name("finished"))
    with (folder / "metrics.jsonl").open("a") as lines:
        for time_ in (*range(1000, 1060, 5), *range(10**9, 10**9 + 60, 5), *range(9 * 10**8, 9 * 10**8 + 60, 5)):
            lines.write(json.dumps({"time": time_, "loss": 1.0, "games": 30}) + "\n")
    with served(folder) as found:
        yield found


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an untrained net plays eight in a row of three players on 100x100."""
    rules = {"name": "inarow", "board_size": 100, "players": 3, "win_length": 8}
    game = {f"game__{key}": value for key, value in rules.items()}
    with served(small_checkpoint(tmp_path_factory.mktemp("large"), **game)) as found:
        yield found


@pytest.fixture(scope="module")
def falling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an untrained net plays Connect Four."""
    game = {"game__name": "connect4", "game__board_size": 6, "game__board_width": 7}
    with served(small_checkpoint(tmp_path_factory.mktemp("falling"), **game)) as found:
        yield found


@pytest.fixture(scope="module")
def stepping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an untrained net plays Breakthrough."""
    game = {"game__name": "breakthrough", "game__board_size": 6, "game__board_width": 5}
    with served(small_checkpoint(tmp_path_factory.mktemp("stepping"), **game)) as found:
        yield found


@pytest.fixture(scope="module")
def territory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an untrained net plays Go."""
    game = {"game__name": "go", "game__board_size": 5}
    with served(small_checkpoint(tmp_path_factory.mktemp("territory"), **game)) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_window_size(1280, 900)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The browser, which must have had nothing to complain of when the test is over."""
    yield chromium
    complaints = [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [entry for entry in complaints if "400" not in entry["message"]]  # bad input is tried on purpose


def _complaints(browser: webdriver.Chrome, words: str) -> list[str]:
    """Those of the browser that hold ``words``; none is left for the end of the test."""
    return [entry["message"] for entry in browser.get_log("browser") if words in entry["message"]]


def _until(true: Callable[[], Any], seconds: float, process: subprocess.Popen[Any] | None = None) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert process is None or process.poll() is None, "the run has ended"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
    return found


class Page:
    """The page to play on."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser = browser
        browser.get("about:blank")
        browser.get(address)
        self.wait(lambda: "to move" in self.status)

    def find(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def wait(self, true: Callable[[], Any]) -> Any:
        return WebDriverWait(self.browser, 250, 0.05).until(lambda _: true())

    @property
    def status(self) -> str:
        return self.find("status").text

    @property
    def moves(self) -> list[str]:
        found: list[str] = self.browser.execute_script(
            "return [...document.querySelectorAll('#moves li')].map((entry) => entry.textContent)"
        )
        return found

    def select(self, name: str, value: str) -> None:
        Select(self.find(name)).select_by_value(value)

    def click(self, cell: int) -> None:
        self.browser.find_element(By.CSS_SELECTOR, f'polygon[data-cell="{cell}"]').click()

    def play(self, cell: int) -> None:
        """Click on ``cell`` and wait for its move."""
        before = len(self.moves)
        self.click(cell)
        self.wait(lambda: len(self.moves) == before + 1)

    def click_at(self, row: int, column: int) -> None:
        """Click in the middle of a square."""
        x, y = self.browser.execute_script(
            "const at = new DOMPoint(arguments[1], arguments[0])"
            ".matrixTransform(document.getElementById('board').getScreenCTM()); return [at.x, at.y]",
            row,
            column,
        )
        actions = ActionBuilder(self.browser)
        actions.pointer_action.move_to_location(round(x), round(y)).click()
        actions.perform()

    def drag(self, x: int, y: int) -> None:
        """Take the board in its middle and move it by pixels."""
        board = self.find("board")
        ActionChains(self.browser).click_and_hold(board).move_by_offset(x, y).release().perform()

    @property
    def box(self) -> list[float]:
        """What is in view: left, top, width, height in cells."""
        return [float(part) for part in str(self.find("board").get_dom_attribute("viewBox")).split()]

    def classes(self, selector: str) -> list[str]:
        found: list[str] = self.browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((entry) => entry.getAttribute('class'))", selector
        )
        return found

    def weakest(self) -> None:
        self.find("strength").send_keys(Keys.HOME)

    def share(self, form: str) -> str:
        self.browser.find_element(By.CSS_SELECTOR, f'[data-form="{form}"]').click()
        return self.wait(lambda: self.find("text").get_attribute("value"))


def _cell(name: str) -> int:
    return (int(name[1:]) - 1) * 5 + ord(name[0]) - ord("a")


def test_a_whole_game_by_clicks(browser: webdriver.Chrome, at_work: str) -> None:
    page = Page(browser, at_work)
    page.weakest()
    while "to move" in page.status or "thinking" in page.status:
        page.wait(lambda: "thinking" not in page.status)
        if "won" in page.status:
            break
        taken = {_cell(move) for move in page.moves if move != "swap"}
        before = len(page.moves)
        page.click(next(cell for cell in (12, 7, 17, 2, 22, *range(25)) if cell not in taken))
        # the person's move, and the net's answer where the game goes on
        page.wait(lambda before=before: len(page.moves) >= before + 2 or "won" in page.status)
    assert "has won" in page.status
    assert len(page.moves) >= 8
    page.find("undo").click()
    page.wait(lambda: "Black to move" in page.status or "White to move" in page.status)


def test_the_dashboard_moves_with_the_run(browser: webdriver.Chrome, at_work: str) -> None:
    browser.get(at_work + "dashboard")

    def texts(selector: str) -> list[str]:
        """The page redraws itself every second: what is read must be read at once."""
        found: list[str] = browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((entry) => entry.textContent)", selector
        )
        return found

    def figure(name: str) -> float:
        text = "".join(texts(f'[data-figure="{name}"] strong')).replace(",", "")
        return float(text) if re.fullmatch(r"[\d.]+", text) else 0.0

    first = _until(lambda: figure("games"), 250)
    assert browser.find_element(By.ID, "alive").text == "at work"
    assert _until(lambda: figure("games") > first, 250)
    assert {"generator-0", "replay-0", "learner-0"} <= set(texts("#processes td:first-child"))
    assert _until(lambda: browser.find_elements(By.CSS_SELECTOR, "#charts path"), 250)
    before = _until(lambda: "".join(texts("#games figcaption")), 250)
    assert _until(lambda: texts("#games figcaption") and "".join(texts("#games figcaption")) != before, 250)


def test_swap_and_undo(browser: webdriver.Chrome, address: str) -> None:
    page = Page(browser, address)
    page.select("side", "all")
    page.click(12)
    page.wait(lambda: page.find("extra").is_displayed())
    page.find("extra").click()
    page.wait(lambda: page.moves == ["c3", "swap"])
    assert "colours were swapped" in page.status
    page.click(0)
    page.wait(lambda: page.moves == ["c3", "swap", "a1"])
    page.find("undo").click()
    page.find("undo").click()
    page.wait(lambda: page.moves == ["c3"])
    assert page.find("extra").is_displayed()


def test_hints_of_every_kind(browser: webdriver.Chrome, address: str) -> None:
    page = Page(browser, address)
    page.select("side", "all")
    for kind, words in (("policy", "own win probability"), ("visits", "simulations"), ("win", "win probability")):
        page.select("hints", kind)
        page.wait(lambda words=words: words in page.find("hint-text").text)
        assert browser.find_elements(By.CSS_SELECTOR, "#board .heat")
    best = page.find("hint-text").text.split(": ")[1].split(",")[0]
    target = browser.find_element(By.CSS_SELECTOR, f'polygon[data-cell="{_cell(best)}"]')
    webdriver.ActionChains(browser).move_to_element(target).perform()
    page.wait(lambda: browser.find_elements(By.CSS_SELECTOR, "#board .stone.ghost"))
    page.select("hints", "off")
    assert not browser.find_elements(By.CSS_SELECTOR, "#board .heat")


def test_games_go_out_and_come_back(browser: webdriver.Chrome, address: str) -> None:
    page = Page(browser, address)
    page.select("side", "all")
    for cell in (12, 6, 8):
        page.play(cell)
    wanted = page.moves
    texts = {form: page.share(form) for form in ("trmph", "sgf", "hexworld", "link")}
    assert texts["trmph"] == "#5,c3b2d2"
    for form in ("trmph", "sgf", "hexworld"):
        page.find("new").click()
        page.wait(lambda: page.moves == [])
        page.find("text").clear()
        page.find("text").send_keys(texts[form])
        page.find("load").click()
        page.wait(lambda: page.moves == wanted)
    other = Page(browser, texts["link"])
    assert other.moves == wanted
    page.find("text").clear()
    page.find("text").send_keys("nonsense")
    page.find("load").click()
    page.wait(lambda: "nonsense" in page.find("error").text)
    assert page.moves == wanted


def test_a_position_that_was_set_up_is_played_on(browser: webdriver.Chrome, address: str) -> None:
    page = Page(browser, address)
    page.find("text").send_keys("(;FF[4]GM[11]SZ[5];AB[a1][b1][c1]AW[e5]PL[W])")
    page.find("load").click()
    page.wait(lambda: len(browser.find_elements(By.CSS_SELECTOR, "#board polygon.taken")) == 4)
    assert page.status.startswith("White to move")
    page.play(12)
    page.wait(lambda: page.moves == ["c3"])
    assert page.status.startswith("Black to move")
    other = Page(browser, page.share("link"))
    assert other.moves == ["c3"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#board polygon.taken")) == 5
    other.find("undo").click()
    other.wait(lambda: other.moves == [])
    assert len(browser.find_elements(By.CSS_SELECTOR, "#board polygon.taken")) == 4
    other.find("new").click()
    other.wait(lambda: not browser.find_elements(By.CSS_SELECTOR, "#board polygon.taken"))


def test_a_saved_game_is_opened_again(browser: webdriver.Chrome, address: str, tmp_path: Path) -> None:
    page = Page(browser, address)
    page.select("side", "all")
    page.play(12)
    page.wait(lambda: page.find("extra").is_displayed())
    page.find("extra").click()
    page.wait(lambda: page.moves == ["c3", "swap"])
    page.play(6)
    wanted = page.moves
    assert page.find("download").get_attribute("download") == "game.sgf"
    saved = tmp_path / "game.sgf"
    saved.write_text(unquote(str(page.find("download").get_attribute("href")).split(",", 1)[1]))
    texts = {form: page.share(form) for form in ("hexworld", "link")}
    page.find("new").click()
    page.wait(lambda: page.moves == [])
    page.find("file").send_keys(str(saved))
    page.wait(lambda: page.moves == wanted)
    assert "colours were swapped" in page.status
    page.find("new").click()
    page.wait(lambda: page.moves == [])
    page.find("text").clear()
    page.find("text").send_keys(texts["hexworld"])
    page.find("load").click()
    page.wait(lambda: page.moves == wanted)
    assert Page(browser, texts["link"]).moves == wanted


def test_a_page_runs_its_own_scripts_alone(browser: webdriver.Chrome, address: str) -> None:
    """The browser keeps to the policy that the server sends, which the pages of all other tests here satisfy too."""
    Page(browser, address)
    browser.execute_script(
        "const made = document.createElement('script'); made.textContent = 'window.strange = 1';"
        "document.body.append(made);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,x\" onerror=\"window.strange = 1\">');"
    )
    found: list[str] = []
    _until(lambda: found.extend(_complaints(browser, "Content Security Policy")) or len(found) >= 2, 60)
    assert browser.execute_script("return window.strange") is None


def test_a_page_of_another_site_reads_no_run(browser: webdriver.Chrome, address: str) -> None:
    listen = (
        "const [address, done] = arguments; const socket = new WebSocket(address);"
        "socket.onmessage = () => done('read'); socket.onerror = () => done('refused');"
    )
    live = address.replace("http", "ws") + "api/run/live"
    browser.set_script_timeout(250)
    browser.get(address + "dashboard")
    assert browser.execute_async_script(listen, live) == "read"
    browser.get("data:text/html,<p>a page of nowhere")
    assert browser.execute_async_script(listen, live) == "refused"
    _until(lambda: _complaints(browser, "WebSocket"), 60)


def test_keys_alone_are_enough(browser: webdriver.Chrome, address: str) -> None:
    page = Page(browser, address)
    page.select("side", "all")
    board = page.find("board")
    board.send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ENTER)
    page.wait(lambda: page.moves == ["b2"])
    board.send_keys("s")
    page.wait(lambda: page.moves == ["b2", "swap"])
    board.send_keys("u")
    page.wait(lambda: page.moves == ["b2"])
    board.send_keys("n")
    page.wait(lambda: page.moves == [])


def test_three_players_on_a_large_board(browser: webdriver.Chrome, large: str) -> None:
    page = Page(browser, large)
    page.select("side", "all")
    assert not page.find("share").is_displayed()  # its games have no text forms
    for count, (row, column) in enumerate([(50, 50), (50, 53), (60, 40)], start=1):
        page.click_at(row, column)
        page.wait(lambda count=count: len(page.moves) == count)
    assert page.moves == ["ay51", "bb51", "ao61"]
    assert "Black to move" in page.status
    assert {f"stone stone-{seat}" for seat in (1, 2, 3)} == set(page.classes("#board .stone"))
    page.weakest()
    page.find("move").click()
    page.wait(lambda: len(page.moves) == 4 and "White to move" in page.status)


def test_stones_fall_on_a_board_that_is_no_square(browser: webdriver.Chrome, falling: str) -> None:
    page = Page(browser, falling)
    page.select("side", "all")
    for count, (row, column) in enumerate([(0, 3), (5, 6), (2, 3)], start=1):  # wherever in its column
        page.click_at(row, column)
        page.wait(lambda count=count: len(page.moves) == count)
    assert page.moves == ["d6", "g6", "d5"]
    board = page.find("board")
    board.send_keys(*[Keys.ARROW_RIGHT] * 9, Keys.ENTER)  # no further than the last column
    page.wait(lambda: page.moves == ["d6", "g6", "d5", "g5"])
    page.find("move").click()
    page.wait(lambda: len(page.moves) == 5)


def test_a_piece_is_picked_and_then_its_target(browser: webdriver.Chrome, stepping: str) -> None:
    page = Page(browser, stepping)
    page.select("side", "all")
    assert page.status == "Black to move, down the board"
    page.click_at(3, 0)  # nobody stands there
    page.click_at(4, 0)  # the other's piece
    assert not page.classes("#board .picked")
    page.click_at(1, 1)
    page.wait(lambda: page.status == "b2 goes to a3, b3, c3")
    assert len(page.classes("#board .target")) == 3
    page.click_at(1, 1)  # let go
    page.wait(lambda: page.status == "Black to move, down the board")
    page.click_at(1, 0)
    page.click_at(1, 1)  # another piece in its place
    page.wait(lambda: page.status.startswith("b2"))
    page.click_at(2, 2)
    page.wait(lambda: page.moves == ["b2c3"])
    assert page.status == "White to move, up the board"
    assert len(page.classes("#board .stone")) == 20
    for count, (source, target) in enumerate((((4, 3), (3, 3)), ((2, 2), (3, 3))), start=2):
        page.click_at(*source)
        page.click_at(*target)
        page.wait(lambda count=count: len(page.moves) == count)
    assert page.moves == ["b2c3", "d5d4", "c3d4"]
    assert len(page.classes("#board .stone")) == 19
    page.find("undo").click()
    page.wait(lambda: page.moves == ["b2c3", "d5d4"])
    board = page.find("board")
    board.send_keys(*[Keys.ARROW_UP] * 9, *[Keys.ARROW_LEFT] * 9, Keys.ARROW_DOWN, Keys.ENTER)
    page.wait(lambda: page.status == "a2 goes to a3, b3")
    board.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    page.wait(lambda: page.moves == ["b2c3", "d5d4", "a2a3"])
    assert Page(browser, f"{stepping}#b2c3,d5d4,a2a3").moves == page.moves


def test_hints_of_pieces_are_arrows(browser: webdriver.Chrome, stepping: str) -> None:
    page = Page(browser, stepping)
    page.select("side", "all")
    for kind, words in (("policy", "own win probability"), ("visits", "simulations"), ("win", "win probability")):
        page.select("hints", kind)
        page.wait(lambda words=words: words in page.find("hint-text").text)
        assert page.classes("#board .step")
    best = page.find("hint-text").text.split(": ")[1].split(",")[0]
    assert re.fullmatch("[a-e]2[a-e]3", best)
    page.click_at(1, ord(best[0]) - ord("a"))  # the pointer is over it, too
    page.wait(lambda: "1" in [mark.text for mark in browser.find_elements(By.CSS_SELECTOR, "#board .mark")])
    page.select("hints", "off")
    assert not page.classes("#board .step")
    page.select("side", "0")
    page.find("new").click()
    page.weakest()
    page.wait(lambda: page.moves == [])
    page.find("move").click()
    page.wait(lambda: len(page.moves) == 2 and page.status.startswith("Black to move"))


def test_passes_and_the_points_of_go(browser: webdriver.Chrome, territory: str) -> None:
    page = Page(browser, territory)
    page.select("side", "all")
    page.click_at(2, 2)
    page.wait(lambda: page.moves == ["c3"])
    assert page.find("extra").text == "Pass"
    for moves in (["c3", "pass"], ["c3", "pass", "pass"]):
        page.find("extra").click()
        page.wait(lambda moves=moves: page.moves == moves)
    page.wait(lambda: page.status == "Black has won by 17.5 points")
    assert not page.find("extra").is_displayed()


def test_a_large_board_is_panned_and_zoomed(browser: webdriver.Chrome, large: str) -> None:
    page = Page(browser, large)
    page.select("side", "all")
    left, top, width, _ = page.box
    middle = ScrollOrigin.from_element(page.find("board"))
    ActionChains(browser).scroll_from_origin(middle, 0, -900).perform()
    page.wait(lambda: page.box[2] < 0.4 * width)
    near = page.box
    page.drag(120, 80)
    page.wait(lambda: page.box[0] < near[0] and page.box[1] < near[1])
    assert page.box[2] == near[2]
    assert page.moves == []  # a drag is no move
    row, column = (int(page.box[at] + 0.5 * page.box[2]) for at in (1, 0))
    page.click_at(row, column)
    page.wait(lambda: len(page.moves) == 1)
    page.find("board").send_keys("---------")
    page.wait(lambda: page.box[:3] == [left, top, width])
    page.find("board").send_keys("+", Keys.ARROW_RIGHT, Keys.ENTER)
    page.wait(lambda: len(page.moves) == 2 and page.box[2] < width)


@pytest.mark.parametrize("path", ["", "dashboard"])
def test_a_phone_is_wide_enough(browser: webdriver.Chrome, address: str, path: str) -> None:
    try:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        )
        browser.get(address + path)
        time.sleep(1.5)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_dashboard_of_a_run_that_is_over(browser: webdriver.Chrome, finished: str) -> None:
    browser.get(finished + "dashboard")
    _until(lambda: browser.find_element(By.ID, "alive").text == "not running", 250)
    (games,) = browser.execute_script(  # read at once: the page redraws itself
        "return [...document.querySelectorAll('[data-figure=\"games\"] strong')].map((entry) => entry.textContent)"
    )
    assert int(games) > 0
    assert _until(lambda: browser.find_elements(By.CSS_SELECTOR, "#charts path"), 250)
    across = {
        float(x)
        for path in browser.execute_script(
            "return [...document.querySelectorAll('#charts path')].map((p) => p.getAttribute('d'))"
        )
        for x in re.findall(r"[ML]([-\d.]+),", path)
    }
    assert 44 <= min(across) < 60  # from the one end of a chart to the other, and not all in one place
    assert 340 < max(across) <= 354
    assert len(across) > 20
    assert _until(lambda: browser.find_elements(By.CSS_SELECTOR, "#games svg .stone"), 250)
    assert not browser.find_element(By.ID, "process-card").is_displayed()
    assert not browser.find_element(By.ID, "error").text
