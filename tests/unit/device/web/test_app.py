"""The frame of every page, the files it is made of, jobs, and what a person is told when something is wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

import pytest
from tests.unit.device.web.conftest import ORIGIN, Window

from projectone.device.web.jobs import Jobs, Report
from projectone.errors import DataError

OURS = {"origin": ORIGIN}


def test_the_navigation_leads_to_pages_that_exist_and_marks_the_present_one(window: Window) -> None:
    page = window.browser.get("/recordings").text
    links = re.findall(r'<li><a href="(/[a-z]*)"', page)
    assert links[:2] == ["/", "/recordings"]
    assert all(window.browser.get(link).status_code == 200 for link in links)
    assert re.findall(r'<a href="([^"]+)" aria-current="page"', page) == ["/recordings"]


def test_no_page_holds_a_script_or_a_style_of_its_own(window: Window) -> None:
    for path in ("/", "/recordings", "/nowhere"):
        page = window.browser.get(path).text
        assert re.findall(r"<script(?![^>]*(?: src=|application/json))", page) == []
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []


def test_static_files_are_kept_by_the_browser_until_a_new_version(window: Window) -> None:
    (address,) = re.findall(r'href="([^"]+app\.css)"', window.browser.get("/").text)
    newest = window.browser.get(address)
    assert newest.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in newest.headers["cache-control"]
    again = window.browser.get(address, headers={"if-none-match": newest.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    older = window.browser.get("/static/older/app.css")
    assert (older.status_code, older.headers["cache-control"]) == (200, "no-cache")
    assert window.browser.get("/static/older/..%2fapp.py").status_code == 404


def test_the_chosen_colours_are_in_the_first_answer(window: Window) -> None:
    page = window.unguarded.get("/", headers={"cookie": "projectone-theme=dark"}).text
    assert '<html lang="en" data-theme="dark">' in page
    wrong = window.unguarded.get("/", headers={"cookie": 'projectone-theme="><script>'}).text
    assert '<html lang="en">' in wrong


def test_what_does_not_exist_is_said_as_a_page_or_as_a_problem(window: Window) -> None:
    page = window.browser.get("/nowhere")
    assert page.status_code == 404
    assert "There is nothing here" in page.text
    problem = window.browser.get("/api/nowhere")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["reason"] == "not-found"


def test_a_file_that_is_no_sound_fails_as_a_job_with_its_reason(window: Window) -> None:
    job = window.browser.post("/api/recordings", headers=OURS, content=b"<html>").json()
    jobs_path = f"/api/jobs/{job['id']}"
    while (seen := window.browser.get(jobs_path).json())["state"] == "running":
        pass
    assert seen["error"]["reason"] == "wav-not-riff"


def test_a_job_tells_how_far_it_is_and_is_started_once() -> None:
    jobs, may_end, has_begun = Jobs(), threading.Event(), threading.Event()

    def work(report: Report) -> Mapping[str, object]:
        report(1, 2, "half")
        has_begun.set()
        may_end.wait()
        return {"answer": 42}

    job = jobs.start("sync", work)
    has_begun.wait()
    assert jobs.start("sync", work) is job
    assert (job.document()["done"], job.document()["total"], job.document()["what"]) == (1, 2, "half")
    assert not jobs.close(0)
    may_end.set()
    assert jobs.close(10)
    assert (job.state, job.result) == ("done", {"answer": 42})
    assert jobs.start("sync", work) is not job


@pytest.mark.parametrize(
    ("error", "kind"), [(DataError("silence", "nothing is heard"), "data"), (RuntimeError("secret"), "internal")]
)
def test_what_stops_a_job_is_said_without_inner_parts(error: Exception, kind: str) -> None:
    def work(report: Report) -> Mapping[str, object]:
        raise error

    jobs = Jobs()
    job = jobs.start("sync", work)
    assert jobs.close(10)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["kind"] == kind
    assert "secret" not in job.error["message"]


def test_the_foot_of_every_page_names_all_that_leaves(window: Window) -> None:
    def foot() -> str:
        (words,) = re.findall(r'<p class="leaving">.*?<span>([^<]*)</span>', window.browser.get("/").text)
        return words

    assert foot() == "Nothing leaves this device"
    window.client.grant("corrections", "web")
    window.client.quality.switch(is_on=True, method="web")
    window.client.report_health(is_on=True)
    assert foot() == "Sent as you allowed: your corrections, one count a week, how a new model does"
    window.client.withdraw("corrections")
    window.client.quality.switch(is_on=False, method="web")
    window.client.report_health(is_on=False)
    assert foot() == "Nothing leaves this device"
