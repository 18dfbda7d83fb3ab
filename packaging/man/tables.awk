# A manual in mdoc from its template, whose line @TABLE@ becomes a table of what c4d says of itself:
# -v table=commands (of `c4d commands`) or keys (of `c4d keys`), -v template=FILE -v date=DATE.
BEGIN {
	if (table == "commands")
		FS = "\t"
}

function esc(s) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	gsub(/"/, "\\(dq", s)
	if (s ~ /^['.]/)
		s = "\\&" s
	return s
}

# One word of an argument list, as macros.
function word(w,    macros, close_it) {
	while (sub(/^\[/, "", w))
		macros = macros " Oo"
	while (sub(/\]$/, "", w))
		close_it = close_it " Oc"
	if (w ~ /^--/)
		macros = macros " Fl " esc(substr(w, 2))
	else if (w ~ /^[a-z]/) {
		gsub(/\|/, " | ", w)
		macros = macros " Cm " esc(w)
	} else
		macros = macros " Ar " esc(w)
	return macros close_it
}

function say(line) {
	out = out fold(line) "\n"
}

# Running text in lines of less than 80 columns; a macro's line is one.
function fold(line,    cut, folded) {
	if (line ~ /^[.'\t ]/ || literal)
		return line
	while (length(line) > 79) {
		for (cut = 79; cut > 1 && substr(line, cut, 2) !~ /^ [^.'\\]/; cut--)
			;
		if (cut == 1)
			break
		folded = folded substr(line, 1, cut - 1) "\n"
		line = substr(line, cut + 1)
	}
	return folded line
}

function sentence(s) {
	return toupper(substr(s, 1, 1)) substr(s, 2) (s ~ /[.?!]$/ ? "" : ".")
}

table == "commands" {
	n = split($2, words, " ")
	line = ".It Cm " $1
	for (i = 1; i <= n; i++)
		line = line word(words[i])
	say(line)
	say(esc(sentence($4)))
	if ($3 == "write")
		say(".Em Changes something .")
}

table == "keys" {
	n = split($0, f, /  +/)
	say(".It Va " esc(f[1]))
	say(esc(sentence(f[6])))
	say(".br")
	say(esc(f[2] (f[4] == "-" ? "" : ", " f[4]) "; " (f[3] == "-" ? "unset by default" : "default " f[3]) \
	    (f[5] == "restart" ? "; a change needs a restart" : "")))
}

END {
	while ((getline line <template) > 0)
		if (line == "@TABLE@")
			printf "%s", out
		else {
			sub(/@DATE@/, date, line)
			literal = line ~ /^\.Bd/ || (literal && line !~ /^\.Ed/)
			print fold(line)
		}
}
