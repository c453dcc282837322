language-name = Deutsch
nav = Seiten
page-home = Start
page-notes = Notizen
page-slow = Cache
page-inspector = Röntgenblick
page-thief = Dieb
page-outage = Ausfall
page-private = Nur für Angemeldete
logged-in-as = Angemeldet als { $user }.
footer = Drei Anwendungen, eine Sitzung. Auf diesen Seiten läuft kein Skript.
choose-language = Sprache
just-now = gerade eben
ago-seconds = { $n ->
    [one] vor einer Sekunde
   *[other] vor { $n } Sekunden
}
ago-minutes = { $n ->
    [one] vor einer Minute
   *[other] vor { $n } Minuten
}
ago-hours = { $n ->
    [one] vor einer Stunde
   *[other] vor { $n } Stunden
}
ago-days = { $n ->
    [one] vor einem Tag
   *[other] vor { $n } Tagen
}
in-seconds = { $n ->
    [one] in einer Sekunde
   *[other] in { $n } Sekunden
}
in-minutes = { $n ->
    [one] in einer Minute
   *[other] in { $n } Minuten
}
in-hours = { $n ->
    [one] in einer Stunde
   *[other] in { $n } Stunden
}
in-days = { $n ->
    [one] in einem Tag
   *[other] in { $n } Tagen
}
no-lab = Dieser Teil blickt durch den Sitzungsfilter dieses Programms, der hier nicht eingesetzt ist oder seine Sitzungen in Cookies verwahrt.

hello = Hallo, { $user }.
welcome-title = Sitzungen, die nichts verlieren.
welcome = Eine Sitzung ist, was ein Webdienst von einer Anfrage zur nächsten über Sie weiß. Ampoule bewahrt sie, wenn viele Anfragen gleichzeitig kommen, wenn Ihr Cookie gestohlen wird und wenn der Speicher ausfällt. Sehen Sie selbst:
home-away = Der Speicher der Sitzungen ist ausgefallen, und diese Seite läuft ohne ihn weiter: Für den Augenblick kennt sie Sie nicht. Von Ihrer Sitzung geht nichts verloren.
race-run = { $n } Anfragen zugleich senden
race-kept = { $kept } von { $n } bewahrt
race-picture = { $kept } von { $n } Änderungen wurden bewahrt.
race-not-yet = Es wurde noch nichts gesendet.
race-overwrite = lesen, ändern, zurückschreiben
race-about = Der Server sendet zwei Gruppen von je { $n } Anfragen gleichzeitig, mit Ihrem Cookie, durch die Sitzungsschicht dieser Seiten. Jede Anfrage lädt Ihre Sitzung, arbeitet 20 Millisekunden, fügt ihre Nummer einer Liste hinzu und speichert. Die erste Gruppe ruft update auf; die zweite liest die Liste und schreibt sie zurück und überschreibt so, was andere Anfragen hinzugefügt haben.
race-took = Beide Gruppen zusammen brauchten { $n } Millisekunden.
logged-in-title = Ihre Anmeldung
logged-in = Starten Sie den Server neu und kommen Sie wieder: Sie sind noch immer angemeldet. Ihre Anmeldung ist eine eigene Sitzung mit einem neuen Cookie: Das von vorher öffnet nichts davon.
login-elsewhere = Um sich in einem anderen Browser als derselbe Benutzer anzumelden, geben Sie dort diesen Namen an:
log-out = Abmelden
login-about = Ein Name genügt. Dann kennt Sie jede Seite und jeder Tab, auch nach einem Neustart des Servers.
your-name = Ihr Name
log-in = Anmelden
remember-me = 30 Tage angemeldet bleiben, auch wenn der Browser geschlossen wird
visits-title = Besuche dieser Seite
visits = In Ihrer Sitzung gezählt. Laden Sie diese Seite in zwei Tabs so schnell Sie können: Kein Besuch geht verloren.
devices-title = Wo Sie angemeldet sind
device = { $browser } unter { $system }
device-unknown = Unbekannter Browser
this-one = dieser hier
logged-in-at = angemeldet
last-used = zuletzt benutzt
sign-out-device = { $device } abmelden
devices-more = { $n ->
    [one] Ein weiterer wird nicht gezeigt.
   *[other] { $n } weitere werden nicht gezeigt.
}
sign-out-elsewhere = Überall sonst abmelden
rooms-title = Versuchen Sie, es kaputtzumachen
room-thief = kopierte Cookies, und was sie öffnen.
room-outage = zehn Sekunden ohne Speicher.
room-inspector = was Ihre Sitzung enthält, und was darunter liegt.
more-title = Wenn etwas schiefgeht
to-private = Eine Seite für Angemeldete
to-nowhere = Eine Seite, die es nicht gibt
to-boom = Eine Seite, die scheitert
to-outage = Was während des Ausfalls geschieht

