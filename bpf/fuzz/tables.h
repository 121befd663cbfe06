/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The kernel's maps, in memory. Every value is an allocation of its own, so the
 * sanitizer sees a read behind it, or after its deletion. A table is made when
 * it is first used; which one it is, the address of its declaration says.
 */
#pragma once

#define MAX_TABLES 64
#define BUCKETS 4096

struct element {
	struct element *next;
	unsigned char *value;
	unsigned char key[];
};

struct table {
	struct shim_map map;
	__u32 used;
	struct element *bucket[BUCKETS];
};

static struct table tables[MAX_TABLES];

__attribute__((noreturn)) static void give_up(const char *why)
{
	fprintf(stderr, "harness: %s\n", why);
	abort();
}

void shim_claim(int holds, const char *claim)
{
	if (!holds)
		give_up(claim);
}

static struct table *table_of(const struct shim_map *m)
{
	struct table *t;

	for (t = tables; t < tables + MAX_TABLES; t++) {
		if (!t->map.id)
			t->map = *m;
		if (t->map.id == m->id)
			return t;
	}
	give_up("too many maps");
}

static struct element **place_of(struct table *t, const void *key)
{
	const unsigned char *b = key;
	__u32 h = 2166136261, i;
	struct element **at;

	for (i = 0; i < t->map.key_size; i++)
		h = (h ^ b[i]) * 16777619;
	for (at = &t->bucket[(h ^ h >> 16) % BUCKETS]; *at; at = &(*at)->next)
		if (!memcmp((*at)->key, key, t->map.key_size))
			break;
	return at;
}

static void insert(struct table *t, struct element **at, const void *key, const void *value)
{
	struct element *e = malloc(sizeof(*e) + t->map.key_size);

	e->next = 0;
	memcpy(e->key, key, t->map.key_size);
	e->value = calloc(1, t->map.value_size);
	if (value)
		memcpy(e->value, value, t->map.value_size);
	*at = e;
	t->used++;
}

static void take(struct table *t, struct element **at)
{
	struct element *e = *at;

	*at = e->next;
	free(e->value);
	free(e);
	t->used--;
}

static void clear(struct table *t)
{
	__u32 i;

	for (i = 0; t->used && i < BUCKETS; i++)
		while (t->bucket[i])
			take(t, &t->bucket[i]);
}

static int is_array(const struct table *t)
{
	return t->map.type == BPF_MAP_TYPE_ARRAY || t->map.type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static int has_prefix(const unsigned char *a, const unsigned char *b, __u32 bits)
{
	if (memcmp(a, b, bits / 8))
		return 0;
	return bits % 8 == 0 || !((a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8));
}

/* The longest prefix; few tests have more than a handful. */
static void *longest(struct table *t, const unsigned char *key)
{
	struct element *e, *best = 0;
	__u32 i, bits, asked, most = 0;

	memcpy(&asked, key, 4);
	for (i = 0; i < BUCKETS; i++)
		for (e = t->bucket[i]; e; e = e->next) {
			memcpy(&bits, e->key, 4);
			if (bits <= asked && (!best || bits > most) && has_prefix(e->key + 4, key + 4, bits)) {
				best = e;
				most = bits;
			}
		}
	return best ? best->value : 0;
}

void *shim_lookup(const struct shim_map *m, const void *key)
{
	struct table *t = table_of(m);
	struct element **at;
	__u32 index;

	if (m->type == BPF_MAP_TYPE_LPM_TRIE)
		return longest(t, key);
	at = place_of(t, key);
	if (!*at && is_array(t)) {
		memcpy(&index, key, 4);
		if (index < m->max_entries)
			insert(t, at, key, 0);
	}
	return *at ? (*at)->value : 0;
}

long shim_update(const struct shim_map *m, const void *key, const void *value, __u64 flags)
{
	struct table *t = table_of(m);
	struct element **at = place_of(t, key);

	if (*at && flags == BPF_NOEXIST)
		return -EEXIST;
	if (*at)
		memcpy((*at)->value, value, m->value_size);
	else if (t->used >= m->max_entries)
		return -E2BIG;
	else
		insert(t, at, key, value);
	return 0;
}

long shim_delete(const struct shim_map *m, const void *key)
{
	struct table *t = table_of(m);
	struct element **at = place_of(t, key);

	if (!*at)
		return -ENOENT;
	take(t, at);
	return 0;
}
