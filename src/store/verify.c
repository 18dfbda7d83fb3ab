#include "store/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* LMDB 0.9's file format, as 64-bit machines write it: numbers are in the machine's own order. */
#define META_MAGIC 0xBEEFC0DEu
#define META_VERSION 1
#define META_PAGES 2
#define META_SIZE (16 + 24 + 2 * 48 + 16)
#define PAGE_HEADER 16
#define NODE_HEADER 8
#define TREE_SIZE 48
#define DEPTH_MAX 32
#define PAGES_MAX ((uint64_t)1 << 28) /* 1 TiB */
#define NO_ROOT UINT64_MAX
enum { P_BRANCH = 1, P_LEAF = 2, P_OVERFLOW = 4, P_META = 8 };
enum { N_BIG = 1, N_SUBTREE = 2 };
/* Of a tree. Those of the free pages share their field with the environment's, which lie beside T_KINDS. */
enum { T_INTEGERKEY = 8, T_KINDS = 0x7e };

struct tree {
	uint16_t flags, depth;
	uint64_t branches, leaves, overflows, entries, root;
};

struct meta {
	uint32_t page_size;
	struct tree tree[2]; /* free pages; the named trees */
	uint64_t last_page;
	uint64_t txn;
};

struct file {
	const uint8_t *map;
	size_t size;
	struct meta meta;
	uint8_t *used; /* a bit per page */
	const char *why;
};

/* One walk through one tree. */
struct walk {
	struct file *f;
	bool is_free, is_main;
	struct tree seen;
	struct tree want;
	const uint8_t *last_key;
	size_t last_len;
};

static uint16_t
u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint32_t
u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint64_t
u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static bool
bad(struct file *f, const char *why)
{
	if (f->why == NULL)
		f->why = why;
	return false;
}

static void
read_tree(const uint8_t *p, struct tree *t)
{
	t->flags = u16(p + 4);
	t->depth = u16(p + 6);
	t->branches = u64(p + 8);
	t->leaves = u64(p + 16);
	t->overflows = u64(p + 24);
	t->entries = u64(p + 32);
	t->root = u64(p + 40);
}

static bool
read_meta(struct file *f, size_t at, struct meta *m)
{
	const uint8_t *p = f->map + at;

	if (f->size < at + META_SIZE || u16(p + 10) != P_META)
		return bad(f, "no LMDB file");
	p += PAGE_HEADER;
	if (u32(p) != META_MAGIC || u32(p + 4) != META_VERSION)
		return bad(f, "no LMDB file");
	m->page_size = u32(p + 24);
	read_tree(p + 24, &m->tree[0]);
	read_tree(p + 24 + TREE_SIZE, &m->tree[1]);
	m->last_page = u64(p + 24 + 2 * TREE_SIZE);
	m->txn = u64(p + 32 + 2 * TREE_SIZE);
	if (m->page_size != (uint32_t)sysconf(_SC_PAGESIZE))
		return bad(f, "another page size");
	if (m->last_page < META_PAGES - 1 || m->last_page >= PAGES_MAX)
		return bad(f, "impossible number of pages");
	return true;
}

/* No page belongs to two. */
static bool
take(struct file *f, uint64_t page)
{
	if (page < META_PAGES || page > f->meta.last_page)
		return bad(f, "a page number out of range");
	if (f->used[page / 8] >> page % 8 & 1)
		return bad(f, "a page in two places");
	f->used[page / 8] |= (uint8_t)(1u << page % 8);
	return true;
}

static const uint8_t *
page_at(struct file *f, uint64_t page, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		if (!take(f, page + i))
			return NULL;
	if ((page + n) * f->meta.page_size > f->size) {
		(void)bad(f, "the file is too short");
		return NULL;
	}
	if (u64(f->map + page * f->meta.page_size) != page) {
		(void)bad(f, "a page with another one's number");
		return NULL;
	}
	return f->map + page * f->meta.page_size;
}

static bool
key_in_order(struct walk *w, const uint8_t *key, size_t len)
{
	size_t n = len < w->last_len ? len : w->last_len;
	const uint8_t *last = w->last_key;
	int c = 1;

	if (w->is_free && len != 8)
		return bad(w->f, "a key of the wrong size");
	if (last != NULL && w->is_free)
		c = u64(key) > u64(last) ? 1 : -1;
	else if (last != NULL)
		c = n && memcmp(key, last, n) != 0 ? memcmp(key, last, n) : len > w->last_len ? 1 : -1;
	if (c <= 0)
		return bad(w->f, "keys out of order");
	w->last_key = key;
	w->last_len = len;
	return true;
}

/* A record of free pages: their number, and then they, descending. */
static bool
free_pages(struct file *f, const uint8_t *data, size_t size)
{
	uint64_t n, i;

	if (size < 8 || size % 8 != 0)
		return bad(f, "a list of free pages of the wrong size");
	n = u64(data);
	if (n > size / 8 - 1)
		return bad(f, "a list of free pages that is too long");
	for (i = 1; i <= n; i++) {
		if (i > 1 && u64(data + 8 * i) >= u64(data + 8 * (i - 1)))
			return bad(f, "a list of free pages out of order");
		if (!take(f, u64(data + 8 * i)))
			return false;
	}
	return true;
}

static bool walk_tree(struct file *, const struct tree *, bool is_free, bool is_main);

