"""`projectone ui`: the app in the browser."""

from __future__ import annotations

import argparse
import json
import webbrowser

from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.errors import SettingsError


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
            else f"open {opened.url}\nIt works here, and once; another window: run it again. Ctrl-C stops.",
            flush=True,
        )
        if not arguments.no_browser:
            webbrowser.open(opened.page.as_uri())

    try:
        serve(client, client.status().home, port=arguments.port, on_open=on_open)
    except RunningElsewhereError as error:
        if error.page is not None and not arguments.no_browser:
            webbrowser.open(error.page.as_uri())
        return Result({"state": "running-elsewhere", "url": error.url}, str(error), is_done=False, problem=str(error))
    return Result({"state": "stopped"}, "stopped")


UI = Command("  projectone ui\n  projectone ui --port 8080 --no-browser\n  projectone ui --json", _arguments, _execute)
