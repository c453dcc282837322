language-name = English
nav = Pages
page-home = Home
page-notes = Notes
page-slow = Cache
page-inspector = X-ray
page-thief = Thief
page-outage = Outage
page-private = Only for users
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
no-lab = This part looks through the session filter of this program, which is not around this site, or keeps its sessions in cookies.

hello = Hello, { $user }.
welcome-title = Sessions that lose nothing.
welcome = A session is what a web service knows of you from one request to the next. Ampoule keeps it when many requests come at once, when your cookie is stolen, and when the store goes away. See for yourself:
home-away = The store of sessions is away, and this page goes on without: for the moment you are a visitor that it does not know. Nothing of your session is lost.
race-run = Send { $n } requests at once
race-kept = { $kept } of { $n } kept
race-picture = { $kept } of { $n } changes were kept.
race-not-yet = Nothing was sent yet.
race-overwrite = read, change, write back
race-about = Each of the { $n } requests loads your session, works for 20 milliseconds, adds its number to a list, and saves: once with update, and once by reading the list and writing it back. The server makes them itself; they have your cookie and pass the layer around this site.
race-took = Both took { $n } milliseconds.
logged-in-title = Your login
logged-in = Restart the server and come back: you are still logged in. Your login is a session of its own, with a new cookie: the one from before opens nothing of it.
login-elsewhere = To log in as the same user in another browser, give this name there:
log-out = Log out
login-about = A name is enough. Every page and every tab then knows you, also after a restart of the server.
your-name = Your name
log-in = Log in
remember-me = Remember me for 30 days, also when the browser is closed
visits-title = Visits to this page
visits = Counted in your session. Reload this page in two tabs as fast as you can: no visit is lost.
devices-title = Where you are logged in
device = { $browser } on { $system }
device-unknown = Unknown browser
this-one = this one
logged-in-at = logged in
last-used = last used
sign-out-device = Log out { $device }
devices-more = { $n ->
    [one] One more is not shown.
   *[other] { $n } more are not shown.
}
sign-out-elsewhere = Log out everywhere else
rooms-title = Try to break it
room-thief = copied cookies, and what they open.
room-outage = ten seconds without a store.
room-inspector = what your session holds, and what lies under it.
more-title = When something goes wrong
to-private = A page for users only
to-nowhere = A page that is not there
to-boom = A page that fails
to-outage = What happens during the outage

flash-welcome = Welcome, { $user }.
flash-blank-name = The name is blank. Give one letter at least.
flash-goodbye = You are logged out, everywhere this cookie was copied to as well.
flash-elsewhere = { $count ->
    [0] You were logged in nowhere else.
    [one] One other session has ended.
   *[other] { $count } other sessions have ended.
}
flash-note-added = The note is kept.
flash-blank-note = The note is blank, so there is nothing to keep.
flash-note-removed = The note is gone.
flash-cache-cleared = The report is forgotten. The next visitor waits for a new one.
flash-language = This site now speaks English to you.
flash-busy = Other visitors are trying this at the moment. Please try again in a few seconds.

notes-title = Notes
notes-about = An app of its own, mounted beside the home page. It shares the session with it; add a note here and in another tab, and both are there.
a-note = A note
add = Add
remove = Remove
remove-note = Remove the note { $note }
notes-full = That is as many as this list holds; remove one to add another.
no-notes = No notes yet.

slow-title = A slow page
slow-about = The report on this page takes two seconds to make. It is made once, for all visitors and all processes that share the cache; requests that come meanwhile wait for the same one.
slow-waited = milliseconds waited for it
slow-made = Made
slow-by = Made for
slow-none = a visitor without a name
slow-process = By the process
slow-clear-title = Make it slow again
slow-clear-about = Clears everything that carries the tag “slow”, with one command, also what is being made at this moment.
slow-clear = Clear the report
slow-count-title = What the cache of this process did
slow-hits = Found
slow-waits = Waited for another
slow-creations = Made
slow-place = Kept in

thief-title = A thief comes with your cookie
thief-about = The server plays both: a victim who visits, logs in and logs out, and a thief with copies of the cookies. Their requests pass the layer around this site. Your own session is left alone.
thief-try = Let the thief try
thief-result = What came of it
thief-sent = What the thief sent
thief-answer = Whom the server took the thief for
thief-nobody = Nobody.
thief-in = The user { $user }.
thief-read = It read what the victim wrote.
thief-refused = Saving was refused:
thief-noted = In the log:
thief-copy = The cookie of the login, after the logout
thief-why-copy = The session has ended on the server, so the copy opens nothing.
thief-early = The cookie from before the login, just after it
thief-why-early = A login is a session of its own. The cookie from before shows what was there before, and nothing of the login.
thief-late = The same once more, after the victim’s next click
thief-why-late = The session before the login ended when the new cookie was first used.
thief-two = The victim’s cookie with one of the thief’s beside it
thief-why-two = Two live sessions contradict each other, as when a neighbouring site planted one. Neither counts, and the browser is told to drop both.
thief-mine = Your own cookie, after your logout
thief-why-mine = Your session has ended on the server, so the copy opens nothing.
thief-mine-title = With your own cookie
thief-mine-about = Copies the cookie of this request, logs you out, and comes back with the copy. The copy is forgotten when the request ends.
thief-mine-try = Copy my cookie and log me out

