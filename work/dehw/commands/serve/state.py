"""What the page in the browser is told of a visit, as JSON."""

import re
from dataclasses import asdict
from typing import Any

from dehw.commands.serve.chinese import translated
from dehw.commands.serve.opened import OpenDocument, OpenPage
from dehw.commands.serve.session import Session

Json = dict[str, Any]
BESIDE = re.compile(
    r"[;；] ?(look at this page|请检查这一页).*", re.DOTALL
)  # the page is looked at, and shows its options


def of(session: Session | None, language: str) -> Json:
    """All that is shown of a session; that of a visitor without one is empty. language: of sentences, en or zh."""
    if session is None:
        return {"pages": [], "documents": [], "problems": [], "zip": False, "run": None}
    run = _run(session)  # before what it does: who is told that nothing runs does not ask again soon
    documents = list(session.documents)
    return {
        "pages": [_page(each, index, language) for each in documents for index in range(len(each.pages))],
        "documents": [_document(each) for each in documents],
        "problems": [translated(problem, language) for problem in list(session.problems)],
        "zip": session.zip.exists(),
        "run": run,
    }


def _page(document: OpenDocument, index: int, language: str) -> Json:
    page = document.pages[index]
    return {
        "key": f"{document.number}-{index}",
        "document": document.number,
        "file": document.job.source.name,
        "number": index + 1,
        "count": len(document.pages),
        "version": page.version,
        "questions": page.questions,
        **asdict(page.asked),
        **_outcome(page, language),
    }


def _outcome(page: OpenPage, language: str) -> Json:
    done = page.outcome
    if done is None or page.is_due:
        return {"status": "waiting"}
    notes = [BESIDE.sub("", translated(warning, language)) for warning in done.warnings]
    return {"status": done.status, "share": done.share, "seconds": done.seconds, "notes": notes}


def _document(document: OpenDocument) -> Json:
    target = document.job.target
    return {"number": document.number, "name": target.name, "done": target.exists()}


def _run(session: Session) -> Json | None:
    run = session.run
    if run is None or run.done():
        return None
    return {"ahead": session.owner.runs.ahead(run), **session.doing}
