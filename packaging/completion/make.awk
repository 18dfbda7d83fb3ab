# A completion from its template: @CORE@ becomes core.sh, whose @TABLE@ becomes the command table; @CORE_QUOTED@ is the same
# within single quotes of fish. Input: `c4d commands`, core.sh, the template.
FNR == 1 { file++ }
file == 1 {
	split($0, f, "\t")
	table = table f[1] "\t" f[2] "\t" f[4] "\n"
	next
}
file == 2 {
	core = core ($0 == "@TABLE@" ? table : $0 "\n")
	next
}
$0 == "@CORE@" {
	printf "%s", core
	next
}
$0 == "@CORE_QUOTED@" {
	n = length(core)
	for (i = 1; i <= n; i++) {
		c = substr(core, i, 1)
		printf "%s", (c == "\\" || c == "'" ? "\\" c : c)
	}
	next
}
{ print }