static bool
big_data(struct walk *w, uint64_t page, uint32_t size, const uint8_t **data)
{
	uint64_t n = ((uint64_t)PAGE_HEADER + size + w->f->meta.page_size - 1) / w->f->meta.page_size;
	const uint8_t *p = page_at(w->f, page, n);

	if (p == NULL)
		return false;
	if (u16(p + 10) != P_OVERFLOW || u32(p + 12) != n)
		return bad(w->f, "a broken overflow page");
	w->seen.overflows += n;
	*data = p + PAGE_HEADER;
	return true;
}

/* `room`: from the node to the page's end. *len is what it takes of it. */
static bool
leaf_node(struct walk *w, const uint8_t *node, size_t room, size_t *len)
{
	uint32_t size = u16(node) | (uint32_t)u16(node + 2) << 16;
	uint16_t flags = u16(node + 4), klen = u16(node + 6);
	const uint8_t *data;
	struct tree sub;
	uint64_t here = flags & N_BIG ? 8 : size;

	if (NODE_HEADER + (uint64_t)klen + here > room || (flags & ~(N_BIG | N_SUBTREE)))
		return bad(w->f, "a broken record");
	*len = NODE_HEADER + klen + (size_t)here;
	data = node + NODE_HEADER + klen;
	if (!key_in_order(w, node + NODE_HEADER, klen))
		return false;
	w->seen.entries++;
	if ((flags & N_BIG) && !big_data(w, u64(data), size, &data))
		return false;
	if (w->is_free)
		return free_pages(w->f, data, size);
	if (!w->is_main)
		return !(flags & N_SUBTREE) || bad(w->f, "a tree in a tree");
	if (flags != N_SUBTREE || size != TREE_SIZE)
		return bad(w->f, "a broken table");
	read_tree(data, &sub);
	return walk_tree(w->f, &sub, false, false);
}

static bool
walk_page(struct walk *w, uint64_t page, unsigned level)
{
	struct file *f = w->f;
	const uint8_t *p = page_at(f, page, 1), *node;
	uint32_t lower, upper, psize = f->meta.page_size, i, n, off;
	bool leaf = level == w->want.depth;
	size_t len = 0, sum = 0;

	if (p == NULL)
		return false;
	lower = u16(p + 12);
	upper = u16(p + 14);
	if (u16(p + 10) != (leaf ? P_LEAF : P_BRANCH) || lower < PAGE_HEADER || lower % 2 || lower > upper || upper > psize)
		return bad(f, "a broken page");
	n = (lower - PAGE_HEADER) / 2;
	if (n < (leaf ? 1 : 2))
		return bad(f, "a page with too few records");
	w->seen.leaves += leaf;
	w->seen.branches += !leaf;
	for (i = 0; i < n; i++) {
		off = u16(p + PAGE_HEADER + 2 * i);
		if (off < upper || off % 2 || off + NODE_HEADER > psize)
			return bad(f, "a record outside of its page");
		node = p + off;
		if (leaf) {
			if (!leaf_node(w, node, psize - off, &len))
				return false;
		} else {
			len = NODE_HEADER + u16(node + 6);
			if (off + len > psize)
				return bad(f, "a broken record");
			if (!walk_page(w, u16(node) | (uint64_t)u16(node + 2) << 16 | (uint64_t)u16(node + 4) << 32, level + 1))
				return false;
		}
		sum += len + len % 2;
	}
	/* Records lie one behind the other: with the right sum none overlaps another. */
	return sum == psize - upper || bad(f, "records that overlap");
}

static bool
walk_tree(struct file *f, const struct tree *t, bool is_free, bool is_main)
{
	struct walk w = { .f = f, .is_free = is_free, .is_main = is_main, .want = *t };

	if (is_free ? (t->flags & T_KINDS) != T_INTEGERKEY : t->flags != 0)
		return bad(f, "a table of another kind");
	if (t->root != NO_ROOT) {
		if (t->depth < 1 || t->depth > DEPTH_MAX)
			return bad(f, "an impossible depth");
		if (!walk_page(&w, t->root, 1))
			return false;
	}
	return (w.seen.branches == t->branches && w.seen.leaves == t->leaves && w.seen.overflows == t->overflows &&
	    w.seen.entries == t->entries) || bad(f, "a table with another number of records");
}

static bool
is_sound(struct file *f)
{
	struct meta second;
	bool sound;

	if (!read_meta(f, 0, &f->meta) || !read_meta(f, f->meta.page_size, &second))
		return false;
	if (second.txn > f->meta.txn)
		f->meta = second;
	f->used = xcalloc((size_t)(f->meta.last_page / 8 + 1), 1);
	sound = walk_tree(f, &f->meta.tree[1], false, true) && walk_tree(f, &f->meta.tree[0], true, false);
	free(f->used);
	return sound;
}

int
store_verify(const char *path, const char **why)
{
	struct file f = { 0 };
	struct stat st;
	void *map;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) != 0) {
		err = -errno;
	} else if (!S_ISREG(st.st_mode)) {
		err = -EINVAL;
	} else if (st.st_size > 0) {
		f.size = (size_t)st.st_size;
		map = mmap(NULL, f.size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED) {
			err = -errno;
		} else {
			f.map = map;
			if (!is_sound(&f)) {
				*why = f.why;
				err = -EBADMSG;
			}
			munmap(map, f.size);
		}
	}
	close(fd);
	return err;
}
