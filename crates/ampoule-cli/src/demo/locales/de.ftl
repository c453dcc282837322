language-name = Deutsch
nav-home = Start
nav-notes = Notizen
nav-slow = Langsame Seite
nav-inspector = Inspektor
logged-in-as = Angemeldet als { $user }.
footer = Drei Anwendungen, eine Sitzung. Auf diesen Seiten läuft kein Skript.
choose-language = Sprache
set-language = Wählen

hello = Hallo, { $user }.
logged-in = Sie sind angemeldet. Starten Sie den Server neu und kommen Sie wieder: Sie sind es noch immer. Ihre Anmeldung ist eine eigene Sitzung mit einem neuen Cookie: Das von vorher öffnet nichts davon.
log-out = Abmelden
welcome-title = Eine Sitzung, gut verwahrt.
welcome = Nennen Sie einen Namen, und diese Seiten kennen Sie überall, in jedem Tab und nach einem Neustart.
your-name = Ihr Name
log-in = Anmelden
remember-me = 30 Tage angemeldet bleiben, auch wenn der Browser geschlossen wird
visits-title = Besuche dieser Seite
visits = In Ihrer Sitzung gezählt. Öffnen Sie die Seite in einem zweiten Tab oder laden Sie beide so schnell Sie können: Keiner geht verloren, denn gleichzeitige Anfragen stehen an, statt einander zu überschreiben.
devices-title = Wo Sie angemeldet sind
this-one = diese hier
logged-in-at = angemeldet { $time }
last-used = zuletzt benutzt { $time }
sign-out-elsewhere = Überall sonst abmelden
more-title = Wenn etwas schiefgeht
to-private = Eine Seite für Angemeldete
to-nowhere = Eine Seite, die es nicht gibt
to-boom = Eine Seite, die scheitert

flash-welcome = Willkommen, { $user }.
flash-goodbye = Sie sind abgemeldet, auch dort, wohin dieses Cookie kopiert wurde.
flash-elsewhere = { $count ->
    [0] Sie waren sonst nirgends angemeldet.
    [one] Eine andere Sitzung ist beendet.
   *[other] { $count } andere Sitzungen sind beendet.
}
flash-note-added = Die Notiz ist verwahrt.
flash-note-removed = Die Notiz ist weg.
flash-cache-cleared = Der Bericht ist vergessen. Der nächste Besucher wartet auf einen neuen.
flash-language = Diese Seiten sprechen jetzt Deutsch mit Ihnen.

notes-title = Notizen
notes-about = Eine eigene Anwendung neben der Startseite, mit derselben Sitzung. Schreiben Sie hier eine Notiz und in einem anderen Tab eine zweite: Beide sind da.
a-note = Eine Notiz
add = Hinzufügen
remove = Entfernen
remove-note = Die Notiz { $note } entfernen
notes-full = Mehr fasst diese Liste nicht; entfernen Sie eine, um eine andere hinzuzufügen.
no-notes = Noch keine Notizen.

slow-title = Eine langsame Seite
slow-about = Der Bericht auf dieser Seite braucht zwei Sekunden. Er wird einmal gemacht, für alle Besucher und alle Prozesse am selben Cache; wer währenddessen fragt, wartet auf denselben.
slow-waited = Millisekunden darauf gewartet
slow-made = Gemacht
slow-by = Gemacht für
slow-none = jemanden ohne Namen
slow-process = Vom Prozess
slow-clear-title = Wieder langsam machen
slow-clear-about = Löscht mit einem Befehl alles, was das Kennwort „slow“ trägt, auch was gerade gemacht wird.
slow-clear = Bericht löschen
slow-count-title = Was der Cache dieses Prozesses tat
slow-hits = Gefunden
slow-waits = Auf andere gewartet
slow-creations = Gemacht
slow-place = Aufbewahrt in

inspector-title = Ihre Sitzung
none-yet = Es gibt noch keine, und diese Seite legt keine an.
none-yet-how = Besuchen Sie die Startseite, die Ihre Besuche zählt, oder schreiben Sie eine Notiz.
its-id = Ihre Kennung, die kein Geheimnis ist
whose = Wem sie gehört
nobodys = niemandem
made = Begonnen
used-before = Zuletzt davor benutzt
ends = Endet, wenn Sie nichts tun
holds-title = Was sie enthält
anew-title = Von vorn
anew = Beendet die Sitzung auf dem Server: Das Cookie, das Sie jetzt haben, ist tot, auch wo es jemand kopiert hat.
end-session = Sitzung beenden

private-title = Nur für Sie, { $user }.
private = Wer nicht angemeldet ist, bekommt hier die Seite für 403, mit dem Status 403.
error-400 = Das war nicht zu verstehen.
error-401 = Wer sind Sie?
error-403 = Noch nicht für Sie.
error-404 = Hier ist nichts.
error-500 = Hier ist etwas schiefgegangen.
error-hint-403 = Bitte melden Sie sich zuerst an, oder laden Sie die Seite mit dem Formular neu.
error-hint-404 = Die Adresse ist vielleicht falsch geschrieben.
error-number = Es ist unter der Nummer { $number } vermerkt.
back-home = Zurück zur Startseite
