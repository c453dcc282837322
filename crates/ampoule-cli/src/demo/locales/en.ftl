language-name = English
nav = Pages
page-home = Home
page-notes = Notes
page-slow = Cache
page-inspector = X-ray
page-thief = Thief
page-outage = Outage
page-private = For users only
logged-in-as = Logged in as { $user }.
footer = Three apps, one session. No script runs on these pages.
choose-language = Language
just-now = just now
ago-seconds = { $n ->
    [one] one second ago
   *[other] { $n } seconds ago
}
ago-minutes = { $n ->
    [one] one minute ago
   *[other] { $n } minutes ago
}
ago-hours = { $n ->
    [one] one hour ago
   *[other] { $n } hours ago
}
ago-days = { $n ->
    [one] one day ago
   *[other] { $n } days ago
}
in-seconds = { $n ->
    [one] in one second
   *[other] in { $n } seconds
}
in-minutes = { $n ->
    [one] in one minute
   *[other] in { $n } minutes
}
in-hours = { $n ->
    [one] in one hour
   *[other] in { $n } hours
}
in-days = { $n ->
    [one] in one day
   *[other] in { $n } days
}
no-lab = This part needs the demo’s own session filter, with a store. This site uses another filter, or keeps its sessions in cookies.

hello = Hello, { $user }.
welcome-title = Sessions that lose nothing.
welcome = A session is what a web service remembers about you from one request to the next. Ampoule keeps it safe when many requests arrive at once, when your cookie is stolen, and when the store fails. See for yourself:
home-away = The session store is unavailable. This page works without your session: until the store is back, you are an unknown visitor. Nothing in your session is lost.
race-run = Send { $n } requests at once
race-kept = { $kept } of { $n } kept
race-picture = { $kept } of { $n } changes were kept.
race-not-yet = No requests were sent yet.
race-overwrite = read, change, write back
race-about = The server sends two groups of { $n } requests at once, with your cookie, through the session layer of this site. Each request loads your session, works for 20 milliseconds, adds its number to a list, and saves. The requests of the first group call update; those of the second group read the list and write it back, which overwrites what other requests added.
race-took = Both groups together took { $n } milliseconds.
logged-in-title = Your login
logged-in = Restart the server and come back: you are still logged in. Your login is a new session with a new cookie; the old cookie does not open it.
login-elsewhere = To log in as the same user in another browser, enter this name there:
log-out = Log out
login-about = A name is enough. You stay logged in on every page and in every tab, even after the server restarts.
your-name = Your name
log-in = Log in
remember-me = Remember me for 30 days, even after the browser is closed
visits-title = Visits to this page
visits = Counted in your session. Reload this page in two tabs as fast as you can: no visit is lost.
devices-title = Where you are logged in
device = { $browser } on { $system }
device-unknown = Unknown browser
this-one = this session
logged-in-at = logged in
last-used = last used
sign-out-device = Log out { $device }
devices-more = { $n ->
    [one] One more is not shown.
   *[other] { $n } more are not shown.
}
sign-out-elsewhere = Log out everywhere else
rooms-title = Try to break it
room-thief = what copied cookies can do.
room-outage = ten seconds without a store.
room-inspector = what your session contains, and how it is stored.
more-title = When something goes wrong
to-private = A page for users only
to-nowhere = A page that does not exist
to-boom = A page that fails
to-outage = What happens during the outage

flash-welcome = Welcome, { $user }.
flash-blank-name = The name is blank. Enter at least one letter.
flash-goodbye = You are logged out. Copies of your cookie no longer work either.
flash-elsewhere = { $count ->
    [0] You were logged in nowhere else.
    [one] One other session has ended.
   *[other] { $count } other sessions have ended.
}
flash-note-added = The note was added.
flash-blank-note = The note is blank, so it was not added.
flash-note-removed = The note was removed.
flash-cache-cleared = The report was cleared. The next visitor waits for a new one.
flash-language = This site is now in English.
flash-busy = Other visitors are trying this at the moment. Please try again in a few seconds.

notes-title = Notes
notes-about = This is a separate app, mounted beside the home page, with the same session. Add a note here and in another tab: both are kept.
a-note = A note
add = Add
remove = Remove
remove-note = Remove the note { $note }
notes-full = The list is full. Remove a note to add another.
no-notes = No notes yet.

slow-title = A slow page
slow-about = The report on this page takes two seconds to create. It is created once for all visitors and all processes that share the cache; concurrent requests wait for the same report.
slow-waited = milliseconds of waiting for the report
slow-made = Created
slow-by = Created for
slow-none = a visitor without a name
slow-process = Created by process
slow-clear-title = Make it slow again
slow-clear-about = Removes every cached value with the tag “slow” in one step, including values that are being created at this moment.
slow-clear = Clear the report
slow-count-title = The cache of this process
slow-hits = Hits
slow-waits = Waits for another request
slow-creations = Creations
slow-place = Stored in

