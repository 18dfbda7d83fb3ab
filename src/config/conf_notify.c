/* Whether the command of `notify` can be run: said, and no reason not to start. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "config/conf_load_int.h"
#include "config/conf_values.h"

bool
conf_check_notify_path(char *v, struct buf *why)
{
	if (v[0] != '\0' && v[0] != '/')
		buf_puts(why, "must be an absolute path, beginning with /; there is no shell that would look for it");
	else if (v[0] != '\0' && v[strlen(v) - 1] == '/')
		buf_puts(why, "must name a file, not end with /");
	return why->len == 0;
}

static const char *
what_is_wrong(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == ENOENT ? "there is no such file" : strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "is no file";
	if (st.st_mode & S_IWOTH)
		return "everybody may write to it, so it will not be run: chmod o-w";
	if (!(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return "is not executable: chmod +x";
	return NULL;
}

void
conf_check_notify(struct loader *l)
{
	const struct mark *m = conf_mark_of(l->root, "notify");
	const char *path = l->conf->notify, *wrong;
	char q[100];

	if (m->bad || path == NULL || path[0] == '\0')
		return;
	wrong = what_is_wrong(path);
	if (wrong != NULL)
		conf_warning(&l->errs, m->file, m->line, "notify '%s': %s", conf_quote(path, q), wrong);
}
