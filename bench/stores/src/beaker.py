"""Measures Beaker as its users run it: its middleware around a small application, called in this process.

Arguments: a folder, and the URL of a Redis server (may be empty). Prints the versions of Beaker and Python. For each line
`TYPE OPERATION COUNT` of input, it runs COUNT requests and prints the microseconds of one, without those of the application.
"""

import importlib.metadata
import itertools
import platform
import sys
import time
from wsgiref.util import setup_testing_defaults

from beaker.middleware import SessionMiddleware

SESSIONS = 64
FOLDER, REDIS = sys.argv[1:3]
SECRET = "9BDMovIFOPL0aIjADWgcE1kmN_3mMvU-s4_H8fTNML8"
TYPES = {
    "memory": {"type": "memory"},
    "file": {"type": "file", "data_dir": FOLDER},
    "redis": {"type": "ext:redis", "url": REDIS},
    "cookie-signed": {"type": "cookie", "validate_key": SECRET},
    "cookie-encrypted": {"type": "cookie", "validate_key": SECRET, "encrypt_key": SECRET},
}


def fill(session):
    for key in "abc":
        session[key] = 7
    session["d"] = 0
    session["text"] = "horse"
    session.save()


def read(session):
    assert session["c"] == 7


def save(session):
    session["d"] = session["d"] + 1
    session.save()


def application(action):
    def app(environ, start_response):
        action(environ["beaker.session"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"horse"]

    return app


def bare(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"horse"]


class Site:
    """One type of session, with the cookies of its clients."""

    def __init__(self, options):
        options = dict(options, key="session", secret=SECRET, timeout=24 * 3600)
        options = {"session." + name: value for name, value in options.items()}
        self.read, self.save, first = (SessionMiddleware(application(a), options) for a in (read, save, fill))
        self.requests = []
        for _ in range(SESSIONS):
            environ = {}
            setup_testing_defaults(environ)
            headers = []
            first(dict(environ), lambda status, sent, exc_info=None: headers.extend(sent))
            cookie = next(value for name, value in headers if name.lower() == "set-cookie")
            self.requests.append(dict(environ, HTTP_COOKIE=cookie.split(";")[0].strip()))

    def seconds(self, app, count):
        def start_response(status, headers, exc_info=None):
            pass

        requests = list(itertools.islice(itertools.cycle(self.requests), count))
        started = time.perf_counter()
        for request in requests:
            # A copy, since the middleware changes it.
            app(dict(request), start_response)
        return time.perf_counter() - started


def main():
    print("Beaker", importlib.metadata.version("Beaker"), "Python", platform.python_version(), flush=True)
    sites = {}
    for line in sys.stdin:
        name, operation, count = line.split()
        if name not in sites:
            sites[name] = Site(TYPES[name])
        site, count = sites[name], int(count)
        spent = site.seconds(getattr(site, operation), count) - site.seconds(bare, count)
        print(spent * 1e6 / count, flush=True)


main()
