#!/bin/sh
# notify-example.sh: what c4d runs of each event. Copy it to /etc/c4d/notify.sh, make it executable (chown root:c4d, chmod 750), take
# what you need of it, and say in c4d.yml: notify: /etc/c4d/notify.sh
#
# Standard input is one line of JSON; the same is in variables, for those who do without jq: C4D_EVENT, C4D_HOST, C4D_SERVICE,
# C4D_TARGET, C4D_REGISTRATION (one of the three is set), C4D_DETAIL, C4D_HINT, C4D_COUNT. An exit status other than 0 says that
# nobody was told: c4ctl status shows it, with the first line of what was written to stderr, and all of this is run again, later and
# later (what did work is then told twice). Stay within notify_timeout (10s), else it is ended, and counts as failed. It runs as user
# c4d in the sandbox of c4d's unit: no sudo, no local sendmail (it gains privileges); files can be written below /var/lib/c4d only.
# Mail goes to a server, by curl.

WEBHOOK=   # of a chat: https://chat.example.org/hooks/...
MAIL_TO=   # noc@example.org
MAIL_FROM="c4d@$C4D_HOST"
SMTP=smtp://127.0.0.1

line=$(cat)
about=$C4D_SERVICE$C4D_TARGET$C4D_REGISTRATION
text="$C4D_HOST: $C4D_EVENT $about: $C4D_DETAIL"
[ -z "$C4D_HINT" ] || text="$text -> $C4D_HINT"
[ "$C4D_COUNT" -le 1 ] || text="$text (changed $C4D_COUNT times)"
status=0

logger -t c4d-notify -p daemon.warning -- "$text" || status=1

if [ -n "$WEBHOOK" ]; then
	# The line as it is; what the chat wants instead: printf '%s' "$line" | jq '{text: (.event + " " + .detail)}'
	printf '%s\n' "$line" | curl -fsS -m 4 -H 'Content-Type: application/json' -d @- "$WEBHOOK" || status=1
fi
if [ -n "$MAIL_TO" ]; then
	printf 'From: %s\r\nTo: %s\r\nSubject: %s %s on %s\r\n\r\n%s\r\n\r\n%s\r\n' "$MAIL_FROM" "$MAIL_TO" "$C4D_EVENT" "$about" \
		"$C4D_HOST" "$text" "$line" | curl -fsS -m 4 --mail-from "$MAIL_FROM" --mail-rcpt "$MAIL_TO" -T - "$SMTP" || status=1
fi
exit $status
