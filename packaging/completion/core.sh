# What may stand for the last word, a line each, with a tab and a description behind it; "@files": a file.
# $1 is the program as typed, the others are the words behind it. POSIX, so that every shell can run it.
_c4ctl_table() {
	cat <<'TABLE'
@TABLE@
TABLE
}

_c4ctl_ask() {
	if [ -n "$socket" ]; then
		set -- -s "$socket" -f jsonl "$@"
	else
		set -- -f jsonl "$@"
	fi
	timeout 2 "$program" "$@" 2>/dev/null
}

# Living names, by what the manual calls them. $2 is the command.
_c4ctl_living() {
	case $1 in
	SERVICE) _c4ctl_ask show services | sed -n 's/^{"service":"\([^"]*\)".*/\1/p' ;;
	TARGET) _c4ctl_ask show targets | sed -n 's/^{"target":"\([^"]*\)".*/\1/p' ;;
	REGISTRATION) _c4ctl_ask show registrations | sed -n 's/^{"registration":"\([^"]*\)".*/\1/p' ;;
	CHECK) _c4ctl_ask show checks | sed -n 's/.*,"check":"\([^"]*\)".*/\1/p' ;;
	GENERATION) _c4ctl_ask show history | sed -n 's/^{"generation":\([0-9]*\).*/\1/p' ;;
	ADDRESS:PORT)
		_c4ctl_ask show instances | sed -n -e 's/.*"address":"\([^":]*:[^"]*\)","port":\([0-9]*\).*/[\1]:\2/p' \
			-e 's/.*"address":"\([^":]*\)","port":\([0-9]*\).*/\1:\2/p'
		;;
	PREFIX)
		if [ "$2" = "show kv" ]; then
			_c4ctl_ask show kv | sed -n 's/^{"prefix":"\([^"]*\)".*/\1/p'
		else
			_c4ctl_ask show config | sed -n 's/^{"key":"\([^"]*\)".*/\1/p'
		fi
		;;
	LEVEL) printf '%s\n' error warning notice info debug ;;
	FILE) echo @files ;;
	esac | sort -u
}

_c4ctl_candidates() (
	program=$1
	socket=${C4D_SOCKET:-}
	shift
	while [ $# -gt 1 ]; do
		case $1 in
		-s)
			[ $# -gt 2 ] || { echo @files; exit 0; }
			socket=$2
			shift 2
			;;
		-f)
			[ $# -gt 2 ] || { printf '%s\n' plain json jsonl dot mermaid; exit 0; }
			shift 2
			;;
		-*) shift ;;
		*) break ;;
		esac
	done
	tab=$(printf '\t')
	case $#$1 in
	1-*) printf "%s$tab%s\n" -s "the control socket" -f "format" -w "again every so many seconds" -h "help" -V "version"; exit 0 ;;
	esac
	# All but the last word: that one is being typed.
	n=$#
	while [ "$n" -gt 1 ]; do
		set -- "$@" "$1"
		shift
		n=$((n - 1))
	done
	shift
	_c4ctl_table | awk -F '\t' '
	function emit(word, help) {
		if (!seen[word]++)
			print word (help != "" ? "\t" help : "")
	}
	function arguments(row,    f, m, k, t, j, w, closed, takes, used, pos, np, p, i, o, alternatives) {
		split(row, f, "\t")
		m = split(f[1], t, " ")
		k = split(f[2], t, " ")
		for (j = 1; j <= k; j++) {
			w = t[j]
			closed = w ~ /\]$/
			gsub(/[][]/, "", w)
			if (w !~ /^--/)
				pos[++np] = w
			else {
				takes[w] = !closed && j < k
				j += takes[w]
			}
		}
		for (i = m + 1; i <= n; i++)
			if (typed[i] in takes) {
				used[typed[i]] = 1
				if (takes[typed[i]] && ++i > n)
					return
			} else
				p++
		w = pos[p + 1]
		if (w ~ /^[a-z]/) {
			k = split(w, alternatives, "|")
			for (j = 1; j <= k; j++)
				emit(alternatives[j], "")
		} else if (w != "")
			emit("@" w " " f[1], "")
		for (o in takes)
			if (!(o in used))
				emit(o, "")
	}
	BEGIN {
		n = ARGC - 1
		for (i = 1; i <= n; i++)
			typed[i] = ARGV[i]
		ARGC = 1
	}
	{
		m = split($1, name, " ")
		same = 1
		for (i = 1; i <= m && i <= n; i++) {
			if (index(name[i], typed[i]) != 1)
				next
			same = same && name[i] == typed[i]
		}
		if (n < m)
			emit(name[n + 1], n + 1 == m ? $3 : "")
		else if (same)
			exact = $0
		else
			rows[++r] = $0
	}
	END {
		if (exact != "")
			arguments(exact)
		else
			for (i = 1; i <= r; i++)
				arguments(rows[i])
	}' "$@" | while IFS= read -r line; do
		case $line in
		@*)
			line=${line#@}
			_c4ctl_living "${line%% *}" "${line#* }"
			;;
		*) printf '%s\n' "$line" ;;
		esac
	done
)
