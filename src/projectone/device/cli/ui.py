"""`projectone ui`: the app in the browser."""

from __future__ import annotations

import argparse
import json
import sys
import webbrowser
from pathlib import Path

from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.errors import SettingsError

_WORDS = "It works here, and once; another window: run it again. Ctrl-C stops."
_IF_SHUT_IN = (
    "If the browser says that it cannot read a file, as those from Snap and Flatpak may, paste that address into it."
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, metavar="N", help="where to listen on this machine; 0: any that is free")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open nothing")


def _execute(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    # Imported here: only this word needs a web server.
    try:
        from projectone.device.web.serving import Opened, RunningElsewhereError, serve
    except ImportError as error:
        raise SettingsError(f"the app in the browser needs pip install 'projectone[ui]' ({error})") from error
    if arguments.port is not None and not 0 <= arguments.port < 65_536:
        raise SettingsError(f"--port: expected 0 to 65535, got {arguments.port}")

    def on_open(opened: Opened) -> None:
        # At once, not at the end: whoever started us waits for it.
        shown = {"state": "running", "url": opened.url, "port": opened.port}
        print(
            json.dumps(shown)
            if arguments.json
            else f"open {opened.url}\n{_WORDS}" + ("" if arguments.no_browser else f"\n{_IF_SHUT_IN}"),
            flush=True,
        )
        if not arguments.no_browser:
            _open_browser(opened.page)

    try:
        serve(client, client.status().home, port=arguments.port, on_open=on_open)
    except RunningElsewhereError as error:
        if error.page is not None and not arguments.no_browser:
            _open_browser(error.page)
        return Result({"state": "running-elsewhere", "url": error.url}, str(error), is_done=False, problem=str(error))
    return Result({"state": "stopped"}, "stopped")


def _open_browser(page: Path) -> None:
    """Show the page that leads to the app; where no browser can be started, say what to do instead."""
    if not webbrowser.open(page.as_uri()):
        print("no browser could be started: open that address in one yourself", file=sys.stderr, flush=True)


UI = Command("  projectone ui\n  projectone ui --port 8080 --no-browser\n  projectone ui --json", _arguments, _execute)
