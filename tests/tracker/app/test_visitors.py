"""Files of visitors, uploads, limits and jobs, without a browser."""

import asyncio
import threading

import pytest

from fusion.base.errors import UserError
from tracker.app.jobs import Stopped, Worker
from tracker.app.limits import Limits
from tracker.app.visitors import Visitors, safe_name


@pytest.fixture
def worker():
    running = Worker()
    yield running
    running.close()


@pytest.fixture
def visitors(tmp_path, worker):
    return Visitors(tmp_path / "all", Limits(upload_bytes=1000), worker)


async def parts(*chunks):
    for chunk in chunks:
        yield chunk


def receive(visitor, slot, name, *chunks):
    visitor.upload_address(slot)
    asyncio.run(visitor.receive(slot, name, parts(*chunks)))


async def refused(visitor, slot):
    with pytest.raises(UserError, match="not expected"):
        await visitor.receive(slot, "b.png", parts(b"two"))


def settled(worker):
    """Wait until the worker has done everything so far."""
    done = threading.Event()
    worker.afterwards(done.set)
    assert done.wait(30)


def test_an_upload_is_stored_and_replaced(visitors, worker, tmp_path):
    visitor = visitors.enter()
    receive(visitor, "left", "a.png", b"one", b"two")
    first = visitor.uploaded("left")
    assert first.name == "a.png" and first.read_bytes() == b"onetwo"
    receive(visitor, "left", "b.png", b"three")
    settled(worker)
    assert not first.exists()
    assert visitor.uploaded("left").read_bytes() == b"three"


def test_nothing_is_kept_of_a_refused_upload(visitors, tmp_path):
    visitor = visitors.enter()
    receive(visitor, "left", "a.png", b"kept")
    for chunks, why in (((bytes(600), bytes(600)), "larger than"), ((), "empty")):
        with pytest.raises(UserError, match=f"big.png: .*{why}"):
            receive(visitor, "left", "big.png", *chunks)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.png"]
    assert visitor.uploaded("left").read_bytes() == b"kept"


def test_only_one_file_at_a_time_arrives_in_a_known_slot(visitors, tmp_path):
    visitor = visitors.enter()
    visitor.upload_address("left")

    async def slow():
        yield b"one"
        await refused(visitor, "left")

    asyncio.run(refused(visitor, "elsewhere"))
    asyncio.run(visitor.receive("left", "a.png", slow()))
    assert visitor.uploaded("left").read_bytes() == b"one"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.png"]


def test_a_result_replaces_the_one_before(visitors, worker):
    visitor = visitors.enter()
    folders = [visitor.new_folder() for _ in range(3)]
    for tab, folder in zip(("fuse", "track", "fuse"), folders, strict=True):
        visitor.keep(tab, folder)
    settled(worker)
    assert [folder.exists() for folder in folders] == [False, True, True]


@pytest.mark.parametrize(
    "name", ["../../x.png", "/etc/x.png", "C:\\x.png", "..", "", "a\0b", "x" * 400]
)
def test_no_name_leaves_the_folder(visitors, name, tmp_path):
    visitor = visitors.enter()
    receive(visitor, "left", name, b"data")
    path = visitor.uploaded("left")
    assert path.resolve().is_relative_to((tmp_path / "all").resolve())
    assert path.name == safe_name(name) and len(path.name) < 120


def test_files_are_served_to_their_visitor_alone(visitors, tmp_path):
    mine, other = visitors.enter(), visitors.enter()
    assert mine.key != other.key and len(mine.key) > 20
    path = mine.new_folder() / "fused.png"
    path.write_bytes(b"picture")
    address = mine.offer(path, "my result.png")
    _, beginning, key, number, name = address.split("/")
    assert (beginning, key, name) == ("files", mine.key, "my%20result.png")
    assert visitors.get(key).offered(number) == path
    assert other.offered(number) is None and mine.offered("../1") is None


def test_messages_name_files_as_the_visitor_does(visitors):
    visitor = visitors.enter()
    path = visitor.new_folder() / "a.png"
    error = UserError(f"{path} and {path}: are the same")
    assert visitor.message(error) == "a.png and a.png: are the same"


def test_who_leaves_leaves_nothing(visitors, worker, tmp_path):
    visitor, other = visitors.enter(), visitors.enter()
    called = []
    visitor.at_close(lambda: called.append("closed"))
    receive(visitor, "left", "a.png", b"mine")
    receive(other, "left", "b.png", b"other's")
    started = threading.Event()

    def work(job):
        started.set()
        while True:  # until it is stopped
            (visitor.new_folder() / "frame.png").write_bytes(b"frame")
            job.report(1, 2)

    job = visitor.start(work)
    assert started.wait(30)
    visitors.leave(visitor)
    visitors.leave(visitor)
    settled(worker)
    with pytest.raises(Stopped):
        asyncio.run(job.result())
    assert called == ["closed"] and visitors.get(visitor.key) is None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b.png"]
    with pytest.raises(UserError, match="closed"):
        receive(visitor, "left", "late.png", b"late")


# --- Jobs -----------------------------------------------------------------------------------------


def test_jobs_run_one_at_a_time_in_order(worker):
    go, order, running = threading.Event(), [], []

    def work(number):
        def run(job):
            running.append(number)
            assert len(running) == 1
            assert go.wait(30)
            order.append(number)
            running.remove(number)
            return number

        return run

    jobs = [worker.start(work(number)) for number in range(3)]
    assert [job.ahead for job in jobs] == [0, 1, 2]
    go.set()

    async def results():
        return [await job.result() for job in jobs]

    assert asyncio.run(results()) == order == [0, 1, 2]
    settled(worker)
    assert [job.ahead for job in jobs] == [0, 0, 0]


def test_a_job_that_waits_can_be_stopped_and_one_that_fails_stops_nobody(worker):
    go, ran = threading.Event(), []
    first = worker.start(lambda job: go.wait(30))
    second = worker.start(ran.append)
    third = worker.start(lambda job: 1 / 0)
    second.stop()
    go.set()
    with pytest.raises(Stopped):
        asyncio.run(second.result())
    with pytest.raises(ZeroDivisionError):
        asyncio.run(third.result())
    assert asyncio.run(first.result()) and ran == []