flash-welcome = Willkommen, { $user }.
flash-blank-name = Der Name ist leer. Geben Sie mindestens einen Buchstaben an.
flash-goodbye = Sie sind abgemeldet, auch dort, wohin dieses Cookie kopiert wurde.
flash-elsewhere = { $count ->
    [0] Sie waren sonst nirgends angemeldet.
    [one] Eine andere Sitzung ist beendet.
   *[other] { $count } andere Sitzungen sind beendet.
}
flash-note-added = Die Notiz ist verwahrt.
flash-blank-note = Die Notiz ist leer, also gibt es nichts zu verwahren.
flash-note-removed = Die Notiz ist weg.
flash-cache-cleared = Der Bericht ist vergessen. Der nächste Besucher wartet auf einen neuen.
flash-language = Diese Seiten sprechen jetzt Deutsch mit Ihnen.
flash-busy = Andere Besucher probieren das gerade aus. Bitte versuchen Sie es in ein paar Sekunden noch einmal.

notes-title = Notizen
notes-about = Eine eigene Anwendung neben der Startseite, mit derselben Sitzung. Schreiben Sie hier eine Notiz und in einem anderen Tab eine zweite: Beide sind da.
a-note = Eine Notiz
add = Hinzufügen
remove = Entfernen
remove-note = Die Notiz { $note } entfernen
notes-full = Mehr fasst diese Liste nicht; entfernen Sie eine, um eine andere hinzuzufügen.
no-notes = Noch keine Notizen.

slow-title = Eine langsame Seite
slow-about = Der Bericht auf dieser Seite braucht zwei Sekunden. Er wird einmal gemacht, für alle Besucher und alle Prozesse am selben Cache; Anfragen, die währenddessen kommen, warten auf denselben.
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

thief-title = Ein Dieb kommt mit Ihrem Cookie
thief-about = Der Server spielt beide: ein Opfer, das die Seite besucht, sich anmeldet und abmeldet, und einen Dieb mit Kopien der Cookies. Ihre Anfragen gehen durch die Schicht, die um diese Seiten liegt. Ihre eigene Sitzung bleibt unberührt.
thief-try = Den Dieb versuchen lassen
thief-result = Was daraus wurde
thief-sent = Was der Dieb sandte
thief-answer = Für wen der Server den Dieb hielt
thief-nobody = Für niemanden.
thief-in = Für { $user }.
thief-read = Er las, was das Opfer schrieb.
thief-refused = Speichern wurde abgelehnt:
thief-noted = Im Protokoll:
thief-copy = Das Cookie der Anmeldung, nach der Abmeldung
thief-why-copy = Die Sitzung ist auf dem Server beendet, also öffnet die Kopie nichts.
thief-early = Das Cookie von vor der Anmeldung, gleich danach
thief-why-early = Eine Anmeldung ist eine eigene Sitzung. Das Cookie von vorher zeigt, was vorher da war, und nichts von der Anmeldung.
thief-late = Dasselbe noch einmal, nach dem nächsten Klick des Opfers
thief-why-late = Die Sitzung vor der Anmeldung endete, als das neue Cookie zum ersten Mal benutzt wurde.
thief-two = Das Cookie des Opfers, mit einem des Diebs daneben
thief-why-two = Zwei lebende Sitzungen widersprechen einander, wie wenn eine benachbarte Website eine davon untergeschoben hat. Keine zählt, und der Browser soll beide vergessen.
thief-mine = Ihr eigenes Cookie, nach Ihrer Abmeldung
thief-why-mine = Ihre Sitzung ist auf dem Server beendet, also öffnet die Kopie nichts.
thief-mine-title = Mit Ihrem eigenen Cookie
thief-mine-about = Kopiert das Cookie dieser Anfrage, meldet Sie ab und kommt mit der Kopie wieder. Die Kopie ist vergessen, sobald die Anfrage endet.
thief-mine-try = Mein Cookie kopieren und mich abmelden