thief-title = A thief has your cookie
thief-about = The server plays both parts: a victim who visits, logs in and logs out, and a thief with copies of the cookies. Their requests pass the session layer of this site. Your own session is not affected.
thief-try = Let the thief try
thief-result = Results
thief-sent = What the thief sent
thief-answer = Accepted as
thief-nobody = Nobody.
thief-in = The user { $user }.
thief-read = The thief read what the victim wrote.
thief-refused = Saving was refused:
thief-noted = Logged event:
thief-copy = The cookie of the login, after the logout
thief-why-copy = The session has ended on the server, so the copy opens nothing.
thief-early = The cookie from before the login, right after the login
thief-why-early = A login creates a new session. The old cookie opens only the data from before the login.
thief-late = The same cookie, after the victim’s next click
thief-why-late = The session from before the login ended when the new cookie was first used.
thief-two = The victim’s cookie together with the thief’s
thief-why-two = The cookies of two live sessions contradict each other, as when a neighbouring site set one of them. Both are ignored, and the browser is told to delete them.
thief-mine = Your own cookie, after your logout
thief-why-mine = Your session has ended on the server, so the copy opens nothing.
thief-mine-title = With your own cookie
thief-mine-about = Copies the cookie of this request, logs you out, and sends a request with the copy. The copy is discarded at the end of the request.
thief-mine-try = Copy my cookie and log me out

outage-title = An outage of the store
outage-about = For { $n } seconds, the session store will be unavailable to your requests, but not to those of other visitors. The option on_outage decides what happens to a page that needs the session:
outage-visits = { $n ->
    [one] Your session has counted one visit. After the outage it will still be there.
   *[other] Your session has counted { $n } visits. After the outage they will still be there.
}
outage-policy-error = The page answers with the status 503; pages that do not need the session work.
outage-policy-anonymous = The page gets an empty session that cannot be saved.
outage-now-title = The store is unavailable
outage-left = { $n ->
    [one] It is back in one second.
   *[other] It is back in { $n } seconds.
}
outage-error = This page tried to load your session and got the error “{ $kind }”, so it is shown without your session. A page that needs the session answers with the status { $status }.
outage-anonymous = This page tried to load your session and got an empty one, which is marked as unreachable. It can be read but not saved.
outage-home = The home page during the outage
outage-again = Check again

inspector-title = Your session
none-yet = You have no session yet, and viewing this page creates none.
none-yet-how = Visit the home page, which counts your visits, or add a note.
its-id = Id (not a secret)
whose = User
nobodys = none
made = Created
used-before = Last used before this request
ends = Ends, if it is not used
holds-title = Content
xray-size = Record in the store
xray-bytes = { $n ->
    [one] one byte
   *[other] { $n } bytes
}
xray-version = Version of the record
xray-trips-title = Round trips to the store
xray-trips-about = Those of the request for this page, until the page was rendered. A request loads its session only once, however often the page reads it.
xray-events-title = Events
event-created = The session was saved for the first time.
event-forked = A login created the session.
event-rotated = The session got a new token.
event-destroyed = The session was ended.
event-expired = A request had a token of this session after the session had ended.
event-replayed = A request had a token that had been replaced.
event-conflicting = A request had the tokens of two sessions.
xray-cookie-title = Cookie
xray-cookie-about = The attributes of the cookie, and the reason for each. The name is
xray-attribute = Attribute
xray-reason = Reason
xray-absent = not sent
cookie-httponly = No script can read the cookie, so an injected script cannot steal it.
cookie-samesite = With Lax, the browser does not send the cookie when a form or an image of another site causes the request, but does when you follow a link.
cookie-secure = The browser sends the cookie only over TLS. With debug, for your own machine, the attribute is left out.
cookie-path = The browser sends the cookie to all apps of this site.
cookie-domain = Without it, the browser sends the cookie only to this host, not to its subdomains.
cookie-max-age = Without it, the browser deletes the cookie when it closes. “Remember me” adds it.
cookie-partitioned = Only for a site that is embedded in other sites.
anew-title = Start over
anew = Ends this session on the server. Your current cookie and every copy of it become invalid.
end-session = End this session

private-title = Only for you, { $user }.
private = A visitor who is not logged in gets the error page and the status 403 here.
error-400 = The request could not be understood.
error-401 = Who are you?
error-403 = Not for you, yet.
error-404 = Nothing is here.
error-405 = That cannot be done here.
error-409 = Your session changed meanwhile.
error-413 = The request is too large.
error-415 = The format of the request is not supported.
error-422 = Something is missing.
error-500 = Something went wrong here.
error-503 = Your session cannot be reached.
error-form = That form is out of date.
error-foreign = That came from another site.
error-hint-login = Please log in first.
error-hint-form = The form belongs to another session, or to one that has ended: perhaps you logged in or out in another tab. Nothing was changed. Please try again with a new form.
error-hint-foreign = This request was refused: a page of another site sent it. Open this site itself, and try there.
error-hint-400 = Please go back, reload the page, and try again.
error-hint-404 = The address may be misspelt.
error-hint-405 = This address exists, but not for this kind of request. It may be the target of a form.
error-hint-409 = Your session ended or changed during this request, so nothing was saved. Please try again.
error-hint-413 = Please send less.
error-hint-503 = The session store does not answer at the moment. Nothing is lost; please try again in a few seconds. Pages that do not need the session work.
error-number = The log has details under the number
error-back = Back to the form
back-home = Back to the home page