outage-title = The store goes away
outage-about = For { $n } seconds your requests, and no other visitor’s, find a store that cannot be reached. What a page that needs the session does then is one option:
outage-visits = { $n ->
    [one] Your session has counted one visit, and will have counted it afterwards.
   *[other] Your session has counted { $n } visits, and will have counted as many afterwards.
}
outage-policy-error = Such a page answers 503; all others go on.
outage-policy-anonymous = Such a page goes on with an empty session that cannot be saved.
outage-now-title = The store is away
outage-left = { $n ->
    [one] It comes back in one second.
   *[other] It comes back in { $n } seconds.
}
outage-error = This page asked for your session and got the error “{ $kind }”, so it goes on without it. A page that needs it answers { $status }.
outage-anonymous = This page asked for your session and got an empty one, which says that the store cannot be reached. It can be read, and it cannot be saved.
outage-home = The home page meanwhile
outage-again = Look again

inspector-title = Your session
none-yet = There is none yet, and looking at this page makes none.
none-yet-how = Visit the home page, which counts your visits, or add a note.
its-id = Its id, which is no secret
whose = Whose it is
nobodys = no one’s
made = Made
used-before = Last used before now
ends = Ends, if you do nothing
holds-title = What it holds
xray-size = Its record in the store
xray-bytes = { $n ->
    [one] one byte
   *[other] { $n } bytes
}
xray-version = The record’s version
xray-trips-title = Trips to the store
xray-trips-about = Of the request for this page, until it was drawn. However often a page asks for its session, it is loaded once.
xray-events-title = What happened to it
event-created = It was saved for the first time.
event-forked = A login made it.
event-rotated = It got a new token.
event-destroyed = It was ended.
event-expired = A request came with a token of it after its end.
event-replayed = A request came with a token that was replaced.
event-conflicting = A request came with the tokens of two sessions.
xray-cookie-title = Its cookie
xray-cookie-about = What stands beside the value, and why. The name is
xray-attribute = Attribute
xray-reason = Reason
xray-absent = not sent
cookie-httponly = No script can read the cookie, so one that was smuggled into a page cannot carry it away.
cookie-samesite = With Lax no form and no picture of another site sends the cookie; a link that you follow does.
cookie-secure = The cookie never travels without TLS. It is left out with debug alone, on your own machine.
cookie-path = The cookie is for all apps of this site.
cookie-domain = Without it the cookie goes to this host alone, and to none of its subdomains.
cookie-max-age = Without it the cookie ends with the browser. “Remember me” sends it.
cookie-partitioned = Is for a site that is shown inside other sites.
anew-title = Begin anew
anew = Ends this session on the server: the cookie that you have now is dead, and so is every copy of it.
end-session = End this session

private-title = Only for you, { $user }.
private = A visitor who is not logged in gets the page for 403 here, and the status 403.
error-400 = That could not be understood.
error-401 = Who are you?
error-403 = Not for you, yet.
error-404 = Nothing is here.
error-405 = That cannot be done here.
error-409 = Something came in between.
error-413 = That is too much.
error-415 = That could not be understood.
error-422 = Something is missing.
error-500 = Something went wrong here.
error-503 = Your session cannot be reached.
error-form = That form is out of date.
error-foreign = That came from another site.
error-hint-login = Please log in first.
error-hint-form = It was made for another session, or for one that has ended: perhaps you logged in or out in another tab. Nothing was done. Please try once more with a fresh one.
error-hint-foreign = This request was refused: a page of another site made it. Open this site itself, and try there.
error-hint-400 = Please go back, reload the page, and try once more.
error-hint-404 = The address may be misspelt.
error-hint-405 = The address is right, but not for opening it in this way: it may be that of a form’s answer.
error-hint-409 = Your session ended or changed while this request was under way, so nothing was done. Please try once more.
error-hint-413 = Please send less.
error-hint-503 = Its store does not answer at the moment. Nothing is lost; please try again in a few seconds. Pages that need no session go on.
error-number = It is noted in the log under the number
error-back = Back to where the form was
back-home = Back to the home page