outage-title = Der Speicher fällt aus
outage-about = { $n } Sekunden lang finden Ihre Anfragen, und die keines anderen Besuchers, einen Speicher, der nicht zu erreichen ist. Was eine Seite dann tut, die die Sitzung braucht, ist eine Einstellung:
outage-visits = { $n ->
    [one] Ihre Sitzung hat einen Besuch gezählt, auch nachher noch.
   *[other] Ihre Sitzung hat { $n } Besuche gezählt, auch nachher noch.
}
outage-policy-error = Eine solche Seite antwortet mit 503; alle anderen laufen weiter.
outage-policy-anonymous = Eine solche Seite läuft mit einer leeren Sitzung weiter, die nicht gespeichert werden kann.
outage-now-title = Der Speicher ist ausgefallen
outage-left = { $n ->
    [one] Er kommt in einer Sekunde wieder.
   *[other] Er kommt in { $n } Sekunden wieder.
}
outage-error = Diese Seite fragte nach Ihrer Sitzung und bekam den Fehler „{ $kind }“, also läuft sie ohne sie weiter. Eine Seite, die sie braucht, antwortet mit { $status }.
outage-anonymous = Diese Seite fragte nach Ihrer Sitzung und bekam eine leere, die sagt, dass der Speicher nicht zu erreichen ist. Sie kann gelesen, aber nicht gespeichert werden.
outage-home = Die Startseite währenddessen
outage-again = Noch einmal nachsehen

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
xray-size = Ihr Datensatz im Speicher
xray-bytes = { $n ->
    [one] ein Byte
   *[other] { $n } Bytes
}
xray-version = Die Version des Datensatzes
xray-trips-title = Wege zum Speicher
xray-trips-about = Die der Anfrage nach dieser Seite, bis sie gezeichnet wurde. Wie oft eine Seite auch nach ihrer Sitzung fragt, sie wird einmal geladen.
xray-events-title = Was mit ihr geschah
event-created = Sie wurde zum ersten Mal gespeichert.
event-forked = Sie entstand durch eine Anmeldung.
event-rotated = Sie bekam ein neues Token.
event-destroyed = Sie wurde beendet.
event-expired = Nach ihrem Ende kam eine Anfrage mit ihrem Token.
event-replayed = Es kam eine Anfrage mit einem Token, das ersetzt worden war.
event-conflicting = Es kam eine Anfrage mit den Tokens zweier Sitzungen.
xray-cookie-title = Ihr Cookie
xray-cookie-about = Was neben dem Wert steht, und warum. Der Name ist
xray-attribute = Attribut
xray-reason = Grund
xray-absent = nicht gesendet
cookie-httponly = Kein Skript kann das Cookie lesen, also kann eines, das in eine Seite geschmuggelt wurde, es nicht forttragen.
cookie-samesite = Mit Lax sendet kein Formular und kein Bild einer anderen Website das Cookie mit; ein Link, dem Sie folgen, schon.
cookie-secure = Das Cookie reist nie ohne TLS. Nur mit debug, auf Ihrem eigenen Rechner, fehlt das Attribut.
cookie-path = Das Cookie gilt für alle Anwendungen dieser Website.
cookie-domain = Ohne das Attribut geht das Cookie an diesen Host allein, und an keine seiner Subdomains.
cookie-max-age = Ohne das Attribut endet das Cookie mit dem Browser. „Angemeldet bleiben“ sendet es.
cookie-partitioned = Ist für eine Website, die in anderen gezeigt wird.
anew-title = Von vorn
anew = Beendet die Sitzung auf dem Server: Das Cookie, das Sie jetzt haben, ist tot, und jede Kopie davon auch.
end-session = Sitzung beenden

private-title = Nur für Sie, { $user }.
private = Wer nicht angemeldet ist, bekommt hier die Seite für 403, mit dem Status 403.
error-400 = Das war nicht zu verstehen.
error-401 = Wer sind Sie?
error-403 = Noch nicht für Sie.
error-404 = Hier ist nichts.
error-405 = Das geht hier nicht.
error-409 = Etwas kam dazwischen.
error-413 = Das ist zu viel.
error-415 = Das war nicht zu verstehen.
error-422 = Es fehlt etwas.
error-500 = Hier ist etwas schiefgegangen.
error-503 = Ihre Sitzung ist nicht zu erreichen.
error-form = Dieses Formular ist veraltet.
error-foreign = Das kam von einer anderen Website.
error-hint-login = Bitte melden Sie sich zuerst an.
error-hint-form = Es gehörte zu einer anderen Sitzung, oder zu einer, die beendet ist: Vielleicht haben Sie sich in einem anderen Tab an- oder abgemeldet. Es wurde nichts getan. Bitte versuchen Sie es mit einem frischen noch einmal.
error-hint-foreign = Diese Anfrage wurde abgelehnt: Eine Seite einer anderen Website hat sie gestellt. Öffnen Sie diese Website selbst, und versuchen Sie es dort.
error-hint-400 = Bitte gehen Sie zurück, laden Sie die Seite neu, und versuchen Sie es noch einmal.
error-hint-404 = Die Adresse ist vielleicht falsch geschrieben.
error-hint-405 = Die Adresse stimmt, aber nicht, um sie so zu öffnen: Vielleicht ist es die der Antwort auf ein Formular.
error-hint-409 = Ihre Sitzung endete oder änderte sich, während diese Anfrage unterwegs war, also wurde nichts getan. Bitte versuchen Sie es noch einmal.
error-hint-413 = Bitte senden Sie weniger.
error-hint-503 = Ihr Speicher antwortet gerade nicht. Es ist nichts verloren; bitte versuchen Sie es in ein paar Sekunden noch einmal. Seiten, die keine Sitzung brauchen, laufen weiter.
error-number = Es ist im Protokoll vermerkt unter der Nummer
error-back = Zurück zum Formular
back-home = Zurück zur Startseite
