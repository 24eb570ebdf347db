"""Several processes behind one port, which share nothing: ``serve_gym(..., workers=4)``.

The process that was asked to serve becomes the **dispatcher**: it owns the listening socket and starts
the **workers**, each a clean interpreter of its own, spawned and not forked, that builds the whole
application for itself. What builds it travels by cloudpickle in an unlinked file that only the workers
inherit. The dispatcher never probes or hosts an environment, and carries no step.

* **A connection** is accepted by the dispatcher, which looks at the head of its first request without
  taking it from the socket (``MSG_PEEK``), for ten seconds at most and beside all others, and passes
  the socket itself to a worker. WebSockets and plain HTTP are spread apart from each other, or clients
  that ask ``GET /schema`` before they connect would all meet at one worker; a worker's load is the lanes
  that it was granted, and what its connections will probably ask for that have not got any yet.
* **A session's id** names its worker. Whoever names a session in the first request's head is passed to
  it at once. Any other request, one of many on a connection that is kept alive, is handed on by the
  worker that received it, over a socket pair whose other end the dispatcher passes to the worker that is
  meant: no file, no port, and nobody else can reach it. An id that no worker has given is answered
  wherever it arrives, as usual. A WebSocket's handshake says its worker in ``X-OpenEnv-Worker``, and
  ``/ws?worker=...`` reaches it again, for a client that comes back after a cut.
* **What holds for the whole** is kept by the dispatcher: lanes and sessions are granted one by one and
  come back when their worker dies; it knows which worker has the session that calls without an id mean.
* **The dead and the hung**: a worker whose control socket ends, or whose event loop has not been heard
  for ten seconds, is killed and replaced. Its connections end with it; the others notice nothing. One
  that does not even start, several times over, ends the server with its error.
* **The end**: at SIGTERM or SIGINT the dispatcher accepts no more and the workers finish the steps that
  run; a second signal kills them. If the dispatcher itself is killed, its workers see the end of their
  control sockets, and end at once.

It needs what Linux has: passing descriptors, and sockets that keep the bounds of messages.
"""
