language-name = English
nav-home = Home
nav-notes = Notes
nav-slow = Slow page
nav-inspector = Inspector
logged-in-as = Logged in as { $user }.
footer = Three apps, one session. No script runs on these pages.
choose-language = Language
set-language = Set

hello = Hello, { $user }.
logged-in = You are logged in. Restart the server and come back: you still will be. Your login is a session of its own, with a new cookie: the one from before opens nothing of it.
log-out = Log out
welcome-title = A session, kept well.
welcome = Tell us a name, and this site will know you on every page, in every tab, and after a restart.
your-name = Your name
log-in = Log in
remember-me = Remember me for 30 days, also when the browser is closed
visits-title = Visits to this page
visits = Counted in your session. Open this page in a second tab, or reload both as fast as you can: none is lost, since requests that run at once are put in line, not on top of each other.
devices-title = Where you are logged in
this-one = this one
logged-in-at = logged in { $time }
last-used = last used { $time }
sign-out-elsewhere = Log out everywhere else
more-title = When something goes wrong
to-private = A page for those who are logged in
to-nowhere = A page that is not there
to-boom = A page that fails

flash-welcome = Welcome, { $user }.
flash-goodbye = You are logged out, everywhere this cookie was copied to as well.
flash-elsewhere = { $count ->
    [0] You were logged in nowhere else.
    [one] One other session has ended.
   *[other] { $count } other sessions have ended.
}
flash-note-added = The note is kept.
flash-note-removed = The note is gone.
flash-cache-cleared = The report is forgotten. The next visitor waits for a new one.
flash-language = This site now speaks English to you.

notes-title = Notes
notes-about = An app of its own, mounted beside the home page. It shares the session with it; add a note here and in another tab, and both are there.
a-note = A note
add = Add
remove = Remove
remove-note = Remove the note { $note }
notes-full = That is as many as this list holds; remove one to add another.
no-notes = No notes yet.

slow-title = A slow page
slow-about = The report on this page takes two seconds to make. It is made once, for all visitors and all processes that share the cache; whoever asks meanwhile waits for the same one.
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
anew-title = Begin anew
anew = Ends this session on the server: the cookie that you have now is dead, also where somebody copied it.
end-session = End this session

private-title = Only for you, { $user }.
private = Whoever is not logged in gets the page for 403 here, and the status 403.
error-400 = That could not be understood.
error-401 = Who are you?
error-403 = Not for you, yet.
error-404 = Nothing is here.
error-500 = Something went wrong here.
error-hint-403 = { $text }
error-hint-404 = The address may be misspelt.
error-number = It is noted under the number { $number }.
back-home = Back to the home page
